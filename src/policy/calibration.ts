/** Constants of confidence and forecast, each with where it comes from. */
import { calibrated } from "../contracts/calibrated.ts";

export interface Calibration {
  readonly confidence: {
    /** Log-odds that a layer is damaged when the least severity of the streak is 1. */
    readonly logOddsAtOne: number;
    /** Log-odds for each factor e in the severity. */
    readonly logOddsPerLogSeverity: number;
  };
  readonly forecast: {
    /** ln of the fall of validation loss, in nats, expected at a gap of 1 and a validation loss of 1. */
    readonly logGainAtOne: number;
    /** Exponents of the gap and of the validation loss. */
    readonly logGainPerLogGap: number;
    readonly logGainPerLogLoss: number;
    /** A gap below this counts as this: lost dimensions cost more than the gap shows. */
    readonly gapFloor: number;
    /** Validation loss where none was measured. */
    readonly lossTypical: number;
    /** Standard deviation of ln gain around that plane. */
    readonly logGainSd: number;
    /** Share of the seeds at a damaged layer that the verdict kept. */
    readonly keepRate: number;
  };
  readonly provenance: string;
}

const { confidence, forecast, provenance } = calibrated;

export const calibration: Calibration = {
  confidence,
  forecast,
  provenance: `confidence: ${provenance.confidence}; forecast: ${provenance.forecast}`,
};
