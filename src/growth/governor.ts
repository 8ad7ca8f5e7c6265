/**
 * Watches the step losses of a host, or of a kernel in trial. Pure: state and loss in, state and verdict out.
 *
 * G1 A loss that is not finite is an anomaly at once.
 * G2 A spike lies above mean + sigmaMax·sd of the window and above ratioMax times its mean; `spikesMax` in a row are an anomaly.
 * G3 Spikes do not enter the window, so that they cannot raise the bar for the next.
 * G4 Below `lossesMin` losses nothing is called a spike.
 */
import type { GovernorConfig } from "../contracts/config.ts";
import type { Anomaly } from "../contracts/measure.ts";
import { mean, standardDeviation } from "./statistics.ts";

export interface GovernorState {
  /** The last losses that were no spikes, oldest first; at most `windowSteps`. */
  readonly losses: readonly number[];
  /** Spikes in a row. */
  readonly spikes: number;
}

export const initialGovernor: GovernorState = { losses: [], spikes: 0 };

const lossesMin = 8;

export const observeLoss = (
  state: GovernorState,
  loss: number,
  step: number,
  config: GovernorConfig,
): readonly [GovernorState, Anomaly | undefined] => {
  if (!Number.isFinite(loss)) {
    return [state, { kind: "non_finite_loss", step, detail: `expected a finite loss at step ${step}, found ${loss}` }];
  }
  const average = mean(state.losses);
  const bound = Math.max(average + config.sigmaMax * standardDeviation(state.losses), config.ratioMax * average);
  if (state.losses.length < lossesMin || loss <= bound) {
    return [{ losses: [...state.losses, loss].slice(-config.windowSteps), spikes: 0 }, undefined];
  }
  const spikes = state.spikes + 1;
  if (spikes < config.spikesMax) return [{ ...state, spikes }, undefined];
  const detail = `${spikes} losses in a row above ${bound.toPrecision(4)}, the last ${loss.toPrecision(4)} at step ${step}`;
  return [
    { ...state, spikes: 0 },
    { kind: "loss_spike", step, detail },
  ];
};

/** The state after losses that raised no alarm: a window that was interrupted goes on from them. */
export const replayLosses = (losses: readonly number[], config: GovernorConfig): GovernorState =>
  losses.reduce<GovernorState>((state, loss, step) => observeLoss(state, loss, step, config)[0], initialGovernor);
