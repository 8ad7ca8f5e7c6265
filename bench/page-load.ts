/** What a page is loaded with in its bench: a run of many seeds that change, as changes of the view. Deterministic; a seed changes again after all others have. */
import { type LifecycleState, legalTransitions } from "../src/contracts/lifecycle-table.ts";
import type { SeedStep, ViewChange } from "../src/contracts/view.ts";

export const loadRunId = "bench-load";

const siteOf = (layer: number): string => `h${layer + 1}`;
const seedOf = (index: number, perLayer: number): string =>
  perLayer === 1 ? `seed:${siteOf(index)}` : `seed:${siteOf(Math.floor(index / perLayer))}.${(index % perLayer) + 1}`;

export interface LoadShape {
  readonly layers: number;
  readonly perLayer: number;
}

/** The run with all its seeds at rest. */
export const plant = ({ layers, perLayer }: LoadShape): ViewChange[] => {
  const sites = [...Array.from({ length: layers }, (_, layer) => siteOf(layer)), "output"];
  const r = loadRunId;
  const host = {
    name: "load",
    hash: "0".repeat(64),
    parameters: 1_000_000,
    stepFlops: 1e7,
    batchSize: 128,
    layers: sites.map((site, index) => {
      const kind = index === layers ? ("output" as const) : ("dense" as const);
      return { site, kind, inputWidth: 64, width: 64, shape: [64], targets: sites.slice(index + 1, index + 4) };
    }),
  };
  const seeds = Array.from({ length: layers * perLayer }, (_, index): readonly [string, string] => [
    seedOf(index, perLayer),
    siteOf(Math.floor(index / perLayer)),
  ]);
  return [
    { k: "run", r, arm: "grown", atMs: 0 },
    { k: "host", r, host, seeds },
  ];
};

/** A trial that is culled, from DORMANT back to it. */
export const way: readonly LifecycleState[] = [
  "GERMINATED",
  "LOADING",
  "TRAINING",
  "GRAFTING",
  "STABILIZATION",
  "EVALUATING",
  "FINE_TUNING",
  "CULLED",
  "DORMANT",
];
for (const [index, to] of way.entries()) {
  const from = way.at(index - 1)!;
  if (!legalTransitions[from].includes(to)) throw new Error(`expected a legal way, ${from} does not lead to ${to}`);
}

const stepOf = (sequence: number, to: LifecycleState, from: LifecycleState): SeedStep => ({
  sequence,
  from,
  to,
  epoch: sequence,
  atMs: sequence,
  reason: "training (98 steps): gain 0.6389, lower 99 % bound 0.5995 > 0",
  gates: [{ name: "gainLower", value: 0.5995, threshold: 0, side: "min", passed: true }],
});

/** Transitions, every third of the updates, and alphas between them. The first seed is left alone: it is the marker's. */
export class LoadSource {
  readonly #seeds: number;
  readonly #perLayer: number;
  readonly #sequences: Uint32Array;
  #count = 0;
  #marks = 0;

  constructor({ layers, perLayer }: LoadShape) {
    this.#seeds = layers * perLayer;
    this.#perLayer = perLayer;
    this.#sequences = new Uint32Array(this.#seeds);
  }

  /** The next so many updates. */
  take(updates: number): ViewChange[] {
    const changes: ViewChange[] = [];
    for (; changes.length < updates; this.#count += 1) {
      const index = 1 + (this.#count % (this.#seeds - 1));
      const round = Math.floor(this.#count / (this.#seeds - 1));
      const seedId = seedOf(index, this.#perLayer);
      if ((index + round) % 3 > 0) {
        changes.push({ k: "alpha", r: loadRunId, seedId, epoch: round + 1, alpha: (round % 100) / 100, drift: 0.01 });
        continue;
      }
      const sequence = this.#sequences[index]! + 1;
      this.#sequences[index] = sequence;
      const to = way[(sequence - 1) % way.length]!;
      const from = way.at(((sequence - 1) % way.length) - 1)!;
      changes.push({ k: "step", r: loadRunId, seedId, step: stepOf(sequence, to, from), trial: null });
    }
    return changes;
  }

  /** The first seed goes on: its colour on the page is another one. */
  mark(): ViewChange {
    this.#marks += 1;
    const to = way[(this.#marks - 1) % way.length]!;
    const from = way.at(((this.#marks - 1) % way.length) - 1)!;
    const seedId = seedOf(0, this.#perLayer);
    return { k: "step", r: loadRunId, seedId, step: stepOf(this.#marks, to, from), trial: null };
  }
}
