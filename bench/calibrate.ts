/**
 * Sets the constants of Tamiyo's forecast: pairs of (least gap of the two checks, gain at the verdict) from damaged hosts, fitted log-linearly.
 * The random seeds are apart from those of the rescue bench, which scores them. `node --import tsx bench/calibrate.ts [--hosts 30] [--json]`
 */
import { parseArgs } from "node:util";
import type { DamageConfig } from "../src/contracts/config.ts";
import { EsperConfig } from "../src/contracts/config.ts";
import { createEngine } from "../src/engine/engine.ts";
import { loadBenchDataset, rescueTrial } from "./growth-rescue.ts";
import { deviation, isMain, mean, print, table } from "./support.ts";

/** Far from the random seeds of the rescue bench. */
const firstSeed = 1001;
const damages: readonly DamageConfig[] = [
  { site: "random", kind: "dead", live: 1 },
  { site: "random", kind: "dead", live: 2 },
  { site: "random", kind: "dead", live: 3 },
  { site: "random", kind: "rank", live: 1 },
  { site: "random", kind: "rank", live: 2 },
];

export interface CalibrationPair {
  readonly gap: number;
  readonly gain: number;
  readonly kept: boolean;
  readonly damage: string;
}

export interface CalibrationFit {
  readonly pairs: readonly CalibrationPair[];
  readonly hosts: number;
  readonly logGainAtOne: number;
  readonly logGainPerLogGap: number;
  /** Of the residuals, in ln. */
  readonly logGainSd: number;
  readonly keepRate: number;
}

/** Least squares of ln gain on ln gap over the pairs whose gain is positive. */
export const fitForecast = (pairs: readonly CalibrationPair[], hosts: number): CalibrationFit => {
  const points = pairs
    .filter(({ gain, gap }) => gain > 0 && gap > 0)
    .map(({ gain, gap }) => ({ x: Math.log(gap), y: Math.log(gain) }));
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  const slope =
    points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) /
    points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const intercept = meanY - slope * meanX;
  return {
    pairs,
    hosts,
    logGainAtOne: intercept,
    logGainPerLogGap: slope,
    logGainSd: deviation(points.map(({ x, y }) => y - intercept - slope * x)),
    keepRate: pairs.filter(({ kept }) => kept).length / Math.max(1, pairs.length),
  };
};

export const calibrate = async (hosts: number, onPair: (pair: CalibrationPair) => void): Promise<CalibrationFit> => {
  const engine = await createEngine("native", { threads: 1 });
  const datasets = [await loadBenchDataset("mnist"), await loadBenchDataset("fashion-mnist")];
  const config = EsperConfig.parse({ optimization: { epochs: 6 } });
  const pairs: CalibrationPair[] = [];
  for (let host = 0; host < hosts; host += 1) {
    const damage = damages[Math.floor(host / 2) % damages.length]!;
    const dataset = datasets[host % 2]!;
    const outcome = await rescueTrial({ dataset, engine, randomSeed: firstSeed + host, damage, growth: true, config });
    const [trigger] = outcome.triggers;
    const [verdict] = outcome.verdicts;
    if (trigger === undefined || verdict === undefined) continue;
    const kind = `${dataset.name} ${damage.kind} ${damage.live}`;
    const pair = { gap: trigger.gap, gain: verdict.gain, kept: verdict.outcome === "FOSSILIZED", damage: kind };
    pairs.push(pair);
    onPair(pair);
  }
  await engine.dispose();
  return fitForecast(pairs, hosts);
};

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: { hosts: { type: "string", default: "30" }, json: { type: "boolean", default: false } },
  });
  const fit = await calibrate(Number(values.hosts), ({ damage, gap, gain, kept }) =>
    console.error(`${damage}: gap ${gap.toFixed(3)}, gain ${gain.toFixed(3)}, ${kept ? "kept" : "culled"}`),
  );
  print(
    fit,
    table(
      ["constant", "value"],
      [
        ["hosts / triggered", `${fit.hosts} / ${fit.pairs.length}`],
        ["logGainAtOne", fit.logGainAtOne.toFixed(3)],
        ["logGainPerLogGap", fit.logGainPerLogGap.toFixed(3)],
        ["logGainSd", fit.logGainSd.toFixed(3)],
        ["keepRate", fit.keepRate.toFixed(3)],
      ],
    ),
  );
}
