/**
 * Tezzeret, the compile forge: turns a blueprint into a kernel for one host, in its own niced lane, away from training.
 *
 * T1 The same key is compiled once: a kernel that Urza holds is announced again without work.
 * T2 Every task ends in an announcement, `ready` or `failed`, unless the actor itself ends; then the bus hands it over again.
 * T3 A task that this forge cannot do is left to others; one that came back too often is told as failed.
 * T4 What is asked of the library carries the task's own token, and is asked no longer than the task may take.
 */

import type { CompiledKernelArtifact, KernelKey } from "../contracts/assets.ts";
import type { CompilationOutcome } from "../contracts/compilation.ts";
import { DeadlineError, describeError } from "../contracts/errors.ts";
import type { InputOf } from "../contracts/subjects.ts";
import type { CompileTask } from "../contracts/work.ts";
import { type CompileJobEvent, startCompileJob, stepCompileJob } from "../machines/compile-job-machine.ts";
import { type ForgeIdentity, lackingFor } from "../policy/task-fit.ts";
import { underDeadline } from "../resilience/deadline.ts";
import type { RunningChild } from "../supervision/spec.ts";
import type { ForgeLane } from "../workers/lane.ts";
import { fetchAsset, storeAsset } from "./library-client.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

export interface TezzeretPorts {
  readonly forge: ForgeLane;
  readonly hashKey: (key: KernelKey) => string;
  readonly identity: ForgeIdentity;
}

export const startTezzeret = (ports: ActorPorts, own: TezzeretPorts): Promise<RunningChild> =>
  startActor("tezzeret", ports, async (scope) => {
    await scope.on("compilation.blueprint.submitted", async (task, { traceId, redeliveries }) => {
      const { runId, seedId } = task.context;
      const lacking = lackingFor(task, own.identity);
      if (lacking !== undefined && redeliveries < own.identity.declinesMax) return { kind: "declined", reason: lacking }; // T3
      const outcome =
        lacking === undefined
          ? await compile(scope, own, task)
          : failed(task, own, `no forge took it: ${lacking}; ${redeliveries} others, or this one, had it before`);
      scope.signal.throwIfAborted(); // T2: what failed because the actor ends is not an outcome.
      scope.log.info("compilation", { outcome: outcome.kind, taskId: task.id, seedId, runId });
      const sent = await scope.bus.publish("compilation.kernel.ready", outcome, { traceId });
      if (sent.kind === "failed") throw new Error(`the outcome of a compilation could not be announced: ${sent.reason}`); // T2
      return undefined;
    });
  });

const failed = (
  { id, context: { runId, seedId }, goal }: CompileTask,
  { hashKey }: TezzeretPorts,
  reason: string,
): CompilationOutcome => ({ kind: "failed", taskId: id, runId, seedId, keyHash: hashKey(goal.key), reason });

/** T4 */
const compile = (scope: ActorScope, own: TezzeretPorts, task: CompileTask): Promise<CompilationOutcome> => {
  const { deadlineAtMs, budget } = task;
  const { clock } = scope;
  const untilMs = Math.min(deadlineAtMs + own.identity.clockSkewMs, clock.nowMs() + budget.wallMsMax);
  return underDeadline(untilMs, () => compileBy(scope, own, task, untilMs));
};

/** One task, led through the job's machine: what it does not allow does not happen. */
const compileBy = async (
  scope: ActorScope,
  own: TezzeretPorts,
  task: CompileTask,
  deadlineAtMs: number,
): Promise<CompilationOutcome> => {
  const { bus, clock } = scope;
  const { id: taskId, token } = task;
  const { runId, seedId } = task.context;
  const { key } = task.goal;
  const startMs = clock.monotonicMs();
  const keyHash = own.hashKey(key);
  let job = startCompileJob({ seedId, deadlineAtMs });
  const step = (event: Untimed<CompileJobEvent>): void => {
    const taken = stepCompileJob(job, { ...event, atMs: clock.nowMs() });
    if (taken.kind === "refused") throw new Error(`${taken.reason}; this is a bug`);
    job = taken.snapshot;
  };
  const outcome = (artifact?: CompiledKernelArtifact): CompilationOutcome => {
    const { kernelHash, reason } = job.context;
    if (job.value !== "ready" || kernelHash === null || artifact === undefined) return failed(task, own, reason);
    return ready({ taskId, runId, seedId, keyHash }, kernelHash, artifact, clock.monotonicMs() - startMs);
  };

  const known = await bus.request("library.kernel.find", { keyHash, token });
  if (known.kind === "reply" && known.value.kind === "found") {
    const kernel = await fetchAsset(scope, "kernel", known.value.hash, token);
    if (kernel.kind === "found") {
      step({ type: "FOUND", kernelHash: known.value.hash }); // T1
      return outcome(kernel.asset);
    }
  }

  const host = await fetchAsset(scope, "host", key.hostHash, token);
  if (host.kind === "missing") {
    step({ type: "FAIL", reason: `the host ${key.hostHash} is not in the library: ${host.reason}` });
    return outcome();
  }
  step({ type: "START" });
  if (job.value !== "compiling") return outcome();

  const deadline = new AbortController();
  const cancel = clock.schedule(deadlineAtMs - clock.nowMs() + 1, () => {
    if (job.status === "active") step({ type: "TICK" });
    if (job.status !== "active") deadline.abort(new DeadlineError("the deadline has passed"));
  });
  try {
    const compiled = await own.forge.compile(key, host.asset.host, AbortSignal.any([deadline.signal, scope.signal]));
    if (compiled.kind === "lost") throw new Error(`the forge lane was lost: ${compiled.reason}`);
    step({ type: "COMPILED" });
    const { artifact, blueprint } = compiled.value;
    const source = `run ${runId} ${seedId}`;
    const blueprintHash = await stored(scope, {
      kind: "blueprint",
      asset: blueprint,
      inputs: [],
      source,
      producer: "tezzeret",
      token,
    });
    const kernelHash = await stored(scope, {
      kind: "kernel",
      asset: artifact,
      inputs: [key.hostHash, blueprintHash],
      source,
      producer: "tezzeret",
      token,
    });
    step({ type: "STORED", kernelHash });
    return outcome(artifact);
  } catch (error) {
    if (job.status === "active") step({ type: "FAIL", reason: describeError(error) });
    return outcome();
  } finally {
    cancel();
  }
};

type Untimed<E> = E extends CompileJobEvent ? Omit<E, "atMs"> : never;

/** The asset's hash. Throws with Urza's reason when she refuses it. */
const stored = async (scope: ActorScope, put: InputOf<"library.asset.put">): Promise<string> => {
  const answer = await storeAsset(scope, put);
  if (answer.kind === "refused") throw new Error(`the ${put.kind} could not be stored: ${answer.reason}`);
  return answer.hash;
};

const ready = (
  asked: { readonly taskId: string; readonly runId: string; readonly seedId: string; readonly keyHash: string },
  kernelHash: string,
  kernel: CompiledKernelArtifact,
  compileMs: number,
): CompilationOutcome => ({
  kind: "ready",
  ...asked,
  kernelHash,
  blueprintHash: kernel.blueprintHash,
  parameters: kernel.parameters,
  flops: Object.fromEntries(Object.entries(kernel.programs).map(([name, program]) => [name, program.flops])),
  compileMs,
});
