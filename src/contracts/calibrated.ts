/**
 * Constants that were measured and not chosen: thresholds of the trigger, confidence and forecast. Written by
 * `node --import tsx bench/calibrate.ts --write`; `provenance` says on which hosts.
 */
export const calibrated = {
  trigger: {
    dimensionsMax: 3,
    gapMin: 0.015,
    gapShareMin: 0.075,
    weightGainMax: 14,
    agreementWeight: 1,
  },
  confidence: {
    logOddsAtOne: 2.13,
    logOddsPerLogSeverity: 1.65,
  },
  forecast: {
    logGainAtOne: -0.559,
    logGainPerLogGap: 0.306,
    logGainPerLogLoss: 0.752,
    logGainSd: 1.15,
    lossTypical: 1.04,
    gapFloor: 0.005,
    keepRate: 0.744,
  },
  provenance: {
    trigger: "60 damaged and 60 whole hosts, random seeds from 1001 on: 57 of 60 damaged hosts found, 0 of 60 whole ones named",
    confidence: "the worst layer of each of 58 hosts that something speaks against, random seeds from 1001 on",
    forecast:
      "39 trials at damaged layers of 40 hosts, random seeds from 1001 on; a seed germinated in 0 of 20 whole hosts until their end",
  },
} as const;
