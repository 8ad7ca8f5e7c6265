/** The explained-error gap: what a layer's input still knows of the network's error and its output has lost. */
import { mean, standardDeviation } from "../statistics.ts";
import type { BlockMoments, ExplainedPower } from "./blocks.ts";
import { crossValidate } from "./blocks.ts";
import type { LayerMeasure } from "./measure.ts";

/** One regression for each place of the host, however many layers meet there. */
export type Regressions = (moments: BlockMoments) => ExplainedPower | undefined;

/** Remembers by identity: the output of one layer is the input of the next. */
export const rememberRegressions = (ridge: number): Regressions => {
  const known = new Map<BlockMoments, ExplainedPower | undefined>();
  return (moments) => {
    if (!known.has(moments)) known.set(moments, crossValidate(moments, ridge));
    return known.get(moments);
  };
};

/**
 * The gap with its standard error: the spread of the blocks' differences over the root of their number. Input and output are scored on
 * the same held-out samples, so that most of the error's own variance cancels.
 */
export const explainedErrorGap =
  (regress: Regressions): LayerMeasure<"explainedIn" | "explainedOut" | "gap" | "gapError"> =>
  ({ input, output }) => {
    const [before, after] = [regress(input), regress(output)];
    if (before === undefined || after === undefined) return undefined;
    const differences = before.explained.map((value, block) => (value - after.explained[block]!) / before.power);
    const [explainedIn, explainedOut] = [mean(before.explained) / before.power, mean(after.explained) / after.power];
    const gapError = standardDeviation(differences) / Math.sqrt(differences.length);
    const values = { explainedIn, explainedOut, gap: mean(differences), gapError };
    return Object.values(values).every(Number.isFinite) ? values : undefined;
  };
