/**
 * A kernel in trial beside a frozen host: alone, blended in, settled, judged with and without, and at last against a twin.
 *
 * K1 Until the verdict nothing here writes to the host: the kernel's step has no update for it, and the contest works on copies.
 * K2 The kernel draws from streams of its own; the host's cursor does not move.
 * K3 The governor's rule watches every step that is taken here; each window and each side starts it afresh.
 * K4 What could not be measured, for want of budget or because a loss was not finite, is absent.
 * K5 A program of the kernel that throws ends the window as an anomaly and nothing else.
 */
import type { Tensor } from "../../contracts/graph.ts";
import type { KernelMeasurement } from "../../contracts/measure.ts";
import type { Work } from "../../contracts/plan.ts";
import { trainingSteps } from "../../contracts/trial.ts";
import type { Executable } from "../../engine/engine.ts";
import { alphaInput } from "../../graph/rewrite.ts";
import { alphaAt } from "../../growth/alpha.ts";
import { initialGovernor, observeLoss, replayLosses } from "../../growth/governor.ts";
import { pairedGain } from "../../growth/paired.ts";
import { mean, relativeSlope, relativeSlopeError } from "../../growth/statistics.ts";
import type { LearnerState, TrialState } from "../session-state.ts";
import type { Contest, ContestOptions } from "./contest.ts";
import { contestCost, contestStep, frozenContest, measureVerdict, openContest, pruningStepFlops } from "./contest.ts";
import { evaluationRuns, feedsFor, screenLosses } from "./evaluation.ts";
import type { FlopsKind } from "./flops.ts";
import { KernelFailure } from "./kernel-failure.ts";
import type { LoadedKernel } from "./kernels.ts";
import { allFinite, bytesOf, type Learner, type StepResult, scalar } from "./learner.ts";
import { openTwinSide } from "./twin-side.ts";
import type { LoopEnd, TrainingWindow } from "./window.ts";

export type TrialOptions = ContestOptions;

/** K4 */
const measured = <K extends string>(name: K, value: number | undefined): { readonly [P in K]?: number } =>
  value === undefined || !Number.isFinite(value) ? {} : ({ [name]: value } as { readonly [P in K]?: number });

const ratio = (value: number | undefined, base: number | undefined): number | undefined =>
  value === undefined || base === undefined ? undefined : value / base;

type WorkOf<K extends Work["kind"]> = Extract<Work, { kind: K }>;

export class Trial {
  readonly kernel: LoadedKernel;
  readonly learner: Learner;
  alpha = 0;
  trainingGradNorm: number | undefined;
  contest: Contest | undefined;
  readonly #options: TrialOptions;

  constructor(options: TrialOptions) {
    this.#options = options;
    this.kernel = options.kernel;
    this.learner = options.learner;
  }

  get seedId(): string {
    return this.kernel.key.seedId;
  }

  get bytes(): number {
    const sides = this.contest === undefined ? [] : [this.contest.grown, this.contest.twin];
    return [this.learner, ...sides].reduce((sum, { tensors }) => sum + bytesOf(tensors), 0);
  }

  get state(): TrialState {
    const { contest } = this;
    const sides = contest && { ...contest, grown: contest.grown.state, twin: contest.twin.state };
    return {
      seedId: this.seedId,
      kernelHash: this.kernel.hash,
      key: this.kernel.key,
      kernel: this.learner.state,
      alpha: this.alpha,
      ...(this.trainingGradNorm === undefined ? {} : { trainingGradNorm: this.trainingGradNorm }),
      ...(sides === undefined ? {} : { contest: sides }),
    };
  }

  /** TRAINING: the kernel alone at alpha 1 on the task loss. */
  train(window: TrainingWindow, work: WorkOf<"train_kernel">): Promise<void> {
    return this.#guarded(window, () => this.#train(window, work));
  }

  async #train(window: TrainingWindow, work: WorkOf<"train_kernel">): Promise<void> {
    const end = await this.#kernelSteps(window, work.steps, () => 1);
    if (end === "interrupted" || window.anomalies.length > 0) return;
    const finite = this.#finite(window);
    if (finite) this.trainingGradNorm = window.meanGradNorm;
    // Only the last window can pass the gate, so only that one pays for it.
    const { config } = this.#options;
    const steps = trainingSteps(config, this.kernel.key.request);
    const { confidence } = config.training;
    const complete = window.steps === work.steps && (this.learner.state.cohortSteps[this.seedId] ?? 0) >= steps;
    const gain = finite && complete ? await this.#screen(confidence, 2) : {};
    const { meanLoss: loss, meanGradNorm: gradNorm } = window;
    if (loss === undefined || gradNorm === undefined) return; // K4
    window.kernel = { kind: "trained", steps: window.steps, loss, gradNorm, finite, ...gain };
  }

  /** GRAFTING: alpha follows the schedule step by step and the kernel goes on learning. */
  graft(window: TrainingWindow, work: WorkOf<"graft">): Promise<void> {
    return this.#guarded(window, () => this.#graft(window, work));
  }

  async #graft(window: TrainingWindow, work: WorkOf<"graft">): Promise<void> {
    const { schedule } = this.#options.config.grafting;
    const { progressFrom, progressTo, steps } = work;
    const end = await this.#kernelSteps(window, steps, (index) => {
      this.alpha = alphaAt(schedule, progressFrom + ((progressTo - progressFrom) * (index + 1)) / steps);
      return this.#standsAlone ? 1 : this.alpha;
    });
    if (end === "interrupted" || window.anomalies.length > 0) return;
    const finite = this.#finite(window);
    const grown = finite ? await this.#grownLosses(this.alpha, 1) : undefined;
    const without = mean(await this.#hostLosses());
    window.kernel = {
      kind: "grafted",
      alpha: this.alpha,
      finite,
      ...measured("drift", grown && (mean(grown) - without) / without),
      ...measured("gradientRatio", finite ? ratio(window.meanGradNorm, this.trainingGradNorm) : undefined),
    };
  }

  /** STABILIZATION: forward passes over the kernel's next batches; nobody learns. */
  stabilize(window: TrainingWindow, work: WorkOf<"stabilize">): Promise<void> {
    return this.#guarded(window, () => this.#stabilize(window, work));
  }

  async #stabilize(window: TrainingWindow, work: WorkOf<"stabilize">): Promise<void> {
    const { programs, flops } = this.kernel;
    const end = await window.run({
      steps: work.steps,
      kind: "kernel",
      flopsOf: () => flops.grownEvaluate,
      step: async () => {
        const batch = this.learner.nextBatch();
        const feeds = feedsFor(programs.grownEvaluate, { ...this.#tensors(1), x: batch.x, y: batch.y });
        return { loss: mean((await programs.grownEvaluate.run(feeds))["lossPerSample"]!.data), gradNorm: 0 };
      },
      goesOn: this.#watch(window),
    });
    if (end === "interrupted" || window.anomalies.length > 0) return;
    const whole = window.finite && window.steps === work.steps;
    const change = whole ? relativeSlope(window.losses) : undefined;
    const error = whole ? relativeSlopeError(window.losses) : undefined;
    const { meanLoss } = window;
    if (meanLoss === undefined) return; // K4
    window.kernel = {
      kind: "stabilized",
      finite: window.finite,
      meanLoss,
      ...measured("relativeSlope", change),
      ...measured("relativeSlopeError", error),
    };
  }

  /** EVALUATING: with and without on the same samples, exact because the host did not move. */
  evaluate(window: TrainingWindow): Promise<void> {
    return this.#guarded(window, async () => {
      const gain = await this.#screen(this.#options.config.evaluation.confidence, 1);
      window.kernel = { kind: "evaluated", ...gain, ...pruningStepFlops(this.#options) };
    });
  }

  /** FINE_TUNING: grown copy and twin, in turn or each in a lane of its own; then the verdict's measurement. */
  fineTune(window: TrainingWindow, work: WorkOf<"fine_tune">): Promise<void> {
    return this.#guarded(window, () => this.#fineTune(window, work));
  }

  async #fineTune(window: TrainingWindow, work: WorkOf<"fine_tune">): Promise<void> {
    const { host, ledger, config, twins } = this.#options;
    const cost = contestCost(this.#options, work.steps);
    const steps = (): { grownSteps: number; twinSteps: number } => {
      const { grownSteps, twinSteps } = this.contest ?? { grownSteps: 0, twinSteps: 0 };
      return { grownSteps, twinSteps };
    };
    if (window.steps === 0 && !ledger.fits(cost.totalFlops)) {
      window.kernel = { kind: "fine_tuned", finite: true, ...steps() }; // K4
      return;
    }
    let end: LoopEnd;
    if (config.base === "frozen") {
      end = await this.#kernelSteps(window, work.steps, () => 1, "trial");
      if (end === "complete")
        this.contest = frozenContest(this.#options, this.contest, work.steps, work.steps * cost.grownStepFlops);
    } else {
      this.contest ??= openContest(this.#options);
      const contest = this.contest;
      contest.complete = false;
      // A window that goes on with the twin's own steps has nothing left to do beside them.
      const twin = openTwinSide(contest, host, twins, window.steps < work.steps ? cost.twinSteps : 0);
      try {
        end = await window.run({
          steps: work.steps + cost.twinSteps,
          kind: "trial",
          flopsOf: (index) => (index < work.steps ? cost.grownStepFlops : host.stepFlops),
          step: (index) => contestStep(contest, this.#options, twin, index < work.steps),
          taken: twin.taken,
          goesOn: this.#watch(window, work.steps),
        });
      } finally {
        await twin.settle();
        window.secondLaneSteps = twin.aheadSteps;
      }
    }
    if (end === "interrupted" || window.anomalies.length > 0) return;
    const { contest } = this;
    if (contest === undefined) return; // K4
    contest.complete = end === "complete" && allFinite(contest.twin.tensors);
    const finite = contest.complete && allFinite(contest.grown.tensors);
    const verdict = finite ? await measureVerdict(contest, this.#options, cost) : {};
    const roundFlops = contestCost(this.#options, config.fineTuning.steps).totalFlops;
    window.kernel = {
      kind: "fine_tuned",
      finite,
      ...steps(),
      ...verdict,
      roundFits: this.#options.ledger.fits(roundFlops),
      roundFlops,
    };
  }

  /** A contest that was cut short decides nothing. */
  forgetUnfinished(): void {
    if (this.contest?.complete === false) this.contest = undefined;
  }

  /** Brings a contest back that was saved; tensors are those of the two sides. */
  restoreContest(
    saved: NonNullable<TrialState["contest"]>,
    side: (name: "grown" | "twin", executable: Executable, state: LearnerState) => Learner,
  ): void {
    this.contest = {
      ...saved,
      grown: side("grown", this.kernel.programs.jointStep, saved.grown),
      twin: side("twin", this.#options.host.learner.executable, saved.twin),
    };
  }

  /** A replacement is to do without what it is blended with: on the way it goes on learning from its own loss. */
  get #standsAlone(): boolean {
    return this.kernel.key.request.kind === "replacement";
  }

  /** Validation samples that the gates before the verdict look at. */
  get #screenSamples(): number {
    return Math.min(this.#options.config.screenSamples, this.#options.dataset.validation.count);
  }

  async #hostLosses(): Promise<Float32Array> {
    return (await this.#options.host.losses()).losses.subarray(0, this.#screenSamples);
  }

  /** Everything that a grown program reads, at the given alpha. */
  #tensors(alpha: number): Record<string, Tensor> {
    return {
      ...Object.fromEntries(this.#options.host.learner.tensors),
      ...Object.fromEntries(this.learner.tensors),
      [alphaInput(this.seedId)]: scalar(alpha),
    };
  }

  #finite(window: TrainingWindow): boolean {
    return window.finite && allFinite(this.learner.tensors);
  }

  /** K5 */
  async #guarded(window: TrainingWindow, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof KernelFailure)) throw error;
      window.kernel = undefined;
      window.anomalies.push({ kind: "kernel_failed", step: window.steps, detail: error.message });
    }
  }

  /** K3: whether the next step makes sense. `secondFrom` is the step at which the other side begins. */
  #watch(window: TrainingWindow, secondFrom = Number.POSITIVE_INFINITY): (result: StepResult, index: number) => boolean {
    const { governor: config } = this.#options.host;
    let state = replayLosses(window.losses.slice(window.losses.length >= secondFrom ? secondFrom : 0), config);
    return ({ loss }, index) => {
      window.losses.push(loss);
      const [next, anomaly] = observeLoss(index === secondFrom ? initialGovernor : state, loss, index + 1, config);
      state = next;
      if (anomaly !== undefined) window.anomalies.push(anomaly);
      return anomaly === undefined;
    };
  }

  #kernelSteps(window: TrainingWindow, steps: number, alphaOf: (index: number) => number, kind: FlopsKind = "kernel") {
    const frozen = Object.fromEntries(this.#options.host.learner.tensors); // K1
    return window.run({
      steps,
      kind,
      flopsOf: () => this.kernel.flops.kernelStep,
      step: (index) => this.learner.step({ ...frozen, [alphaInput(this.seedId)]: scalar(alphaOf(index)) }, 0),
      goesOn: this.#watch(window),
    });
  }

  /** Losses of the screened samples with the kernel. `evaluations` are charged; K4 where they do not fit. */
  async #grownLosses(alpha: number, evaluations: 1 | 2): Promise<Float32Array | undefined> {
    const { ledger, host, dataset } = this.#options;
    const runs = evaluationRuns(this.#screenSamples, this.kernel.key.batchSize);
    const flops = runs * (this.kernel.flops.grownEvaluate + (evaluations - 1) * host.evaluateFlops);
    if (!ledger.fits(flops)) return undefined;
    ledger.charge("gate", flops);
    return screenLosses(this.kernel.programs.grownEvaluate, this.#tensors(alpha), dataset, this.#screenSamples);
  }

  async #screen(confidence: number, evaluations: 1 | 2): Promise<Pick<KernelMeasurement & { kind: "evaluated" }, "gain">> {
    const grown = await this.#grownLosses(1, evaluations);
    if (grown === undefined) return {};
    const gain = pairedGain(await this.#hostLosses(), grown, confidence);
    return gain === undefined ? {} : { gain };
  }
}
