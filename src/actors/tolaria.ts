/**
 * Tolaria, the training orchestrator: asks at every boundary what comes next, has the lane do it, and tells the bus.
 *
 * T1 A window is published before the next one starts, also one that was complete when an earlier generation ended.
 * T2 Training waits for no message: when Kasmina does not answer in time and only the host is in training, the host goes on.
 *    It waits where Kasmina says so: in a pause, for a kernel that is outstanding at its window (T7), and for the commands of its start.
 * T3 A host window with an anomaly is undone before anything else happens; after `rollbacksMax` times at one place the run fails.
 * T4 A session outlives this actor: a new generation takes up the lane's session where it stands. A lost lane ends the run as
 *    `lost`, and the node resumes it from its last checkpoint as a run of its own.
 * T5 A run ends once, with the last checkpoint written and, when it is done, the test data read. A run that failed leaves a
 *    checkpoint of its last good host.
 * T6 A generation that is ending gives the lane no more work.
 * T7 While a kernel is outstanding nothing trains and the boundary is asked for again; an interrupt, a pause and an end are heard meanwhile.
 * T8 A kernel that the library does not give is not taken from the lane's cache either.
 * T9 A checkpoint that a plan asks for is written before its window, or told as failed.
 */
import { describeError, TrainingError } from "../contracts/errors.ts";
import type { BoundaryAction, BoundaryReply, EpochPlan, EpochResult, LaneProgress, SessionStatus } from "../contracts/plan.ts";
import { delay } from "../contracts/ports.ts";
import type { InputOf } from "../contracts/subjects.ts";
import { type RunEvent as RunLifeEvent, type RunSnapshot, stepRun } from "../machines/run-machine.ts";
import type { RunningChild } from "../supervision/spec.ts";
import type { KernelArtifacts, LaneOutcome } from "../workers/lane.ts";
import { lastGood, type SessionSnapshot } from "../workers/session-state.ts";
import { fetchAsset, storeAsset } from "./library-client.ts";
import type { RunContext } from "./run-context.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

type Rollback = Extract<BoundaryAction, { kind: "rollback" }>;
type Wait = Extract<BoundaryReply, { kind: "wait" }>;

/** A wait for a kernel is told when it has lasted this long, and at each doubling. */
const tellWaitMs = 2_000;

export const startTolaria = (ports: ActorPorts, run: RunContext): Promise<RunningChild> =>
  startActor("tolaria", ports, async (scope) => {
    const tolaria = new Tolaria(scope, run);
    scope.onEnd(run.lane.onProgress((progress) => tolaria.progress(progress)));
    scope.onEnd(() => tolaria.saveElapsed());
    // The loop is the actor's whole life, so it runs beside the mailbox and not in it.
    tolaria.loop().then(
      () => scope.end(),
      (error: unknown) => scope.end(error),
    );
  });

class Tolaria {
  readonly #scope: ActorScope;
  readonly #run: RunContext;
  readonly #startedMs: number;
  /** T7: the wait that is under way; one for commands does not add up, it is told by their receipts. */
  #wait: { readonly sinceMs: number; readonly tellAfterMs: number } | undefined;

  constructor(scope: ActorScope, run: RunContext) {
    this.#scope = scope;
    this.#run = run;
    this.#startedMs = scope.clock.monotonicMs();
  }

  progress({ runId, epoch, work, step, steps, loss }: LaneProgress): void {
    if (runId !== this.#run.runId) return;
    void this.#scope.bus.publish("telemetry.run.progress", { runId, arm: this.#run.arm, epoch, work, step, steps, loss });
  }

  saveElapsed(): void {
    this.#run.elapsedBeforeMs += this.#scope.clock.monotonicMs() - this.#startedMs;
  }

  async loop(): Promise<void> {
    const taken = await this.#takeUp();
    if (taken === undefined) return this.#lost("its session is gone");
    let status = taken;
    await this.#publishHost(status);
    await this.#tell(
      {
        kind: "started",
        runId: this.#run.runId,
        arm: this.#run.arm,
        dataset: this.#run.dataset.name,
        engine: this.#run.spec.engine,
        host: status.host,
        flopsMax: status.flopsMax,
        epochSteps: this.#run.spec.epochSteps,
        hostSteps: this.#run.spec.hostSteps,
        growth: this.#run.growth,
        morphogenetic: this.#run.spec.morphogenetic,
        ...(this.#run.resume === undefined ? {} : { resumedAtEpoch: this.#run.resume.epoch }),
      },
      `${this.#run.runId}:started`,
    );
    let result = status.lastResult;
    if (this.#life === "starting") this.#step({ type: "OPENED" });
    // T1: the generation before may have ended between a window and its publication.
    if (result !== undefined && result.epoch > this.#run.toldEpoch) await this.#complete(result, status);

    while (!this.#scope.signal.aborted) {
      if (this.#life === "stopping") return this.#finish(status);
      if (this.#run.interrupt.aborted) {
        this.#step({ type: "STOP", reason: "interrupted" });
        continue;
      }
      const reply = await this.#askKasmina(status, result);
      if (reply.kind !== "wait") this.#wait = undefined;
      if (reply.kind === "stop") {
        this.#step({ type: result?.budgetUsed ? "COMPLETE" : "STOP", reason: reply.reason });
        continue;
      }
      if (reply.kind === "pause") {
        if (this.#life === "training") {
          this.#step({ type: "PAUSE" });
          await this.#tell({ kind: "paused", runId: this.#run.runId, epoch: status.epoch });
        }
        await delay(this.#scope.clock, reply.askAgainMs, this.#scope.signal);
        continue;
      }
      if (this.#life === "paused") {
        this.#step({ type: "RESUME" });
        await this.#tell({ kind: "resumed", runId: this.#run.runId, epoch: status.epoch });
      }
      if (reply.kind === "wait") {
        await this.#waitFor(reply, status.epoch);
        continue;
      }
      const rollback = reply.plan.before.find((action) => action.kind === "rollback");
      if (rollback !== undefined && this.#life === "training") await this.#rollBack(rollback, status);
      if (this.#life === "failed") return this.#finish(status);
      if (reply.plan.checkpoint === true) await this.#askedCheckpoint(status.epoch, result);
      else if (result !== undefined && this.#checkpointDue(reply.plan, result)) await this.#checkpoint(status.epoch);

      const outcome = await this.#window(reply.plan);
      if (this.#scope.signal.aborted) return;
      if (outcome.kind === "lost") return this.#lost(outcome.reason);
      if (outcome.value.interrupted) continue;
      result = outcome.value;
      const { epoch, hostStep, flops, host = status.host } = result;
      status = { ...status, epoch, hostStep, flops, host };
      if (result.host !== undefined) await this.#publishHost(status);
      await this.#complete(result, status);
    }
  }

  /** T7 */
  async #waitFor({ seedId, outstanding, askAgainMs }: Wait, epoch: number): Promise<void> {
    const nowMs = this.#scope.clock.monotonicMs();
    if (this.#wait === undefined || outstanding === "commands") this.#wait = { sinceMs: nowMs, tellAfterMs: tellWaitMs };
    const { sinceMs, tellAfterMs } = this.#wait;
    const waitedMs = nowMs - sinceMs;
    if (seedId !== undefined && outstanding !== "commands" && waitedMs >= tellAfterMs) {
      this.#wait = { sinceMs, tellAfterMs: 2 * tellAfterMs };
      await this.#tell({ kind: "waiting", runId: this.#run.runId, epoch, seedId, outstanding, waitedMs });
    }
    await delay(this.#scope.clock, askAgainMs, this.#scope.signal);
  }

  /** Counts a window in the run's life and tells it. */
  async #complete(result: EpochResult, status: SessionStatus): Promise<void> {
    await this.#publishEpoch(result, status);
    this.#run.toldEpoch = result.epoch;
    if (this.#life === "rolling_back") this.#step({ type: "ROLLED_BACK" });
    if (result.anomalies.length === 0) this.#run.goodHostStep = result.hostStep;
  }

  get #life(): RunSnapshot["value"] {
    return this.#run.machine.value;
  }

  #step(event: RunLifeEvent): void {
    const step = stepRun(this.#run.machine, event);
    if (step.kind === "refused") throw new TrainingError(`run ${this.#run.runId}: ${step.reason}; this is a bug`);
    this.#run.machine = step.snapshot;
  }

  /** T4. Undefined when the lane holds nothing to go on from. */
  async #takeUp(): Promise<SessionStatus | undefined> {
    const { lane, runId, spec, imported, dataset, table, seedIds, resume } = this.#run;
    if (this.#run.opened) {
      const standing = await lane.status(runId);
      return standing.kind === "done" ? standing.value : undefined;
    }
    const opened = this.#expectDone(
      await lane.open({ spec, ...(imported === undefined ? {} : { imported }), dataset, table, seedIds }),
      "open the session",
    );
    this.#run.opened = true;
    if (resume === undefined) return opened;
    const kernels = await this.#kernels(resume.session.state.kernelHashes);
    return this.#expectDone(await lane.restore(runId, resume.session, kernels), "restore the session");
  }

  #expectDone<T>(outcome: LaneOutcome<T>, what: string): T {
    if (outcome.kind === "done") return outcome.value;
    throw new TrainingError(`the training lane could not ${what}: ${outcome.reason}`);
  }

  /** T2 */
  async #askKasmina(status: SessionStatus, result: EpochResult | undefined): Promise<BoundaryReply> {
    const { runId, arm, growth } = this.#run;
    const question: InputOf<"control.kasmina.boundary"> = {
      runId,
      arm,
      growth,
      status: { host: status.host, epoch: status.epoch, flopsMax: status.flopsMax },
      ...(result === undefined ? {} : { result }),
    };
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#scope.bus.request("control.kasmina.boundary", question, {
        timeoutMs: this.#run.boundaryTimeoutMs,
      });
      if (outcome.kind === "reply") return outcome.value;
      this.#scope.signal.throwIfAborted();
      this.#scope.log.warn("Kasmina did not answer at a boundary", { epoch: status.epoch, attempt, reason: outcome.reason });
      const alone = result === undefined || (result.work === "host" && result.anomalies.length === 0 && !result.budgetUsed);
      const held = this.#life === "paused" || this.#wait !== undefined;
      // A breaker that is open has asked often enough already.
      const rejected = outcome.retryAfterMs !== undefined;
      if (alone && !held && (attempt > 1 || rejected)) return { kind: "run", plan: this.#hostPlan(status.epoch + 1) };
      if (attempt >= this.#run.boundaryAttemptsMax)
        throw new TrainingError(`Kasmina did not answer at the boundary after window ${status.epoch}: ${outcome.reason}`);
      await delay(this.#scope.clock, Math.max(this.#run.boundaryRetryMs, outcome.retryAfterMs ?? 0), this.#scope.signal);
    }
  }

  #hostPlan(epoch: number): EpochPlan {
    return {
      runId: this.#run.runId,
      epoch,
      before: [],
      work: { kind: "host", steps: this.#run.spec.epochSteps },
      measureSignal: false,
    };
  }

  async #window(plan: EpochPlan): Promise<LaneOutcome<EpochResult>> {
    const wants = (action: BoundaryAction) => action.kind === "load_kernel" || action.kind === "cache_kernel";
    const hashes = plan.before.flatMap((action) => (wants(action) && "kernelHash" in action ? [action.kernelHash] : []));
    const kernels = await this.#kernels(hashes);
    // T8: the lane may still have in its cache what the library does not give out any more.
    const before = plan.before.flatMap((action): BoundaryAction[] =>
      action.kind === "load_kernel" && kernels[action.kernelHash] === undefined
        ? [{ kind: "evict_kernel", site: action.fromSite, kernelHash: action.kernelHash }, action]
        : [action],
    );
    this.#scope.signal.throwIfAborted(); // T6
    return this.#run.lane.run({ ...plan, before }, kernels);
  }

  /** A kernel that cannot be fetched is left out; the lane reports it as missing and gate 1 fails. */
  async #kernels(hashes: readonly string[]): Promise<KernelArtifacts> {
    const kernels: Record<string, KernelArtifacts[string]> = {};
    for (const hash of hashes) {
      const fetched = await fetchAsset(this.#scope, "kernel", hash);
      if (fetched.kind === "found") kernels[hash] = fetched.asset;
      else this.#scope.log.error("a kernel could not be fetched", { hash, reason: fetched.reason });
    }
    return kernels;
  }

  /** T3. A seed's trial that is taken back is no fault of the host's: it is told and does not count. */
  async #rollBack({ reason, seedId }: Rollback, status: SessionStatus): Promise<void> {
    if (seedId === undefined) this.#step({ type: "ROLLBACK", place: this.#run.goodHostStep, reason });
    const { rollbacksHere } = this.#run.machine.context;
    await this.#tell({ kind: "rolled_back", runId: this.#run.runId, epoch: status.epoch, reason, rollbacks: rollbacksHere });
  }

  #checkpointDue(plan: EpochPlan, result: EpochResult): boolean {
    if (result.anomalies.length > 0) return false;
    const every = this.#run.checkpointEveryEpochs;
    return (every > 0 && result.epoch % every === 0) || plan.before.some((action) => action.kind === "keep");
  }

  /** T9: a host that is about to be rolled back is not worth keeping. */
  async #askedCheckpoint(epoch: number, result: EpochResult | undefined): Promise<void> {
    const anomaly = result?.anomalies[0];
    if (anomaly === undefined) return this.#checkpoint(epoch);
    const reason = `window ${epoch} had an anomaly (${anomaly.kind}); ask again after the next`;
    await this.#tell({ kind: "checkpoint_failed", runId: this.#run.runId, epoch, reason });
  }

  /** A checkpoint that cannot be written is told and costs nothing else: the one before it stays. */
  async #checkpoint(epoch: number, of: (snapshot: SessionSnapshot) => SessionSnapshot = (same) => same): Promise<void> {
    const { runId, lane } = this.#run;
    try {
      const snapshot = this.#expectDone(await lane.snapshot(runId), "take a snapshot");
      const file = await this.#run.saveCheckpoint(epoch, this.#elapsedMs(), of(snapshot));
      await this.#tell({ kind: "checkpoint", runId, epoch, file });
    } catch (error) {
      const reason = describeError(error);
      this.#scope.log.error("a checkpoint could not be written", { runId, epoch, reason });
      await this.#tell({ kind: "checkpoint_failed", runId, epoch, reason });
    }
  }

  /** T5 */
  async #finish(status: SessionStatus): Promise<void> {
    const { runId, arm, lane, spec } = this.#run;
    const { complete, reason } = this.#run.machine.context;
    const outcome = this.#life === "failed" ? "failed" : complete ? "done" : "stopped";
    // Before the checkpoint, so that it says that the test data were read.
    if (outcome === "done") this.#run.test ??= this.#expectDone(await lane.test(runId), "read the test data");
    // What a failed run leaves behind is the state before the anomaly.
    await this.#checkpoint(status.epoch, outcome === "failed" ? lastGood : undefined);
    const { test } = this.#run;
    const damage =
      spec.damage === undefined || status.damagedSites.length === 0
        ? undefined
        : { sites: status.damagedSites, kind: spec.damage.kind, live: spec.damage.live, layers: spec.damage.layers };
    await this.#tell(
      {
        kind: "finished",
        runId,
        arm,
        outcome,
        reason,
        ...(test === undefined ? {} : { testAccuracy: test.accuracy }),
        ...(damage === undefined ? {} : { damage }),
      },
      `${runId}:finished`,
    );
    if (this.#life === "stopping") this.#step({ type: "FINISHED" });
    await lane.close(runId);
    this.#run.finished({ outcome, reason });
  }

  #lost(reason: string): void {
    this.#scope.log.error("the training lane was lost", { runId: this.#run.runId, reason });
    this.#run.finished({ outcome: "lost", reason: `the training lane was lost: ${reason}` });
  }

  async #publishHost(status: SessionStatus): Promise<void> {
    const host = this.#expectDone(await this.#run.lane.host(this.#run.runId), "hand out its host");
    const stored = await storeAsset(this.#scope, {
      kind: "host",
      asset: { schemaVersion: 1, host },
      inputs: [],
      source: `run ${this.#run.runId}`,
      producer: "tolaria",
    });
    if (stored.kind === "refused")
      this.#scope.log.warn("the host is not in the library; nothing can be grown", {
        hash: status.host.hash,
        reason: stored.reason,
      });
  }

  /** T1 */
  async #publishEpoch(result: EpochResult, status: SessionStatus): Promise<void> {
    const packet = {
      runId: this.#run.runId,
      arm: this.#run.arm,
      result,
      flopsMax: status.flopsMax,
      elapsedMs: this.#elapsedMs(),
    };
    await this.#publish("system.events.epoch", packet, `${this.#run.runId}:epoch:${result.epoch}`);
  }

  #tell(event: InputOf<"system.events.run">, messageId?: string): Promise<void> {
    return this.#publish("system.events.run", event, messageId);
  }

  async #publish<S extends "system.events.run" | "system.events.epoch">(
    subject: S,
    payload: InputOf<S>,
    messageId?: string,
  ): Promise<void> {
    const sent = await this.#scope.bus.publish(subject, payload, messageId === undefined ? {} : { messageId });
    if (sent.kind === "failed")
      throw new TrainingError(`an event could not be published on ${subject}: ${sent.reason}`, { subject });
  }

  #elapsedMs(): number {
    return (this.#run.resume?.elapsedMs ?? 0) + this.#run.elapsedBeforeMs + this.#scope.clock.monotonicMs() - this.#startedMs;
  }
}
