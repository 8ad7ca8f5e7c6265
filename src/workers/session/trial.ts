/**
 * A kernel in trial beside a frozen host: alone, blended in, settled, judged with and without, and at last against a twin.
 *
 * K1 Until the verdict nothing here writes to the host: the kernel's step has no update for it, and the contest works on copies.
 * K2 The kernel draws from streams of its own; the host's cursor does not move.
 * K3 The grown copy and the twin start from the same snapshot, see the same batches in the same order, and get equal FLOPs: the
 *    twin takes the more steps, ⌊steps · FLOPs of a joint step / FLOPs of a host step⌋.
 * K4 What could not be measured, for want of budget or because a loss was not finite, is absent.
 */
import type { MorphogeneticConfig } from "../../contracts/config.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { KernelMeasurement } from "../../contracts/measure.ts";
import type { Work } from "../../contracts/plan.ts";
import type { Executable } from "../../engine/engine.ts";
import { alphaInput } from "../../graph/rewrite.ts";
import { alphaAt } from "../../growth/alpha.ts";
import { pairedGain } from "../../growth/paired.ts";
import { mean, relativeSlope } from "../../growth/statistics.ts";
import type { LearnerState, TrialState } from "../session-state.ts";
import type { SplitLosses } from "./evaluation.ts";
import { evaluateSplit, evaluationRuns, feedsFor } from "./evaluation.ts";
import type { FlopsLedger } from "./flops.ts";
import type { LoadedKernel } from "./kernels.ts";
import { allFinite, bytesOf, type Learner, scalar } from "./learner.ts";
import type { TrainingWindow } from "./window.ts";

/** The host that a trial stands beside. */
export interface FrozenHost {
  readonly learner: Learner;
  readonly stepFlops: number;
  readonly evaluate: Executable;
  readonly evaluateFlops: number;
  /** Validation losses of the host as it stands; measured once while it is frozen. */
  losses(): Promise<SplitLosses>;
}

export interface Contest {
  readonly grown: Learner;
  readonly twin: Learner;
  grownSteps: number;
  twinSteps: number;
  grownFlops: number;
  twinFlops: number;
  complete: boolean;
}

export interface TrialOptions {
  readonly kernel: LoadedKernel;
  readonly learner: Learner;
  readonly host: FrozenHost;
  readonly dataset: DatasetBuffers;
  readonly ledger: FlopsLedger;
  readonly config: MorphogeneticConfig;
}

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
  async train(window: TrainingWindow, work: WorkOf<"train_kernel">): Promise<void> {
    const end = await this.#kernelSteps(window, work.steps, () => 1);
    if (end === "interrupted") return;
    const finite = this.#finite(window);
    if (finite) this.trainingGradNorm = window.meanGradNorm;
    // Only the last window can pass the gate, so only that one pays for it.
    const { steps, confidence } = this.#options.config.training;
    const complete = window.steps === work.steps && (this.learner.state.cohortSteps[this.seedId] ?? 0) >= steps;
    const gain = finite && complete ? await this.#screen(confidence, 2) : {};
    const { meanLoss: loss, meanGradNorm: gradNorm } = window;
    if (loss === undefined || gradNorm === undefined) return; // K4
    window.kernel = { kind: "trained", steps: window.steps, loss, gradNorm, finite, ...gain };
  }

  /** GRAFTING: alpha follows the schedule step by step and the kernel goes on learning. */
  async graft(window: TrainingWindow, work: WorkOf<"graft">): Promise<void> {
    const { schedule } = this.#options.config.grafting;
    const { progressFrom, progressTo, steps } = work;
    const end = await this.#kernelSteps(window, steps, (index) => {
      this.alpha = alphaAt(schedule, progressFrom + ((progressTo - progressFrom) * (index + 1)) / steps);
      return this.alpha;
    });
    if (end === "interrupted") return;
    const finite = this.#finite(window);
    const grown = finite ? await this.#grownLosses(this.alpha, 1) : undefined;
    const without = mean((await this.#options.host.losses()).losses);
    window.kernel = {
      kind: "grafted",
      alpha: this.alpha,
      finite,
      ...measured("drift", grown && (mean(grown) - without) / without),
      ...measured("gradientRatio", finite ? ratio(window.meanGradNorm, this.trainingGradNorm) : undefined),
    };
  }

  /** STABILIZATION: forward passes over the kernel's next batches; nobody learns. */
  async stabilize(window: TrainingWindow, work: WorkOf<"stabilize">): Promise<void> {
    const { programs, flops } = this.kernel;
    const end = await window.run({
      steps: work.steps,
      kind: "kernel",
      flopsOf: () => flops.grownEvaluate,
      step: async () => {
        const batch = this.learner.nextBatch();
        const feeds = feedsFor(programs.grownEvaluate, { ...this.#tensors(1), x: batch.x, y: batch.y });
        const loss = mean((await programs.grownEvaluate.run(feeds))["lossPerSample"]!.data);
        window.losses.push(loss);
        return { loss, gradNorm: 0 };
      },
      goesOn: ({ loss }) => Number.isFinite(loss),
    });
    if (end === "interrupted") return;
    const change = window.finite && window.steps === work.steps ? relativeSlope(window.losses) : undefined;
    const { meanLoss } = window;
    if (meanLoss === undefined) return; // K4
    window.kernel = { kind: "stabilized", finite: window.finite, meanLoss, ...measured("relativeSlope", change) };
  }

  /** EVALUATING: with and without on the same samples, exact because the host did not move. */
  async evaluate(window: TrainingWindow): Promise<void> {
    window.kernel = { kind: "evaluated", ...(await this.#screen(this.#options.config.evaluation.confidence, 1)) };
  }

  /** FINE_TUNING: grown copy and twin, one after the other; then the verdict's measurement (K3). */
  async fineTune(window: TrainingWindow, work: WorkOf<"fine_tune">): Promise<void> {
    const { host, ledger, config } = this.#options;
    const { jointStep, foldedEvaluate } = this.kernel.flops;
    const twinSteps = Math.floor((work.steps * jointStep) / host.stepFlops);
    const gateFlops = this.#runs * (foldedEvaluate + host.evaluateFlops);
    const wanted = work.steps * jointStep + twinSteps * host.stepFlops + gateFlops;
    if (this.contest === undefined && !ledger.fits(wanted)) {
      window.kernel = { kind: "fine_tuned", finite: true, grownSteps: 0, twinSteps: 0 }; // K4
      return;
    }
    this.contest ??= this.#openContest();
    const contest = this.contest;
    const end = await window.run({
      steps: work.steps + twinSteps,
      kind: "trial",
      flopsOf: (index) => (index < work.steps ? jointStep : host.stepFlops),
      step: (index) => this.#contestStep(contest, index < work.steps),
      goesOn: ({ loss }) => Number.isFinite(loss),
    });
    if (end === "interrupted") return;
    contest.complete = window.steps === work.steps + twinSteps && allFinite(contest.twin.tensors);
    const finite = contest.complete && allFinite(contest.grown.tensors);
    const gain = finite ? await this.#verdict(contest, config.fineTuning.confidence) : {};
    window.kernel = { kind: "fine_tuned", finite, grownSteps: contest.grownSteps, twinSteps: contest.twinSteps, ...gain };
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

  get #runs(): number {
    return evaluationRuns(this.#options.dataset.validation.count, this.kernel.key.batchSize);
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

  #kernelSteps(window: TrainingWindow, steps: number, alphaOf: (index: number) => number) {
    const frozen = Object.fromEntries(this.#options.host.learner.tensors); // K1
    return window.run({
      steps,
      kind: "kernel",
      flopsOf: () => this.kernel.flops.kernelStep,
      step: (index) => this.learner.step({ ...frozen, [alphaInput(this.seedId)]: scalar(alphaOf(index)) }, 0),
      goesOn: ({ loss }) => Number.isFinite(loss),
    });
  }

  /** Validation losses with the kernel. `evaluations` are charged; K4 where they do not fit. */
  async #grownLosses(alpha: number, evaluations: 1 | 2): Promise<Float32Array | undefined> {
    const { ledger, host, dataset } = this.#options;
    const flops = this.#runs * (this.kernel.flops.grownEvaluate + (evaluations - 1) * host.evaluateFlops);
    if (!ledger.fits(flops)) return undefined;
    ledger.charge("gate", flops);
    return (await evaluateSplit(this.kernel.programs.grownEvaluate, this.#tensors(alpha), dataset, "validation")).losses;
  }

  async #screen(confidence: number, evaluations: 1 | 2): Promise<Pick<KernelMeasurement & { kind: "evaluated" }, "gain">> {
    const grown = await this.#grownLosses(1, evaluations);
    if (grown === undefined) return {};
    const gain = pairedGain((await this.#options.host.losses()).losses, grown, confidence);
    return gain === undefined ? {} : { gain };
  }

  #openContest(): Contest {
    const { learner: host } = this.#options.host;
    const grown = host.copy(this.kernel.programs.jointStep, this.learner.tensors);
    grown.adoptSteps(this.learner.state.cohortSteps);
    return { grown, twin: host.copy(), grownSteps: 0, twinSteps: 0, grownFlops: 0, twinFlops: 0, complete: false };
  }

  async #contestStep(contest: Contest, isGrown: boolean) {
    if (isGrown) {
      contest.grownSteps++;
      contest.grownFlops += this.kernel.flops.jointStep;
      return contest.grown.step();
    }
    contest.twinSteps++;
    contest.twinFlops += this.#options.host.stepFlops;
    return contest.twin.step();
  }

  async #verdict({ grown, twin }: Contest, confidence: number) {
    const { host, ledger, dataset } = this.#options;
    ledger.charge("gate", this.#runs * (this.kernel.flops.foldedEvaluate + host.evaluateFlops));
    const without = await evaluateSplit(host.evaluate, Object.fromEntries(twin.tensors), dataset, "validation");
    const programs = this.kernel.programs;
    const withSeed = await evaluateSplit(programs.foldedEvaluate, Object.fromEntries(grown.tensors), dataset, "validation");
    const gain = pairedGain(without.losses, withSeed.losses, confidence);
    return gain === undefined ? {} : { gain };
  }
}
