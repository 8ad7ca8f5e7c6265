/**
 * One training session: a host in training, the kernel in trial beside it, and the account of what both cost.
 *
 * K1 From `load_kernel` to the verdict the host's tensors, cursor and step count stay as they were, byte for byte.
 * K2 After a discard the host goes on bit-equal to a run that never tried: as it was frozen, or from the twin.
 * K3 A rollback restores the last good host bit for bit and takes the trial away; FLOPs stay spent.
 * K4 The charged FLOPs never exceed `flopsMax`, or else what `hostSteps` steps of the undamaged host cost.
 * K5 A window that the stop flag ended stays open: the same plan continues it, another one closes it.
 * K6 `snapshot` and `restore` carry all of this: a restored session goes on bit-equal.
 * K7 Test samples are read once, by `test`.
 * K8 Host order and dropout, and everything that growth draws, come from separate streams.
 */
import { isDeepStrictEqual } from "node:util";
import { ContractError, InputError } from "../../contracts/errors.ts";
import type { Host } from "../../contracts/graph.ts";
import type { Validation } from "../../contracts/measure.ts";
import type { BoundaryAction, EpochPlan, EpochResult, SessionStatus } from "../../contracts/plan.ts";
import { createRandom } from "../../graph/random.ts";
import type { KernelArtifacts, OpenRequest } from "../lane.ts";
import type { SessionSnapshot } from "../session-state.ts";
import { toValidation } from "./evaluation.ts";
import { FlopsLedger } from "./flops.ts";
import type { HostSet } from "./host-set.ts";
import { disposeHost, foldedHostSet, openHost } from "./host-set.ts";
import { HostTraining } from "./host-training.ts";
import { startCursor } from "./learner.ts";
import type { KernelDock } from "./loading.ts";
import { createKernelDock } from "./loading.ts";
import type { SessionPorts } from "./ports.ts";
import { probeBatch } from "./probe.ts";
import { SignalProbe } from "./signal.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot.ts";
import { type StartingPoint, startingPoint } from "./starting-point.ts";
import { PartsSurvey } from "./survey.ts";
import type { Trial } from "./trial.ts";
import { TrainingWindow } from "./window.ts";

type Measured = Pick<EpochResult, "validation" | "signal" | "parts">;
type ActionOf<K extends BoundaryAction["kind"]> = Extract<BoundaryAction, { kind: K }>;

export class Session {
  readonly #request: OpenRequest;
  readonly #ports: SessionPorts;
  readonly #probe: SignalProbe;
  readonly #survey: PartsSurvey;
  readonly #dock: KernelDock;
  readonly #first: HostSet;
  readonly #damagedSites: readonly string[];
  #host: HostTraining;
  #trial: Trial | undefined;
  #window: TrainingWindow | undefined;
  #epoch = 0;
  #lastResult: EpochResult | undefined;
  #tested = false;

  /** @throws InputError when the data are too few, or the damage names no layer. */
  static async open(request: OpenRequest, ports: SessionPorts): Promise<Session> {
    const { spec, dataset } = request;
    const { samples, features } = spec.morphogenetic.signal;
    const needed = Math.max(spec.batchSize, probeBatch(dataset, samples));
    if (dataset.train.count < needed) {
      throw new InputError(
        `training samples: expected at least ${needed} for a batch and a signal, found ${dataset.train.count}; lower dataset.batchSize or morphogenetic.signal.samples`,
      );
    }
    const { optimizer, batchSize } = spec;
    const options = { optimizer, batchSize, signalSamples: samples, signalFeatures: features };
    const start = startingPoint(request, createRandom(spec.randomSeed));
    const set = await openHost(ports.engine, start.host, options);
    try {
      return new Session(request, ports, set, start);
    } catch (error) {
      await disposeHost(set);
      throw error;
    }
  }

  private constructor(request: OpenRequest, ports: SessionPorts, set: HostSet, start: StartingPoint) {
    const { spec, dataset } = request;
    const root = createRandom(spec.randomSeed);
    const growth = root.fork("growth"); // K8
    this.#request = request;
    this.#ports = ports;
    this.#first = set;
    this.#probe = new SignalProbe(growth.fork("signal"));
    const { morphogenetic: config, optimizer, batchSize } = spec;
    this.#survey = new PartsSurvey({ engine: ports.engine, dataset, config, optimizer, batchSize, random: growth.fork("parts") });
    this.#dock = createKernelDock(request, ports, growth);
    this.#damagedSites = start.damagedSites;
    const state = {
      cohortSteps: {},
      cursor: startCursor(dataset, spec.batchSize, root.fork("batches")),
      random: [...root.fork("dropout").state()],
      hostStep: 0,
    };
    const ledger = new FlopsLedger(spec.flopsMax ?? spec.hostSteps * (start.undamagedStepFlops ?? set.flops.step)); // K4
    this.#host = new HostTraining(this.#hostOptions, { set, tensors: start.parameters, state }, ledger);
  }

  get status(): SessionStatus {
    const { ledger, learner, set } = this.#host;
    return {
      runId: this.#request.spec.runId,
      epoch: this.#epoch,
      hostStep: learner.hostStep,
      host: set.summary,
      damagedSites: [...this.#damagedSites],
      flopsMax: ledger.flopsMax,
      flops: ledger.account,
      ...(this.#lastResult === undefined ? {} : { lastResult: this.#lastResult }),
    };
  }

  get host(): Host {
    return this.#host.set.host;
  }

  /** @throws ContractError when the plan is not for this session's next window, or its trial is not there. */
  async run(plan: EpochPlan, kernels: KernelArtifacts): Promise<EpochResult> {
    const { spec } = this.#request;
    if (plan.runId !== spec.runId || plan.epoch !== this.#epoch + 1) {
      throw new ContractError(
        `plan: expected window ${this.#epoch + 1} of ${spec.runId}, found window ${plan.epoch} of ${plan.runId}; ask for the status first`,
      );
    }
    const window = await this.#beginWindow(plan, kernels);
    this.#window = window;
    await this.#work(window);
    const measured = window.interrupted ? {} : await this.#measure(window);
    const result = this.#result(window, measured);
    if (!window.interrupted) {
      this.#window = undefined;
      this.#epoch = plan.epoch;
      this.#lastResult = result;
    }
    return result;
  }

  /** K7. @throws InputError the second time. */
  async test(): Promise<Validation> {
    if (this.#tested) {
      throw new InputError("test samples: expected to be read once at a run's end, found a second request; use the first result");
    }
    this.#tested = true;
    return toValidation(await this.#host.evaluateOn("test"));
  }

  snapshot(): SessionSnapshot {
    const { set, learner, ledger } = this.#host;
    const { state, goodTensors } = this.#host.save();
    const trial = this.#trial;
    const kernels = [set.kernel?.hash, trial?.kernel.hash].filter((hash) => hash !== undefined);
    return encodeSnapshot(
      {
        schemaVersion: 1,
        spec: this.#request.spec,
        epoch: this.#epoch,
        host: set.host,
        ...(set.kernel === undefined ? {} : { hostKernelHash: set.kernel.hash }),
        ...state,
        flops: ledger.account,
        ...(trial === undefined ? {} : { trial: trial.state }),
        ...(this.#window === undefined ? {} : { window: this.#window.open }),
        ...(this.#lastResult === undefined ? {} : { lastResult: this.#lastResult }),
        tested: this.#tested,
        kernelHashes: [...new Set(kernels)],
      },
      {
        host: learner.tensors,
        good: goodTensors,
        kernel: trial?.learner.tensors,
        grown: trial?.contest?.grown.tensors,
        twin: trial?.contest?.twin.tensors,
      },
    );
  }

  /** K6. In a session that was opened with the same spec. @throws ContractError when snapshot or kernels do not fit. */
  async restore(snapshot: SessionSnapshot, kernels: KernelArtifacts): Promise<void> {
    const { state, groups } = decodeSnapshot(snapshot, this.#request.spec);
    this.#dropTrial();
    const { hostKernelHash } = state;
    const set =
      hostKernelHash === undefined ? this.#first : foldedHostSet((await this.#dock.acquire(hostKernelHash, kernels)).kernel);
    const ledger = new FlopsLedger(this.#host.ledger.flopsMax, state.flops);
    this.#host = HostTraining.restore(this.#hostOptions, set, ledger, state, groups);
    if (state.trial !== undefined) this.#trial = await this.#dock.restore(state.trial, groups, this.#host, kernels);
    this.#window = state.window && this.#openWindow(state.window.plan, state.window);
    this.#epoch = state.epoch;
    this.#lastResult = state.lastResult;
    this.#tested = state.tested;
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#dock.dispose(), this.#survey.dispose()]);
    await disposeHost(this.#first);
  }

  async #beginWindow(plan: EpochPlan, kernels: KernelArtifacts): Promise<TrainingWindow> {
    const open = this.#window;
    if (open !== undefined && isDeepStrictEqual(open.plan, plan)) {
      const again = this.#openWindow(plan, open.open); // K5
      again.cached.push(...open.cached);
      return again;
    }
    if (open !== undefined) this.#trial?.forgetUnfinished();
    this.#window = undefined;
    const window = this.#openWindow(plan);
    for (const action of plan.before) await this.#apply(action, window, kernels);
    return window;
  }

  async #apply(action: BoundaryAction, window: TrainingWindow, kernels: KernelArtifacts): Promise<void> {
    switch (action.kind) {
      case "load_kernel":
        return this.#load(action, window, kernels);
      case "keep":
        return this.#keep(action, window);
      case "discard":
        return this.#discard(action);
      case "rollback":
        return this.#rollBack();
      case "cache_kernel":
        window.cached.push(await this.#dock.cache(action.kernelHash, this.#host, kernels));
        return;
      case "evict_kernel":
        return this.#dock.evict(action.kernelHash);
    }
  }

  async #load(action: ActionOf<"load_kernel">, window: TrainingWindow, kernels: KernelArtifacts): Promise<void> {
    if (this.#trial !== undefined) {
      throw new ContractError(`load_kernel ${action.seedId}: expected no other trial, found ${this.#trial.seedId} in one`);
    }
    const { trial, measurement } = await this.#dock.load(action, window.plan.epoch, this.#host, kernels);
    this.#trial = trial;
    window.kernel = measurement;
  }

  #keep({ seedId }: ActionOf<"keep">, window: TrainingWindow): void {
    const trial = this.#trial;
    const contest = trial?.contest;
    if (trial?.seedId !== seedId || contest === undefined || !contest.complete) {
      throw new ContractError(`keep ${seedId}: expected its contest to be complete, found none; run fine_tune first`);
    }
    const previous = this.#host.set.kernel;
    this.#host.ledger.rebook("trial", "host", contest.grownFlops);
    this.#host.adopt(contest.grown, foldedHostSet(trial.kernel));
    this.#trial = undefined; // The host uses the kernel's programs from now on.
    if (previous !== undefined) this.#dock.release(previous);
    this.#setAlpha(seedId, 1);
    window.hostChanged = true;
  }

  #discard({ seedId, continueFrom }: ActionOf<"discard">): void {
    const trial = this.#trial;
    // A kernel that failed gate 1 never came into trial: there is nothing to take away.
    if (trial === undefined) return;
    if (trial.seedId !== seedId) throw new ContractError(`discard ${seedId}: expected the seed in trial, ${trial.seedId}`);
    const { contest } = trial;
    if (continueFrom === "twin" && contest?.complete === true) {
      this.#host.ledger.rebook("trial", "host", contest.twinFlops);
      this.#host.adopt(contest.twin); // K2
    }
    this.#setAlpha(seedId, 0);
    this.#dropTrial();
  }

  /** K3. */
  #rollBack(): void {
    if (this.#trial !== undefined) this.#setAlpha(this.#trial.seedId, 0);
    this.#dropTrial();
    this.#host.rollBack();
  }

  async #work(window: TrainingWindow): Promise<void> {
    const { work } = window.plan;
    switch (work.kind) {
      case "host":
        if (this.#trial === undefined) return this.#host.train(window, work.steps);
        throw new ContractError(`work host: expected no trial, found ${this.#trial.seedId} in one; keep it or discard it first`);
      case "load":
        return;
      case "train_kernel":
        return this.#trialOf(work.seedId).train(window, work);
      case "graft":
        await this.#trialOf(work.seedId).graft(window, work);
        return this.#setAlpha(work.seedId, this.#trialOf(work.seedId).alpha);
      case "stabilize":
        return this.#trialOf(work.seedId).stabilize(window, work);
      case "evaluate":
        return this.#trialOf(work.seedId).evaluate(window);
      case "fine_tune":
        return this.#trialOf(work.seedId).fineTune(window, work);
    }
  }

  async #measure({ plan, anomalies }: TrainingWindow): Promise<Measured> {
    if (plan.work.kind !== "host" || anomalies.length > 0) return {};
    const validation = await this.#host.validate();
    const signal = plan.measureSignal
      ? await this.#host.signal(plan.signalBatches ?? 1, plan.measureSpans ?? true, plan.trigger)
      : undefined;
    const parts = plan.measureParts === true ? await this.#host.parts() : undefined;
    return { ...(validation && { validation }), ...(signal && { signal }), ...(parts && { parts }) };
  }

  #result(window: TrainingWindow, measured: Measured): EpochResult {
    const { plan, kernel, meanLoss, meanGradNorm, secondLaneSteps } = window;
    const { work } = plan;
    const { ledger, learner, set, stepFlops, bytes } = this.#host;
    return {
      runId: plan.runId,
      epoch: plan.epoch,
      work: work.kind,
      ...("seedId" in work ? { seedId: work.seedId } : {}),
      interrupted: window.interrupted,
      budgetUsed: !ledger.fits(stepFlops),
      steps: window.steps,
      hostStep: learner.hostStep,
      durationMs: Math.max(0, window.durationMs),
      ...(meanLoss === undefined ? {} : { trainLoss: meanLoss }),
      ...(meanGradNorm === undefined ? {} : { gradNorm: meanGradNorm }),
      ...(secondLaneSteps === 0 ? {} : { secondLaneSteps }),
      ...measured,
      flops: ledger.account,
      parameters: set.summary.parameters,
      ...(kernel === undefined ? {} : { kernel }),
      ...(window.cached.length === 0 ? {} : { cached: [...window.cached] }),
      anomalies: [...window.anomalies],
      ...(window.hostChanged ? { host: set.summary } : {}),
      tensorBytes: bytes + (this.#trial?.bytes ?? 0),
    };
  }

  get #hostOptions() {
    const { spec, dataset } = this.#request;
    return { spec, dataset, probe: this.#probe, survey: this.#survey };
  }

  #openWindow(plan: EpochPlan, open?: TrainingWindow["open"]): TrainingWindow {
    const { table, spec } = this.#request;
    const { nowMs, tell } = this.#ports;
    return new TrainingWindow(plan, { ledger: this.#host.ledger, table, nowMs, tell, progressHz: spec.progressHz }, open);
  }

  #trialOf(seedId: string): Trial {
    if (this.#trial?.seedId === seedId) return this.#trial;
    const found = this.#trial === undefined ? "no trial" : this.#trial.seedId;
    throw new ContractError(`trial of ${seedId}: expected its kernel to be loaded, found ${found}; load it at a boundary first`);
  }

  #dropTrial(): void {
    if (this.#trial !== undefined) this.#dock.release(this.#trial.kernel);
    this.#trial = undefined;
  }

  #setAlpha(seedId: string, alpha: number): void {
    const { table, seedIds } = this.#request;
    const row = seedIds.indexOf(seedId);
    if (row < 0) return;
    table.setAlpha(row, alpha);
    table.setEpoch(row, this.#epoch + 1);
  }
}
