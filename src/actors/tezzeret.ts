/**
 * Tezzeret, the compile forge: turns a blueprint into a kernel for one host, in its own niced lane, away from training.
 *
 * T1 The same key is compiled once: a kernel that Urza holds is announced again without work.
 * T2 Every request ends in an announcement, `ready` or `failed`, unless the actor itself ends; then the bus hands it over again.
 */
import type { CompiledKernelArtifact, KernelKey } from "../contracts/assets.ts";
import type { CompilationOutcome, CompilationRequest } from "../contracts/compilation.ts";
import { describeError } from "../contracts/errors.ts";
import type { RunningChild } from "../supervision/spec.ts";
import type { ForgeLane } from "../workers/lane.ts";
import { fetchAsset, storeAsset } from "./library-client.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

export interface TezzeretPorts {
  readonly forge: ForgeLane;
  readonly hashKey: (key: KernelKey) => string;
}

export const startTezzeret = (ports: ActorPorts, { forge, hashKey }: TezzeretPorts): Promise<RunningChild> =>
  startActor("tezzeret", ports, async (scope) => {
    await scope.on("compilation.blueprint.submitted", async (request, { traceId }) => {
      const outcome = await compile(scope, forge, hashKey, request);
      scope.log.info("compilation", { outcome: outcome.kind, seedId: request.seedId, runId: request.runId });
      const sent = await scope.bus.publish("compilation.kernel.ready", outcome, { traceId });
      if (sent.kind === "failed") throw new Error(`the outcome of a compilation could not be announced: ${sent.reason}`); // T2
    });
  });

const compile = async (
  scope: ActorScope,
  forge: ForgeLane,
  hashKey: (key: KernelKey) => string,
  { runId, seedId, key, deadlineAtMs }: CompilationRequest,
): Promise<CompilationOutcome> => {
  const failed = (reason: string): CompilationOutcome => ({ kind: "failed", runId, seedId, reason });
  const leftMs = deadlineAtMs - scope.clock.nowMs();
  if (leftMs <= 0) return failed("the deadline had passed before the compilation began");

  const startMs = scope.clock.monotonicMs();
  const known = await scope.bus.request("library.kernel.find", { keyHash: hashKey(key) });
  if (known.kind === "reply" && known.value.kind === "found") {
    const kernel = await fetchAsset(scope.bus, "kernel", known.value.hash);
    if (kernel.kind === "found") return ready(runId, seedId, known.value.hash, kernel.asset, scope.clock.monotonicMs() - startMs); // T1
  }

  const host = await fetchAsset(scope.bus, "host", key.hostHash);
  if (host.kind === "missing") return failed(`the host ${key.hostHash} is not in the library: ${host.reason}`);
  const deadline = new AbortController();
  const cancel = scope.clock.schedule(leftMs, () => deadline.abort(new Error(`no kernel within ${leftMs} ms`)));
  try {
    const compiled = await forge.compile(key, host.asset.host, AbortSignal.any([deadline.signal, scope.signal]));
    if (compiled.kind === "lost") return failed(`the forge lane was lost: ${compiled.reason}`);
    const { artifact: kernel, blueprint } = compiled.value;
    const blueprintStored = await storeAsset(scope.bus, {
      kind: "blueprint",
      asset: blueprint,
      inputs: [],
      producer: "tezzeret",
    });
    if (blueprintStored.kind === "refused") return failed(`the blueprint could not be stored: ${blueprintStored.reason}`);
    const stored = await storeAsset(scope.bus, {
      kind: "kernel",
      asset: kernel,
      inputs: [key.hostHash, blueprintStored.hash],
      producer: "tezzeret",
    });
    if (stored.kind === "refused") return failed(`the kernel could not be stored: ${stored.reason}`);
    return ready(runId, seedId, stored.hash, kernel, scope.clock.monotonicMs() - startMs);
  } catch (error) {
    return failed(describeError(error));
  } finally {
    cancel();
  }
};

const ready = (
  runId: string,
  seedId: string,
  kernelHash: string,
  kernel: CompiledKernelArtifact,
  compileMs: number,
): CompilationOutcome => ({
  kind: "ready",
  runId,
  seedId,
  kernelHash,
  blueprintHash: kernel.blueprintHash,
  parameters: kernel.parameters,
  flops: Object.fromEntries(Object.entries(kernel.programs).map(([name, program]) => [name, program.flops])),
  compileMs,
});
