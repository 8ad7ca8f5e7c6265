/** Health signals of a three-layer host. */
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { HealthSignal, SeedHealth } from "../../src/contracts/telemetry.ts";
import { healthOfGap } from "../../src/policy/health.ts";
import { host } from "../machines/fixtures.ts";

export const config = MorphogeneticConfig.parse({});
export const setup = { config, validationBatches: 2 };

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
    const health = healthOfGap(gap, config.trigger);
    const measured = gap === undefined || health === undefined ? {} : { gap, health, explainedIn: 0.5, explainedOut: 0.5 - gap };
    return { seedId: `seed:${site}`, site, state: "DORMANT", embargoEpochs: 0, ...measured, ...seedChange };
  }),
  spans: [
    { fromSite: "h2", toSite: "h3", energy: 1 },
    { fromSite: "h2", toSite: "output", energy: 2 },
  ],
  host,
  flopsLeft: 1e9,
  ...change,
});
