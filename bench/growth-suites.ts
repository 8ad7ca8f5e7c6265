/** The suites of the growth bench: which cells each runs, and which figures it fills in. */
import type { ExperimentArm } from "../src/contracts/experiment.ts";
import type { Analysis } from "../src/experiment/analysis.ts";
import type { Figures } from "../src/experiment/figures.ts";
import type { MeanInterval, Proportion } from "../src/experiment/intervals.ts";
import type { CellSpec } from "../src/experiment/plan.ts";
import { estimateText, meanText, percent, plain, proportionText } from "../src/experiment/report/format.ts";
import { cellOf, damagedHosts, type Effort, firstSeed, fullEffort, quickEffort, wholeHosts } from "./growth-hosts.ts";

export interface FigureRow {
  readonly what: string;
  readonly reach: string;
  readonly measured: string;
  /** Undefined where nothing has to be reached; a figure that was not measured is a miss. */
  readonly met: boolean | undefined;
}

export interface SuiteSources {
  readonly quick: boolean;
  /** Folder of CIFAR-10's binary files. */
  readonly cifar10Dir: string | undefined;
  readonly textFile: string;
}

export interface Suite {
  readonly name: string;
  readonly title: string;
  /** Absent data make the suite's rows misses: `reason` says why. */
  cells(sources: SuiteSources): readonly CellSpec[] | { readonly reason: string };
  rows(analysis: Analysis): readonly FigureRow[];
}

const repairArms: readonly ExperimentArm[] = ["no-growth", "grown", "healthy"];
const effortOf = ({ quick }: SuiteSources): Effort => (quick ? quickEffort : fullEffort);
const seedsOf = ({ quick }: SuiteSources, count: number): readonly number[] =>
  Array.from({ length: quick ? 1 : count }, (_, index) => firstSeed + 2000 + index);

const atLeast = (what: string, target: number, { successes, n, share, lower, upper }: Proportion): FigureRow => ({
  what,
  reach: `≥ ${percent(target, 0)} %`,
  measured: proportionText({ successes, n, share, lower, upper }),
  met: share !== undefined && share >= target,
});

const atMost = (what: string, target: number, proportion: Proportion): FigureRow => ({
  what,
  reach: `≤ ${percent(target, 0)} %`,
  measured: proportionText(proportion),
  met: proportion.share !== undefined && proportion.share <= target,
});

const recovered = (what: string, target: number, { recovered: found }: Figures): FigureRow => ({
  what,
  reach: `mean ≥ ${percent(target, 0)} %`,
  measured: `${meanText(found.each)} over ${found.hosts} hosts (${found.leftOut} hardly hurt, left out); of the sums ${estimateText(found.pooled, percent)}`,
  met: found.each !== undefined && found.each.mean >= target,
});

/** Figures of the cells with one damage. */
const ofDamage = ({ groups }: Analysis, damage: string): Figures | undefined =>
  groups.find(({ label }) => label.endsWith(` / ${damage}`))?.figures;

const unmeasured = (what: string, reach: string, why: string): FigureRow => ({
  what,
  reach,
  measured: `not measured: ${why}`,
  met: false,
});

const priceMax = 0.001;
const priceRow = (price: MeanInterval | undefined): FigureRow => ({
  what: "price on healthy hosts, points of test accuracy",
  reach: "≤ 0.1",
  measured: meanText(price, 2),
  met: price !== undefined && price.mean <= priceMax,
});

const detection: Suite = {
  name: "detection",
  title:
    "60 damaged hosts (MLP and CNN; dead, rank, narrow, saturated, initialization) and 60 whole ones, a third with deliberate bottlenecks",
  cells: (sources) => {
    const [damaged, whole] = sources.quick ? [3, 3] : [60, 60];
    return [...damagedHosts(damaged, effortOf(sources)), ...wholeHosts(whole, effortOf(sources))];
  },
  rows: ({ overall: { figures } }) => {
    const { rank, coverage } = figures.forecast;
    return [
      atLeast("location found, damaged MLPs and CNNs", 0.95, figures.found),
      { ...atLeast("— where the damage costs accuracy", 0.95, figures.foundWhereItHurts), met: undefined },
      { ...atLeast("— the first seed exactly at the damaged layer", 0.95, figures.foundExactly), met: undefined },
      atMost("false triggers, healthy hosts", 0.01, figures.falseTriggers),
      recovered("end to end, all kinds", 0.8, figures),
      atLeast("kept at the damage", 0.92, figures.keptAtDamage),
      priceRow(figures.price),
      {
        what: "forecast of the gain: rank correlation",
        reach: "≥ 0.8",
        measured: estimateText(rank, (value) => plain(value)),
        met: rank !== undefined && rank.value >= 0.8,
      },
      {
        what: "forecast's 80 % intervals cover",
        reach: "70–90 %",
        measured: proportionText(coverage),
        met: coverage.share !== undefined && coverage.share >= 0.7 && coverage.share <= 0.9,
      },
    ];
  },
};

const spanTargets = [
  { layers: 1, target: 0.85 },
  { layers: 2, target: 0.9 },
  { layers: 3, target: 0.9 },
] as const;

const spans: Suite = {
  name: "spans",
  title: "MLP 6 × 64 on MNIST, 2 of 64 units live in one, two or three adjacent layers",
  cells: (sources) =>
    spanTargets.flatMap(({ layers }) =>
      seedsOf(sources, 10).map((randomSeed) =>
        cellOf({
          host: "mlp-6x64",
          model: { name: "mlp", widths: [64, 64, 64, 64, 64, 64] },
          dataset: "mnist",
          damage: { name: `dead-${layers}-layers`, kind: "dead", live: 2, layers, site: "random" },
          randomSeed,
          arms: repairArms,
          effort: effortOf(sources),
        }),
      ),
    ),
  rows: (analysis) =>
    spanTargets.map(({ layers, target }) => {
      const what = `recovered share, ${layers === 1 ? "one dead layer" : `${layers} adjacent dead layers`}`;
      const figures = ofDamage(analysis, `dead-${layers}-layers`);
      return figures === undefined
        ? unmeasured(what, `mean ≥ ${percent(target, 0)} %`, "no cell")
        : recovered(what, target, figures);
    }),
};

const rank: Suite = {
  name: "rank",
  title: "MLP 5 × 64, one layer held at rank 2, MNIST and Fashion-MNIST",
  cells: (sources) =>
    (["mnist", "fashion-mnist"] as const).flatMap((dataset) =>
      seedsOf(sources, 10).map((randomSeed) =>
        cellOf({
          host: "mlp-5x64",
          model: { name: "mlp", widths: [64, 64, 64, 64, 64] },
          dataset,
          damage: { name: "rank-2", kind: "rank", live: 2, site: "random" },
          randomSeed,
          arms: repairArms,
          effort: effortOf(sources),
        }),
      ),
    ),
  rows: ({ overall: { figures } }) => [
    recovered("recovered share, rank-2 damage", 0.7, figures),
    { ...atLeast("— location found, rank-2 damage", 0.95, figures.found), met: undefined },
  ],
};

const placeHosts = [{ host: "mlp-4x64", model: { name: "mlp", widths: [64, 64, 64, 64] } }] as const;

const places: Suite = {
  name: "places",
  title: "Growth where it is of no use: a random place of damaged and of healthy hosts, MLP 4 × 64",
  cells: (sources) =>
    placeHosts.flatMap((host) =>
      seedsOf(sources, 48).flatMap((randomSeed, index) => {
        const request = { ...host, dataset: index % 2 === 0 ? "mnist" : "fashion-mnist", randomSeed, effort: effortOf(sources) };
        const damage = { name: "dead", kind: "dead", live: 2, site: "random" } as const;
        return [
          cellOf({ ...request, damage, arms: ["no-growth", "grown", "random-place", "healthy"] }),
          cellOf({ ...request, arms: ["healthy", "random-place"] }),
        ];
      }),
    ),
  rows: ({ overall: { figures } }) => [
    atMost("kept although useless, random place on damaged hosts", 0.1, figures.keptAtRandomPlace),
    atMost("kept although useless, random place on healthy hosts", 0.02, figures.keptOnHealthy),
    {
      what: "location found by the same rule, grown (a random place's beside it)",
      reach: "reported",
      measured: `${proportionText(figures.found)} (${proportionText(figures.foundAtRandom)})`,
      met: undefined,
    },
    {
      what: "regret of the location, points (a random place's beside it)",
      reach: "reported",
      measured: `${meanText(figures.regret, 2)} (${meanText(figures.regretAtRandom, 2)})`,
      met: undefined,
    },
  ],
};

const resnet: Suite = {
  name: "resnet",
  title: "Narrow ResNet-18 (width 4) on the CIFAR-10 sample, one crippled stage",
  cells: (sources) => {
    const { cifar10Dir } = sources;
    if (cifar10Dir === undefined) return { reason: "no folder of CIFAR-10: give --cifar10-dir or CIFAR10_DIR" };
    return seedsOf(sources, 10).map((randomSeed) =>
      cellOf({
        host: "resnet18-4",
        model: { name: "resnet18", width: 4 },
        dataset: "cifar10",
        data: { dataDir: cifar10Dir, batchSize: 32, augmentation: { cropPixels: 4, flip: true } },
        damage: { name: "dead-stage", kind: "dead", live: 1, site: "s2" },
        optimization: { optimizer: { kind: "adam", learningRate: 0.002 }, epochSteps: 49 },
        morphogenetic: { signal: { samples: 512, warmupSteps: 150 }, screenSamples: 320 },
        randomSeed,
        arms: repairArms,
        effort: { trainSamples: 4_000, validationSamples: 640, epochs: sources.quick ? 1 : 12 },
      }),
    );
  },
  rows: ({ overall: { figures } }) => [recovered("narrow ResNet-18, one crippled stage: recovered share", 0.7, figures)],
};

const transformer: Suite = {
  name: "transformer",
  title: "Character transformer of one block, width 64, with a dead MLP or dead attention",
  cells: (sources) =>
    (["b1.mlp", "b1.attention"] as const).flatMap((site) =>
      seedsOf(sources, 10).map((randomSeed) =>
        cellOf({
          host: "transformer-1x64",
          model: { name: "transformer", layers: 1, width: 64, heads: 4 },
          dataset: "text",
          data: { file: sources.textFile, contextLength: 32, batchSize: 16 },
          damage: { name: `dead-${site}`, kind: "dead", live: 1, site },
          optimization: { optimizer: { kind: "adam", learningRate: 0.002 } },
          morphogenetic: { signal: { samples: 256 } },
          randomSeed,
          arms: repairArms,
          effort: { trainSamples: 4_000, validationSamples: 400, epochs: sources.quick ? 1 : 7 },
        }),
      ),
    ),
  rows: (analysis) =>
    (["b1.mlp", "b1.attention"] as const).map((site) => {
      const what = `small transformer, dead ${site}: recovered share`;
      const figures = ofDamage(analysis, `dead-${site}`);
      return figures === undefined ? unmeasured(what, "mean ≥ 70 %", "no cell") : recovered(what, 0.7, figures);
    }),
};

const sizeHosts = [
  { host: "mlp-8-8", model: { name: "mlp", widths: [8, 8] } },
  { host: "mlp-64-6-64", model: { name: "mlp", widths: [64, 6, 64] } },
] as const;

const size: Suite = {
  name: "size",
  title:
    "Growth of healthy undersized MLPs (8-8 and 64-6-64) against the final size from scratch and against never growing, Fashion-MNIST",
  cells: (sources) =>
    sizeHosts.flatMap((host) =>
      seedsOf(sources, 10).map((randomSeed) =>
        cellOf({
          ...host,
          dataset: "fashion-mnist",
          // Nothing is damaged: it grows wherever the gap is largest.
          morphogenetic: { placement: "always" },
          randomSeed,
          arms: ["no-growth", "grown", "final-size"],
          effort: effortOf(sources),
        }),
      ),
    ),
  rows: ({ overall: { figures } }) =>
    figures.size.flatMap(({ arm, difference, reached, flopsShare, flopsShareOfFinalSize }) => [
      {
        what: `${arm} − final size from scratch at equal FLOPs, points`,
        reach: "reported",
        measured: meanText(difference, 2),
        met: undefined,
      },
      {
        what: `${arm}: FLOPs to the final size's accuracy, of the budget`,
        reach: "reported",
        measured: `${percent(flopsShare)} (reached by ${proportionText(reached)}; the final size itself ${percent(flopsShareOfFinalSize)})`,
        met: undefined,
      },
    ]),
};

export const suites: readonly Suite[] = [detection, spans, rank, places, resnet, transformer, size];
