/** What a repair is expected to bring and to cost, before it starts. Pure; scored later against the field report. */
import type { BlueprintRequest, Forecast } from "../contracts/commands.ts";
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

/** Fall of validation loss in nats with an 80 % interval: log-linear in the gap, log-normal around the line. A gap of zero or less brings nothing. */
export const forecastGain = (gap: number, { logGainAtOne, logGainPerLogGap, logGainSd }: Calibration["forecast"]): LossGain => {
  if (!(gap > 0)) return { lossGain: 0, lossGainLower: 0, lossGainUpper: 0 };
  const logGain = logGainAtOne + logGainPerLogGap * Math.log(gap);
  return {
    lossGain: Math.exp(logGain),
    lossGainLower: Math.exp(logGain - z80 * logGainSd),
    lossGainUpper: Math.exp(logGain + z80 * logGainSd),
  };
};

export interface ForecastInput {
  readonly gap: number;
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
    ...forecastGain(input.gap, constants.forecast),
    trialFlops: cost.flops,
    parameters: cost.parameters,
    cullRisk: Math.min(1, Math.max(0, 1 - constants.forecast.keepRate * input.confidence)),
  };
};
