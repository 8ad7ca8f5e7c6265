/** Gate 2: a loaded kernel on one real batch before it may touch training: shapes, finite numbers, time. */
import type { Tensor } from "../../contracts/graph.ts";
import { dryRunSteps } from "../../contracts/trial.ts";
import { updatedName } from "../../graph/step.ts";
import { feedsFor } from "./evaluation.ts";
import type { LoadedKernel } from "./kernels.ts";
import type { Learner } from "./learner.ts";
import type { Stopwatch } from "./window.ts";

export interface DryRun {
  readonly shapesMatch: boolean;
  readonly finite: boolean;
  readonly latencyMs: number;
}

export const dryRunFlops = ({ flops }: LoadedKernel): number => dryRunSteps * flops.kernelStep + flops.grownEvaluate;

const hasFiniteValues = ({ data }: Tensor): boolean => data.every((value: number) => Number.isFinite(value));

/** @param frozen Host tensors and alpha. @param classes Width of the host's logits. */
export const dryRun = async (
  kernel: LoadedKernel,
  learner: Learner,
  frozen: Readonly<Record<string, Tensor>>,
  classes: number,
  nowMs: Stopwatch,
): Promise<DryRun> => {
  const batch = learner.nextBatch();
  const durations: number[] = [];
  let outputs: Record<string, Tensor> = {};
  for (let run = 0; run < dryRunSteps; run++) {
    const startMs = nowMs();
    outputs = await learner.rehearse(batch, frozen);
    durations.push(nowMs() - startMs);
  }
  const tensors = { ...frozen, ...Object.fromEntries(learner.tensors), x: batch.x, y: batch.y };
  const logits = (await kernel.programs.grownEvaluate.run(feedsFor(kernel.programs.grownEvaluate, tensors)))["logits"];
  const updatesMatch = Array.from(learner.tensors, ([name, { shape }]) => {
    const updated = outputs[updatedName(name)];
    return updated === undefined || updated.shape.join() === shape.join();
  });
  return {
    shapesMatch: updatesMatch.every(Boolean) && logits?.shape.join() === `${batch.y.shape[0]},${classes}`,
    finite: Object.values(outputs).every(hasFiniteValues) && logits !== undefined && hasFiniteValues(logits),
    latencyMs: durations.toSorted((a, b) => a - b)[Math.floor(dryRunSteps / 2)]!,
  };
};
