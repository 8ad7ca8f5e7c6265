/**
 * The host of a session: its programs, its learner, the governor that watches it, and the last good snapshot to go back to.
 *
 * H1 The last good snapshot is the host at the end of the last window without an anomaly, or as it came out of a verdict.
 * H2 A rollback restores tensors, slots, random state, cursor, step count and governor of that snapshot bit for bit.
 * H3 Validation losses are measured once for a host that does not move.
 * H4 A frozen base takes no steps: its windows run forward over the batches and change nothing of its tensors.
 */
import type { GovernorConfig } from "../../contracts/config.ts";
import type { TriggerConfig } from "../../contracts/config-signal.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { Validation } from "../../contracts/measure.ts";
import type { SessionSpec } from "../../contracts/plan.ts";
import type { HostParts } from "../../contracts/pruning.ts";
import type { Signal } from "../../contracts/signal.ts";
import type { Executable } from "../../engine/engine.ts";
import type { GovernorState } from "../../growth/governor.ts";
import { initialGovernor, observeLoss } from "../../growth/governor.ts";
import { mean } from "../../growth/statistics.ts";
import type { LearnerState, SessionState } from "../session-state.ts";
import type { SplitLosses } from "./evaluation.ts";
import { evaluateSplit, evaluationRuns, feedsFor, toValidation } from "./evaluation.ts";
import type { FlopsLedger } from "./flops.ts";
import type { FrozenHost } from "./frozen-host.ts";
import { hostLearner } from "./host-learner.ts";
import type { HostSet } from "./host-set.ts";
import type { Learner, TensorMap } from "./learner.ts";
import { allFinite, bytesOf, copyTensors } from "./learner.ts";
import type { SignalProbe } from "./signal.ts";
import type { PartsSurvey } from "./survey.ts";
import type { TrainingWindow } from "./window.ts";

export interface HostTrainingOptions {
  readonly spec: SessionSpec;
  readonly dataset: DatasetBuffers;
  readonly probe: SignalProbe;
  readonly survey: PartsSurvey;
}

export interface HostStart {
  readonly set: HostSet;
  readonly tensors: TensorMap;
  readonly state: LearnerState;
}

interface GoodSnapshot {
  readonly tensors: TensorMap;
  readonly state: LearnerState;
  readonly governor: GovernorState;
}

export class HostTraining implements FrozenHost {
  readonly #options: HostTrainingOptions;
  readonly ledger: FlopsLedger;
  #set: HostSet;
  #learner: Learner;
  #governor: GovernorState = initialGovernor;
  #good: GoodSnapshot;
  /** It moved since the last good snapshot. */
  #moved = false;
  #losses: SplitLosses | undefined;

  constructor(options: HostTrainingOptions, start: HostStart, ledger: FlopsLedger) {
    this.#options = options;
    this.ledger = ledger;
    this.#set = start.set;
    this.#learner = this.learnerOf(start.set.programs.step, start.tensors, start.state);
    this.#good = this.#copyGood();
  }

  get set(): HostSet {
    return this.#set;
  }
  get learner(): Learner {
    return this.#learner;
  }
  get stepFlops(): number {
    return this.#set.flops.step;
  }
  get governor(): GovernorConfig {
    return this.#options.spec.governor;
  }
  get evaluate(): Executable {
    return this.#set.programs.evaluate;
  }
  get evaluateFlops(): number {
    return this.#set.flops.evaluate;
  }
  /** The host, its spare buffers and its last good snapshot. */
  get bytes(): number {
    return 3 * bytesOf(this.#learner.tensors);
  }

  /** A learner on this session's data, optimizer and schedule. */
  learnerOf(executable: Executable, tensors: TensorMap, state: LearnerState): Learner {
    return hostLearner(this.#options, executable, tensors, state);
  }

  /** Steps until the window is done, the budget used, or the governor alarmed. */
  async train(window: TrainingWindow, steps: number): Promise<void> {
    if (this.#isFrozen) return this.#passOver(window, steps);
    const end = await window.run({
      steps,
      kind: "host",
      flopsOf: () => this.stepFlops,
      step: () => {
        this.#moved = true;
        this.#losses = undefined; // H3
        return this.#learner.step();
      },
      goesOn: ({ loss }) => {
        const [governor, anomaly] = observeLoss(this.#governor, loss, this.#learner.hostStep, this.#options.spec.governor);
        this.#governor = governor;
        if (anomaly !== undefined) window.anomalies.push(anomaly);
        return anomaly === undefined;
      },
    });
    if (end === "interrupted" || end === "halted") return;
    if (allFinite(this.#learner.tensors)) {
      this.#markGood(); // H1
      return;
    }
    const step = this.#learner.hostStep;
    const detail = `expected finite parameters and moments after step ${step}, found others`;
    window.anomalies.push({ kind: "non_finite_parameters", step, detail });
  }

  get #isFrozen(): boolean {
    return this.#options.spec.morphogenetic.base === "frozen";
  }

  /** H4. What a window of a base in use costs: a forward pass for each batch. */
  async #passOver(window: TrainingWindow, steps: number): Promise<void> {
    const end = await window.run({
      steps,
      kind: "host",
      flopsOf: () => this.evaluateFlops,
      step: async () => {
        this.#moved = true; // The cursor, not the tensors.
        const { x, y } = this.#learner.nextBatch();
        const feeds = feedsFor(this.evaluate, { ...Object.fromEntries(this.#learner.tensors), x, y });
        return { loss: mean((await this.evaluate.run(feeds))["lossPerSample"]!.data), gradNorm: 0 };
      },
      goesOn: ({ loss }, index) => {
        if (Number.isFinite(loss)) return true;
        const detail = `expected a finite loss of the frozen base, found ${loss}`;
        window.anomalies.push({ kind: "non_finite_loss", step: index + 1, detail });
        return false;
      },
    });
    if (end === "complete" || end === "budget") this.#markGood(); // H1
  }

  /** Goes on with what came out of a verdict, finite and validated (H1). */
  adopt(learner: Learner, set: HostSet = this.#set): void {
    this.#set = set;
    this.#learner = learner;
    this.#losses = undefined;
    this.#markGood();
  }

  /** H2. */
  rollBack(): void {
    const { tensors, state, governor } = this.#good;
    this.#learner = this.learnerOf(this.#set.programs.step, copyTensors(tensors), state);
    this.#governor = governor;
    this.#moved = false;
    this.#losses = undefined;
  }

  /** Validation loss and accuracy: monitoring, not charged. */
  async validate(): Promise<Validation | undefined> {
    const validation = toValidation(await this.losses());
    const runs = evaluationRuns(this.#options.dataset.validation.count, this.#options.spec.batchSize);
    this.ledger.monitor(runs * this.evaluateFlops);
    return Number.isFinite(validation.loss) ? validation : undefined;
  }

  /** The signal over so many pooled batches, charged; absent where the budget has no room for it. `trigger`: another one than the configuration's. */
  async signal(batches: number, withSpans: boolean, trigger?: TriggerConfig): Promise<Signal | undefined> {
    const { programs, flops, host } = this.#set;
    const { morphogenetic } = this.#options.spec;
    if (!this.ledger.fits(batches * flops.signal + (withSpans ? flops.spans : 0))) return undefined;
    const sources = {
      host,
      signal: programs.signal,
      spans: programs.spans,
      tensors: Object.fromEntries(this.#learner.tensors),
      dataset: this.#options.dataset,
      config: trigger === undefined ? morphogenetic : { ...morphogenetic, trigger },
      batches,
      withSpans,
      validationLoss: mean((await this.losses()).losses),
    };
    const { signal, ran, ranSpans } = await this.#options.probe.read(
      sources,
      `step${this.#learner.hostStep} after ${this.ledger.account.signal}`,
    );
    this.ledger.charge("signal", ran * flops.signal + (ranSpans ? flops.spans : 0));
    return signal;
  }

  /** Which parts earn their cost, charged; absent where the budget has no room for it. */
  async parts(): Promise<HostParts | undefined> {
    const { ledger, stepFlops } = this;
    const { tensors, hostStep } = this.#learner;
    const sources = { host: this.#set.host, tensors, stepFlops, losses: await this.losses(), ledger };
    return this.#options.survey.read(sources, `step${hostStep}`);
  }

  /** H3. */
  async losses(): Promise<SplitLosses> {
    this.#losses ??= await this.evaluateOn("validation");
    return this.#losses;
  }

  evaluateOn(split: "validation" | "test"): Promise<SplitLosses> {
    return evaluateSplit(this.evaluate, Object.fromEntries(this.#learner.tensors), this.#options.dataset, split);
  }

  /** What a checkpoint keeps of it; `goodTensors` only where the last good host is another. */
  save(): { readonly state: Pick<SessionState, "learner" | "governor" | "good">; readonly goodTensors: TensorMap | undefined } {
    const record = ({ losses, spikes }: GovernorState) => ({ losses: [...losses], spikes });
    const good = { learner: this.#good.state, governor: record(this.#good.governor) };
    return {
      state: { learner: this.#learner.state, governor: record(this.#governor), ...(this.#moved ? { good } : {}) },
      goodTensors: this.#moved ? this.#good.tensors : undefined,
    };
  }

  /** The host that `save` described. */
  static restore(
    options: HostTrainingOptions,
    set: HostSet,
    ledger: FlopsLedger,
    saved: Pick<SessionState, "learner" | "governor" | "good">,
    tensors: { readonly host: TensorMap; readonly good: TensorMap },
  ): HostTraining {
    const host = new HostTraining(options, { set, tensors: tensors.host, state: saved.learner }, ledger);
    host.#governor = saved.governor;
    if (saved.good === undefined) host.#markGood();
    else {
      host.#good = { tensors: tensors.good, state: saved.good.learner, governor: saved.good.governor };
      host.#moved = true;
    }
    return host;
  }

  #markGood(): void {
    this.#good = this.#copyGood();
    this.#moved = false;
  }

  #copyGood(): GoodSnapshot {
    return { tensors: copyTensors(this.#learner.tensors), state: this.#learner.state, governor: this.#governor };
  }
}
