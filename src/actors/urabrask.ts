/**
 * Urabrask, the sole validator: measures every compiled kernel on this machine before anybody may take it.
 *
 * U1 A kernel that was measured on this machine is not measured again; what is known is told.
 * U2 Every task ends in a characterisation, measured or with the problem that hindered it, unless the actor itself ends; then the bus hands
 *    the task over again.
 * U3 What could not be measured has no numbers, and is not kept: it is tried anew the next time.
 * U4 A task whose token does not open the library any more is nobody's: the one who ordered it has given it up.
 * U5 A task that this forge cannot do is left to others; one that came back too often is told with that problem.
 */
import type { KernelTags } from "../contracts/characterization.ts";
import { DeadlineError, describeError } from "../contracts/errors.ts";
import type { CharacterizeTask } from "../contracts/work.ts";
import { kernelTags } from "../policy/kernel-tags.ts";
import { type ForgeIdentity, lackingFor } from "../policy/task-fit.ts";
import { underDeadline } from "../resilience/deadline.ts";
import type { RunningChild } from "../supervision/spec.ts";
import type { ForgeLane } from "../workers/lane.ts";
import { fetchAsset, findTags, storeTags } from "./library-client.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

export interface UrabraskPorts {
  readonly forge: ForgeLane;
  readonly identity: ForgeIdentity;
  /** The machine's name in the tags: what is measured holds there and nowhere else. */
  readonly machine: string;
}

const problemMax = 2000;

export const startUrabrask = (ports: ActorPorts, own: UrabraskPorts): Promise<RunningChild> =>
  startActor("urabrask", ports, async (scope) => {
    await scope.on("validation.kernel.submitted", async (task, { traceId, redeliveries }) => {
      const { id: taskId, deadlineAtMs, budget } = task;
      const { runId, seedId } = task.context;
      const lacking = lackingFor(task, own.identity);
      if (lacking !== undefined && redeliveries < own.identity.declinesMax) return { kind: "declined", reason: lacking }; // U5
      const untilMs = Math.min(deadlineAtMs + own.identity.clockSkewMs, scope.clock.nowMs() + budget.wallMsMax);
      const characterized = await underDeadline(untilMs, () => validate(scope, own, task, lacking));
      scope.signal.throwIfAborted(); // U2
      if (characterized === undefined) return undefined; // U4
      const { tags, problem } = characterized;
      scope.log.info("validation", { taskId, seedId, runId, tags, ...(problem === undefined ? {} : { problem }) });
      const told = { taskId, runId, seedId, characterized };
      const sent = await scope.bus.publish("validation.kernel.characterized", told, { traceId });
      if (sent.kind === "failed") throw new Error(`a characterisation could not be announced: ${sent.reason}`); // U2
      return undefined;
    });
  });

const validate = async (
  scope: ActorScope,
  own: UrabraskPorts,
  task: CharacterizeTask,
  lacking: string | undefined,
): Promise<KernelTags | undefined> => {
  const { machine } = own;
  const { token, goal } = task;
  const { kernelHash } = goal;
  const known = await findTags(scope, { kernelHash, machine, token });
  const measured = known.find((each) => each.measured !== undefined);
  if (measured !== undefined) return measured; // U1
  const kernel = await fetchAsset(scope, "kernel", kernelHash, token);
  if (kernel.kind === "missing" && kernel.refused !== undefined) {
    scope.log.warn("a task is given up", { taskId: task.id, reason: kernel.reason });
    return undefined;
  }
  if (kernel.kind === "missing")
    throw new Error(`the kernel ${kernelHash} was announced and is not in the library: ${kernel.reason}`);
  const { key } = kernel.asset;
  const named = { kernelHash, machine, engine: key.engine, hostHash: key.hostHash, blueprint: key.request };
  try {
    if (lacking !== undefined) throw new Error(`no forge took it: ${lacking}`); // U5
    const numbers = await measure(scope, own, kernel.asset, task);
    const characterized = { ...named, tags: kernelTags(numbers, goal.validation), measured: numbers };
    const unkept = await storeTags(scope, { characterized, token });
    // The run that waits is told all the same; the next one has it measured again.
    if (unkept !== undefined) scope.log.warn("measurements were not kept", { taskId: task.id, reason: unkept });
    return characterized;
  } catch (error) {
    return { ...named, tags: [], problem: describeError(error).slice(0, problemMax) }; // U3
  }
};

const measure = async (
  scope: ActorScope,
  { forge }: UrabraskPorts,
  kernel: Parameters<ForgeLane["characterize"]>[0],
  { token, goal: { validation }, budget: { wallMsMax } }: CharacterizeTask,
) => {
  const host = await fetchAsset(scope, "host", kernel.key.hostHash, token);
  if (host.kind === "missing") throw new Error(`the host ${kernel.key.hostHash} is not in the library: ${host.reason}`);
  const late = new AbortController();
  const cancel = scope.clock.schedule(wallMsMax, () =>
    late.abort(new DeadlineError(`the measurement took more than ${wallMsMax} ms (morphogenetic.validation.timeoutMs)`)),
  );
  try {
    const outcome = await forge.characterize(kernel, host.asset.host, validation, AbortSignal.any([late.signal, scope.signal]));
    if (outcome.kind === "lost") throw new Error(`the forge lane was lost: ${outcome.reason}`);
    return outcome.value;
  } finally {
    cancel();
  }
};
