/** What a repair is expected to bring and to cost, before it starts. Pure; scored later against the field report. */

import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { Forecast } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HostSummary } from "../contracts/plan.ts";
import { trialCost } from "../contracts/trial.ts";
import type { Calibration } from "./calibration.ts";

/** The 90 % quantile of the standard normal: its two sides hold 80 %. */
const z80 = 1.2815515655446004;

export interface LossGain {
  readonly lossGain: number;
  readonly lossGainLower: number;
  readonly lossGainUpper: number;
}

export interface GainBasis {
  /** Explained-error gap of the layer, the least of its checks. */
  readonly gap: number;
  /** In nats; what there is to gain. */
  readonly validationLoss?: number;
}

/** Fall of validation loss in nats with an 80 % interval: log-linear in gap and loss, log-normal around the plane. */
export const forecastGain = ({ gap, validationLoss }: GainBasis, constants: Calibration["forecast"]): LossGain => {
  const { logGainAtOne, logGainPerLogGap, logGainPerLogLoss, gapFloor, lossTypical, logGainSd } = constants;
  const loss = validationLoss !== undefined && validationLoss > 0 ? validationLoss : lossTypical;
  const logGain = logGainAtOne + logGainPerLogGap * Math.log(Math.max(gapFloor, gap)) + logGainPerLogLoss * Math.log(loss);
  return {
    lossGain: Math.exp(logGain),
    lossGainLower: Math.exp(logGain - z80 * logGainSd),
    lossGainUpper: Math.exp(logGain + z80 * logGainSd),
  };
};

export interface ForecastInput extends GainBasis {
  /** Probability that the layer is damaged. */
  readonly confidence: number;
  readonly host: HostSummary;
  readonly span: { readonly fromSite: string; readonly toSite: string };
  readonly blueprint: BlueprintRequest;
  readonly validationBatches: number;
}

/** A seed at a sound layer is culled; one at a damaged layer is kept at the calibrated rate. */
export const forecastTrial = (input: ForecastInput, config: MorphogeneticConfig, constants: Calibration): Forecast => {
  const cost = trialCost(input.host, input.span, input.blueprint, input.validationBatches, config);
  return {
    ...forecastGain(input, constants.forecast),
    trialFlops: cost.flops,
    parameters: cost.parameters,
    cullRisk: Math.min(1, Math.max(0, 1 - constants.forecast.keepRate * input.confidence)),
  };
};
