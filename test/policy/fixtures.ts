/** Health signals of a three-layer host. */
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { LayerSignal } from "../../src/contracts/signal.ts";
import type { HealthSignal, SeedHealth } from "../../src/contracts/telemetry.ts";
import { healthOfLayer } from "../../src/contracts/trial.ts";
import { calibration } from "../../src/policy/calibration.ts";
import { host } from "../machines/fixtures.ts";

/** Constants of its own: a better calibration changes no line of a test. */
export const config = MorphogeneticConfig.parse({
  trigger: { gapMin: 0.03, gapShareMin: 0.3, dimensionsMax: 3, weightGainMax: 10, agreementWeight: 1 },
});
const confidence = { logOddsAtOne: Math.log(3), logOddsPerLogSeverity: 2 };
export const setup = { config, validationBatches: 2, calibration: { ...calibration, confidence } };

/** Half of the error explained by the input, a standard error of 0.001, all dimensions there. */
export const layer = (site: string, gap: number, change: Partial<LayerSignal> = {}): LayerSignal => ({
  site,
  explainedIn: 0.5,
  explainedOut: 0.5 - gap,
  gap,
  gapError: 0.001,
  dimensionsIn: 8,
  dimensionsOut: 8,
  ...change,
});

/** The gap at which a layer like that has a severity of 1. */
export const gapAtOne = Math.max(config.trigger.gapMin, 0.5 * config.trigger.gapShareMin) + 0.001 * config.trigger.boundErrors;

export const signal = (
  epoch: number,
  gaps: Readonly<Record<string, number | undefined>>,
  change: Partial<HealthSignal> = {},
  seedChange: Partial<SeedHealth> = {},
): HealthSignal => ({
  runId: "r-1",
  epoch,
  hostStep: epoch * 98,
  seeds: Object.entries(gaps).map(([site, gap]): SeedHealth => {
    const measured = gap === undefined ? undefined : layer(site, gap);
    const health = healthOfLayer(measured, config.trigger);
    const known = measured === undefined || health === undefined ? {} : { layer: measured, health };
    return { seedId: `seed:${site}`, site, state: "DORMANT", embargoEpochs: 0, ...known, ...seedChange };
  }),
  spans: [
    { fromSite: "h2", toSite: "h3", energy: 1 },
    { fromSite: "h2", toSite: "output", energy: 2 },
  ],
  host,
  flopsLeft: 1e9,
  ...change,
});
