/** How long Tamiyo takes: health of all sites in, decision out, without the network. `node --import tsx bench/decision.ts [--json]` */
import { EsperConfig } from "../src/contracts/config.ts";
import type { HealthSignal } from "../src/contracts/telemetry.ts";
import { createRandom } from "../src/graph/random.ts";
import { decide, emptyPolicy } from "../src/policy/decide.ts";
import { isMain, print, quantile, table } from "./support.ts";

export interface DecisionRow {
  readonly sites: number;
  readonly seedsPerSite: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly commands: number;
}

const { morphogenetic: config } = EsperConfig.parse({});

/** A run in which one layer is damaged: every other pair of checks leads to a command. */
const signalAt = (epoch: number, sites: number, seedsPerSite: number, uniform: () => number): HealthSignal => {
  const names = Array.from({ length: sites }, (_, index) => `h${index + 1}`);
  const bad = names[Math.floor(sites / 2)]!;
  const after = (site: string): string[] => [...names.slice(names.indexOf(site) + 1), "output"];
  return {
    runId: "bench",
    epoch,
    hostStep: epoch * 98,
    seeds: names.flatMap((site) => {
      const gap = site === bad ? 0.1 : 0.005 * uniform();
      const health = Math.max(0, 1 - (0.7 * gap) / 0.0189);
      return Array.from({ length: seedsPerSite }, (_, n) => ({
        seedId: seedsPerSite === 1 ? `seed:${site}` : `seed:${site}.${n + 1}`,
        site,
        state: "DORMANT" as const,
        health,
        layer: {
          site,
          explainedIn: 0.3,
          explainedOut: 0.3 - gap,
          gap,
          gapError: 0.002,
          dimensionsIn: 16,
          dimensionsOut: site === bad ? 2 : 16,
        },
        embargoEpochs: 0,
      }));
    }),
    spans: after(bad).map((toSite) => ({ fromSite: bad, toSite, energy: uniform() })),
    errorPower: 0.4,
    validationLoss: 0.9,
    host: {
      name: "mlp",
      hash: "0".repeat(64),
      parameters: 1e5,
      batchSize: 128,
      stepFlops: 3e7,
      forwardFlops: 1.5e7,
      sites: [...names, "output"].map((site) => ({
        site,
        kind: site === "output" ? ("output" as const) : ("dense" as const),
        inputWidth: 64,
        width: 64,
        inputShape: [64],
        shape: [64],
        slopeFlops: 1e6,
        legalTargets: site === "output" ? [] : after(site),
      })),
    },
    flopsLeft: 1e15,
  };
};

export const benchDecision = ({ decisions = 5_000 } = {}): DecisionRow[] =>
  [
    { sites: 3, seedsPerSite: 1 },
    { sites: 20, seedsPerSite: 1 },
    { sites: 20, seedsPerSite: 50 },
  ].map(({ sites, seedsPerSite }) => {
    const random = createRandom(1);
    let state = emptyPolicy;
    let commands = 0;
    const times: number[] = [];
    for (let epoch = 1; epoch <= decisions; epoch += 1) {
      const signal = signalAt(epoch, sites, seedsPerSite, () => random.uniform());
      const startMs = performance.now();
      const decided = decide(state, signal, { config, validationBatches: 79 });
      const tookMs = performance.now() - startMs;
      if (epoch > decisions / 10) times.push(tookMs);
      state = decided.state;
      if (decided.command !== undefined) commands += 1;
    }
    if (commands === 0) throw new Error("expected at least one command; the bench measured a decision that never decides");
    return { sites, seedsPerSite, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), commands };
  });

export const decisionTable = (rows: readonly DecisionRow[]): string =>
  table(
    ["sites × seeds", "p50", "p99"],
    rows.map(({ sites, seedsPerSite, p50Ms, p99Ms }) => [
      `${sites} × ${seedsPerSite}`,
      `${p50Ms.toFixed(3)} ms`,
      `${p99Ms.toFixed(3)} ms`,
    ]),
  );

if (isMain(import.meta.url)) {
  const rows = benchDecision();
  print(rows, decisionTable(rows));
}
