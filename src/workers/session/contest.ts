/**
 * The contest that a trial ends with: the grown copy against the host-only twin.
 *
 * C1 Both start from the same snapshot, see the same batches in the same order, and get equal FLOPs: the twin takes the more steps,
 *    ⌊steps · FLOPs of a joint step / FLOPs of a host step⌋.
 * C2 Beside a frozen base only the kernel learns; the twin is the base itself and takes no steps.
 * C3 A further window goes on where the last one ended.
 * C4 What could not be measured is absent.
 * C5 A pruned copy is the host without the parts: what is left of its tensors and moments, and its counts, as they stand. It and its twin
 *    take equal steps, the harder test for what costs less; parts that do nothing then make no difference but rounding.
 * C6 A replaced copy is the host with the trained tail's parameters and moments under its own names: its steps cost what the twin's do.
 */
import { type MorphogeneticConfig, readingConfidence } from "../../contracts/config-morphogenetic.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { Judgement, PairedGain } from "../../contracts/measure.ts";
import type { PruneTarget, StepFlopsChange } from "../../contracts/pruning.ts";
import type { Executable } from "../../engine/engine.ts";
import { pruneTarget } from "../../graph/prune.ts";
import { brierScores, type ContestSide, judgeContest, judgePruning } from "../../growth/judges.ts";
import { pairedGain } from "../../growth/paired.ts";
import type { SplitLosses } from "./evaluation.ts";
import { evaluateSplit, evaluationRuns } from "./evaluation.ts";
import type { FlopsLedger } from "./flops.ts";
import type { FrozenHost } from "./frozen-host.ts";
import { KernelFailure } from "./kernel-failure.ts";
import type { LoadedKernel } from "./kernels.ts";
import type { Learner, StepResult, TensorMap } from "./learner.ts";
import { copyTensors } from "./learner.ts";
import { replacedTensors } from "./replaced.ts";
import type { TwinLane } from "./twin-lane.ts";
import type { TwinSide } from "./twin-side.ts";

export interface Contest {
  readonly grown: Learner;
  twin: Learner;
  grownSteps: number;
  twinSteps: number;
  grownFlops: number;
  twinFlops: number;
  complete: boolean;
}

export interface ContestOptions {
  readonly kernel: LoadedKernel;
  /** The kernel's own learner, as it came out of the trial. */
  readonly learner: Learner;
  readonly host: FrozenHost;
  readonly dataset: DatasetBuffers;
  readonly ledger: FlopsLedger;
  readonly config: MorphogeneticConfig;
  /** Takes the twin's steps beside the grown copy's; absent where both are taken here in turn. */
  readonly twins: TwinLane | undefined;
}

export interface ContestCost {
  /** Steps of each side in one window. */
  readonly grownSteps: number;
  readonly twinSteps: number;
  readonly grownStepFlops: number;
  readonly verdictFlops: number;
  readonly totalFlops: number;
}

export const contestCost = ({ kernel, host, dataset, config }: ContestOptions, steps: number): ContestCost => {
  const frozen = config.base === "frozen";
  const grownStepFlops = frozen ? kernel.flops.kernelStep : kernel.flops.jointStep;
  const parity = kernel.key.prune === undefined ? Math.floor((steps * grownStepFlops) / host.stepFlops) : steps; // C1, C5
  const twinSteps = frozen ? 0 : parity; // C2
  const runs = evaluationRuns(dataset.validation.count, kernel.key.batchSize);
  const verdictFlops = runs * (kernel.flops.foldedEvaluate + host.evaluateFlops);
  const totalFlops = steps * grownStepFlops + twinSteps * host.stepFlops + verdictFlops;
  return { grownSteps: steps, twinSteps, grownStepFlops, verdictFlops, totalFlops };
};

/** C5 */
const prunedCopy = (host: FrozenHost, executable: Executable, target: PruneTarget): Learner => {
  const pruning = pruneTarget(host.set.host, host.learner.tensors, target);
  if (pruning.kind === "refused") throw new KernelFailure(`prune ${target.site}: ${pruning.reason}`);
  return host.learnerOf(executable, copyTensors(pruning.parameters), host.learner.state);
};

/** The copy that stands for what the trial was of. */
const grownCopy = ({ kernel: { key, programs }, learner, host }: ContestOptions): Learner => {
  if (key.prune !== undefined) return prunedCopy(host, programs.jointStep, key.prune);
  if (key.request.kind === "replacement") {
    return host.learner.copy(programs.jointStep, replacedTensors(key, host.set.host, learner, host.learner)); // C6
  }
  const grown = host.learner.copy(programs.jointStep, learner.tensors);
  grown.adoptSteps(learner.state.cohortSteps);
  return grown;
};

/** Grown copy and twin as they start: nothing of the host itself is shared with them. */
export const openContest = (options: ContestOptions): Contest => {
  const { host } = options;
  const grown = grownCopy(options);
  return { grown, twin: host.learner.copy(), grownSteps: 0, twinSteps: 0, grownFlops: 0, twinFlops: 0, complete: false };
};

/** C2: the contest after the kernel took further steps of its own. */
export const frozenContest = (options: ContestOptions, before: Contest | undefined, steps: number, flops: number): Contest => ({
  ...openContest(options),
  grownSteps: (before?.grownSteps ?? 0) + steps,
  grownFlops: (before?.grownFlops ?? 0) + flops,
});

/** One step of either side, counted. */
export const contestStep = (contest: Contest, options: ContestOptions, twin: TwinSide, isGrown: boolean): Promise<StepResult> => {
  if (isGrown) {
    contest.grownSteps++;
    contest.grownFlops += options.kernel.flops.jointStep;
    return contest.grown.step();
  }
  contest.twinSteps++;
  contest.twinFlops += options.host.stepFlops;
  return twin.step();
};

/** What a step costs with and without the parts; absent where nothing is pruned. */
export const pruningStepFlops = ({
  kernel,
  host,
}: Pick<ContestOptions, "kernel" | "host">): { readonly stepFlops?: StepFlopsChange } =>
  kernel.key.prune === undefined ? {} : { stepFlops: { before: host.stepFlops, after: kernel.flops.jointStep } };

interface Side extends ContestSide {
  readonly losses: SplitLosses["losses"];
}

const evaluateSide = async (executable: Executable, tensors: TensorMap, dataset: DatasetBuffers): Promise<Side> => {
  const { task, rows, classes } = dataset;
  if (task === "regression") return evaluateSplit(executable, Object.fromEntries(tensors), dataset, "validation");
  const brier = new Float64Array(dataset.validation.count);
  const { losses, correct } = await evaluateSplit(executable, Object.fromEntries(tensors), dataset, "validation", (batch) =>
    brier.set(brierScores(batch.logits, batch.targets, { samples: batch.count, rows, classes }), batch.start),
  );
  return { losses, correct, brier };
};

/** Both sides on the same validation samples, charged. C4 where a loss is not finite. */
export const measureVerdict = async (
  { grown, twin }: Contest,
  options: ContestOptions,
  { verdictFlops }: ContestCost,
): Promise<{ readonly gain?: PairedGain; readonly judgements?: Judgement[]; readonly stepFlops?: StepFlopsChange }> => {
  const { kernel, host, ledger, dataset, config } = options;
  ledger.charge("gate", verdictFlops);
  const without = await evaluateSide(host.evaluate, twin.tensors, dataset);
  const withSeed = await evaluateSide(kernel.programs.foldedEvaluate, grown.tensors, dataset);
  // A pruning is read once.
  const confidence = kernel.key.prune === undefined ? readingConfidence(config) : config.fineTuning.confidence;
  const gain = pairedGain(without.losses, withSeed.losses, confidence);
  if (gain === undefined) return {};
  const pruned = pruningStepFlops(options);
  if (pruned.stepFlops !== undefined) {
    const evidence = { gain, twin: without, grown: withSeed, stepFlops: pruned.stepFlops };
    return { gain, ...pruned, judgements: judgePruning(evidence, config) };
  }
  // What the seed costs for good: steps of a host that trains, passes of one that only runs.
  const [before, after] =
    config.base === "frozen" ? [host.evaluateFlops, kernel.flops.foldedEvaluate] : [host.stepFlops, kernel.flops.jointStep];
  return {
    gain,
    judgements: judgeContest({ gain, twin: without, grown: withSeed, extraFlops: (after - before) / before }, config),
  };
};
