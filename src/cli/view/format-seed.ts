/** A seed's way through its states, what its windows measured, and what came of it. Pure. */

import type { Forecast } from "../../contracts/commands.ts";
import { type LifecycleState, lifecycleStates, type SeedTransition } from "../../contracts/lifecycle.ts";
import type { Judgement, KernelMeasurement, PairedGain } from "../../contracts/measure.ts";
import type { Colors } from "./colors.ts";
import { formatCount, formatLoss, formatPercent, formatSigned, missing } from "./format-values.ts";

/** The table of states has them in this order; the two exits are on no way to it. */
const wayToFossil: readonly LifecycleState[] = lifecycleStates.filter((state) => state !== "CULLED" && state !== "ROLLED_BACK");

const paint = (state: LifecycleState, colors: Colors): string => {
  if (state === "FOSSILIZED") return colors.green(state);
  if (state === "CULLED" || state === "ROLLED_BACK") return colors.red(state);
  return colors.cyan(state);
};

/** `DORMANT ▸ GERMINATED ▸ [LOADING] ▸ …`: where the seed stands on its way. */
export const formatWay = (state: LifecycleState, colors: Colors): string => {
  const at = wayToFossil.indexOf(state);
  if (at < 0) return `[${paint(state, colors)}]`;
  const seen = wayToFossil.slice(0, at).map((name) => colors.dim(name.toLowerCase()));
  const left = wayToFossil.length - 1 - at;
  return [...seen, `[${paint(state, colors)}]`, ...(left > 0 ? [colors.dim(`${left} to go`)] : [])].join(" ▸ ");
};

export const formatTransition = (transition: SeedTransition, colors: Colors): string =>
  `${transition.seedId} ${transition.from} → ${paint(transition.to, colors)} at window ${transition.epoch}: ${transition.reason}`;

/** A gain with its one-sided bounds. */
export const formatGain = (gain: PairedGain): string =>
  `${formatSigned(gain.mean)} nats, ${formatPercent(gain.confidence, 0)} bounds [${formatSigned(gain.lower)}, ${formatSigned(gain.upper)}], ${gain.samples} samples`;

export const formatForecast = (forecast: Forecast): string =>
  `loss ${formatSigned(-forecast.lossGain)} (80 %: ${formatSigned(-forecast.lossGainUpper)} to ${formatSigned(-forecast.lossGainLower)}), ` +
  `costs ${formatCount(forecast.trialFlops)}FLOP and ${formatCount(forecast.parameters)} parameters, risk of a cull ${formatPercent(forecast.cullRisk, 0)}`;

/** `loss keep (0.1 to 0.3), accuracy abstain …` */
export const formatJudgements = (judgements: readonly Judgement[]): string =>
  judgements
    .map(({ judge, vote, measured }) =>
      measured === undefined
        ? `${judge} not measured`
        : `${judge} ${vote} (${formatSigned(measured.lower)} to ${formatSigned(measured.upper)})`,
    )
    .join(", ");

const notMeasured = "not measured: fails its gate";

/** What a window told about the seed at work. The counterfactual and the verdict name both sides. */
export const formatMeasurement = (measurement: KernelMeasurement, colors: Colors): string => {
  switch (measurement.kind) {
    case "loaded": {
      const { dryRun, staticProblems } = measurement;
      const gates = staticProblems.length > 0 ? `problems: ${staticProblems.join("; ")}` : "gate 1 passed";
      const dry = dryRun
        ? `dry run ${dryRun.latencyMs.toFixed(1)} ms, ${dryRun.finite ? "finite" : "not finite"}`
        : `dry run ${notMeasured}`;
      return `kernel ${measurement.kernelHash.slice(0, 12)} loaded in ${measurement.loadMs.toFixed(1)} ms${measurement.cached ? " from the cache" : ""}, ${formatCount(measurement.parameters)} parameters, ${gates}, ${dry}`;
    }
    case "trained":
      return `kernel trained alone for ${measurement.steps} steps, loss ${formatLoss(measurement.loss)}; gain on validation ${measurement.gain ? formatGain(measurement.gain) : notMeasured}`;
    case "grafted":
      return `alpha ${measurement.alpha.toFixed(2)}, drift ${formatPercent(measurement.drift)}, gradient ratio ${measurement.gradientRatio?.toFixed(2) ?? missing}`;
    case "stabilized":
      return `steady? mean loss ${formatLoss(measurement.meanLoss)}, change over the window ${formatPercent(measurement.relativeSlope)}`;
    case "evaluated":
      return measurement.gain
        ? `${colors.bold("counterfactual")}: without the seed ${formatLoss(measurement.gain.lossWithout)}, with it ${formatLoss(measurement.gain.lossWith)}; gain ${formatGain(measurement.gain)}`
        : `${colors.bold("counterfactual")} ${notMeasured}`;
    case "fine_tuned":
      return measurement.gain
        ? `${colors.bold("verdict")}: twin ${formatLoss(measurement.gain.lossWithout)} after ${measurement.twinSteps} steps, grown ${formatLoss(measurement.gain.lossWith)} after ${measurement.grownSteps}, equal FLOPs; gain ${formatGain(measurement.gain)}${measurement.judgements === undefined ? "" : `; jury: ${formatJudgements(measurement.judgements)}`}`
        : `${colors.bold("verdict")} ${notMeasured}`;
  }
};
