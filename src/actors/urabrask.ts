/**
 * Urabrask, the sole validator: measures every compiled kernel on this machine before anybody may take it.
 *
 * U1 A kernel that was measured on this machine is not measured again; what is known is told.
 * U2 Every kernel that was announced ends in a characterisation, measured or with the problem that hindered it, unless the actor itself
 *    ends; then the bus hands the announcement over again.
 * U3 What could not be measured has no numbers, and is not kept: it is tried anew the next time.
 */
import type { KernelKey } from "../contracts/assets.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { CompilationOutcome } from "../contracts/compilation.ts";
import type { ValidationConfig } from "../contracts/config-validation.ts";
import { DeadlineError, describeError } from "../contracts/errors.ts";
import { kernelTags } from "../policy/kernel-tags.ts";
import type { RunningChild } from "../supervision/spec.ts";
import type { ForgeLane } from "../workers/lane.ts";
import { fetchAsset, findTags } from "./library-client.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

export interface UrabraskPorts {
  readonly forge: ForgeLane;
  readonly config: ValidationConfig;
  /** The machine's name in the tags: what is measured holds there and nowhere else. */
  readonly machine: string;
}

type Ready = Extract<CompilationOutcome, { kind: "ready" }>;

const problemMax = 2000;

export const startUrabrask = (ports: ActorPorts, own: UrabraskPorts): Promise<RunningChild> =>
  startActor("urabrask", ports, async (scope) => {
    await scope.on("compilation.kernel.ready", async (outcome, { traceId }) => {
      if (outcome.kind !== "ready") return;
      const { runId, seedId } = outcome;
      const characterized = await validate(scope, own, outcome);
      scope.signal.throwIfAborted(); // U2
      const { tags, problem } = characterized;
      scope.log.info("validation", { seedId, runId, tags, ...(problem === undefined ? {} : { problem }) });
      const sent = await scope.bus.publish("validation.kernel.characterized", { runId, seedId, characterized }, { traceId });
      if (sent.kind === "failed") throw new Error(`a characterisation could not be announced: ${sent.reason}`); // U2
    });
  });

const validate = async (scope: ActorScope, own: UrabraskPorts, { kernelHash }: Ready): Promise<KernelTags> => {
  const { machine } = own;
  const known = await findTags(scope, { kernelHash, machine });
  const measured = known.find((each) => each.measured !== undefined);
  if (measured !== undefined) return measured; // U1
  const kernel = await fetchAsset(scope, "kernel", kernelHash);
  if (kernel.kind === "missing")
    throw new Error(`the kernel ${kernelHash} was announced and is not in the library: ${kernel.reason}`);
  const { key } = kernel.asset;
  const named = { kernelHash, machine, engine: key.engine, hostHash: key.hostHash, blueprint: key.request };
  try {
    const numbers = await measure(scope, own, kernel.asset, key);
    return { ...named, tags: kernelTags(numbers, own.config), measured: numbers };
  } catch (error) {
    return { ...named, tags: [], problem: describeError(error).slice(0, problemMax) }; // U3
  }
};

const measure = async (
  scope: ActorScope,
  { forge, config }: UrabraskPorts,
  kernel: Parameters<ForgeLane["characterize"]>[0],
  key: KernelKey,
) => {
  const host = await fetchAsset(scope, "host", key.hostHash);
  if (host.kind === "missing") throw new Error(`the host ${key.hostHash} is not in the library: ${host.reason}`);
  const late = new AbortController();
  const cancel = scope.clock.schedule(config.timeoutMs, () =>
    late.abort(new DeadlineError(`the measurement took more than ${config.timeoutMs} ms (morphogenetic.validation.timeoutMs)`)),
  );
  try {
    const outcome = await forge.characterize(kernel, host.asset.host, config, AbortSignal.any([late.signal, scope.signal]));
    if (outcome.kind === "lost") throw new Error(`the forge lane was lost: ${outcome.reason}`);
    return outcome.value;
  } finally {
    cancel();
  }
};
