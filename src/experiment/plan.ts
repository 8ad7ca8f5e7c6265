/**
 * From an experiment to its jobs. Pure.
 *
 * P1 A job's key is the hash of all that determines its result; equal jobs of different cells run once.
 * P2 Every arm of a cell has the FLOPs of the undamaged host, so that no arm is given more than another.
 * P3 A job that needs another's host stands after it.
 */
import { EsperConfig } from "../contracts/config.ts";
import { describeFault, InputError } from "../contracts/errors.ts";
import type { ExperimentArm, ExperimentConfig } from "../contracts/experiment.ts";
import { contentHash } from "../graph/hash.ts";
import { mergeTrees, type Tree } from "./merge.ts";

/** One host on one data set with one damage and one random seed: the arms of a cell are compared with each other. */
export interface CellSpec {
  readonly host: string;
  readonly dataset: string;
  readonly damage: string;
  /** With the cell's damage and random seed. */
  readonly config: EsperConfig;
  readonly arms: readonly ExperimentArm[];
}

export interface Job {
  readonly key: string;
  readonly label: string;
  /** With the damage that is done, if any. */
  readonly config: EsperConfig;
  readonly growth: boolean;
  /** Germinates once at a random site when the host has done so many steps; nothing else triggers. */
  readonly germinateAfterSteps?: number;
  /** The job whose last host is trained from scratch. */
  readonly finalSizeOf?: string;
  /** Another job needs this one's last host. */
  readonly keepHost: boolean;
}

export interface CellPlan {
  readonly host: string;
  readonly dataset: string;
  readonly damage: string;
  readonly damaged: boolean;
  readonly randomSeed: number;
  readonly keys: Readonly<Partial<Record<ExperimentArm, string>>>;
}

export interface ExperimentPlan {
  readonly cells: readonly CellPlan[];
  readonly jobs: readonly Job[];
}

export interface EngineIdentity {
  readonly name: string;
  readonly version: string;
}

/** Raised when results of older code no longer mean the same. */
const recipeVersion = 2;

type Recipe = Omit<Job, "key" | "label" | "keepHost">;

const withoutDamage = ({ damage: _, ...config }: EsperConfig): EsperConfig => config;

const withPlacement = (config: EsperConfig, placement: EsperConfig["morphogenetic"]["placement"]): EsperConfig => ({
  ...config,
  morphogenetic: { ...config.morphogenetic, placement },
});

/** The signal is put off beyond the run's end, so that nothing but the one germination happens. */
const withoutSignal = (config: EsperConfig): EsperConfig => {
  const { morphogenetic } = config;
  return {
    ...config,
    morphogenetic: { ...morphogenetic, signal: { ...morphogenetic.signal, warmupSteps: Number.MAX_SAFE_INTEGER } },
  };
};

const recipeOf = (arm: ExperimentArm, config: EsperConfig, engine: EngineIdentity): Recipe => {
  switch (arm) {
    case "no-growth":
      return { config, growth: false };
    case "grown":
      return { config, growth: true };
    case "random-place":
      return config.damage === undefined
        ? { config: withoutSignal(config), growth: true, germinateAfterSteps: config.morphogenetic.signal.warmupSteps }
        : { config: withPlacement(config, "random"), growth: true };
    case "always-grow":
      return { config: withPlacement(config, "always"), growth: true };
    case "final-size":
      return { config: withoutDamage(config), growth: false, finalSizeOf: keyOf(recipeOf("grown", config, engine), engine) };
    case "healthy":
      return { config: withoutDamage(config), growth: false };
    case "watched":
      return { config: withoutDamage(config), growth: true };
  }
};

/** P1. What only a node reads of a configuration decides nothing here. */
const keyOf = ({ config, growth, germinateAfterSteps, finalSizeOf }: Recipe, engine: EngineIdentity): string => {
  const { randomSeed, model, dataset, damage, optimization, governor } = config;
  // An arm that never grows is the same whatever the rules of growth are: changing them leaves its results standing.
  const morphogenetic = growth ? config.morphogenetic : { base: config.morphogenetic.base };
  return contentHash({
    recipeVersion,
    engine: { name: engine.name, version: engine.version },
    decisive: { randomSeed, model, dataset, ...(damage === undefined ? {} : { damage }), optimization, morphogenetic, governor },
    growth,
    ...(germinateAfterSteps === undefined ? {} : { germinateAfterSteps }),
    ...(finalSizeOf === undefined ? {} : { finalSizeOf }),
  });
};

const labelOf = ({ host, dataset, damage, config }: CellSpec, arm: ExperimentArm): string =>
  [host, dataset, damage, arm, config.randomSeed].join(" / ");

export const planCells = (cells: readonly CellSpec[], engine: EngineIdentity): ExperimentPlan => {
  const jobs = new Map<string, Job>();
  const needed = new Set<string>();
  const planned = cells.map((cell): CellPlan => {
    const keys: Partial<Record<ExperimentArm, string>> = {};
    // The host of `final-size` comes from the arm `grown`, whether that is asked for or not.
    const arms: readonly ExperimentArm[] = cell.arms.includes("final-size") ? ["grown", ...cell.arms] : cell.arms;
    for (const arm of new Set(arms)) {
      const recipe = recipeOf(arm, cell.config, engine);
      const key = keyOf(recipe, engine);
      keys[arm] = key;
      if (recipe.finalSizeOf !== undefined) needed.add(recipe.finalSizeOf);
      if (!jobs.has(key)) jobs.set(key, { ...recipe, key, label: labelOf(cell, arm), keepHost: false });
    }
    const { host, dataset, damage, config } = cell;
    return { host, dataset, damage, damaged: config.damage !== undefined, randomSeed: config.randomSeed, keys };
  });
  const all = [...jobs.values()].map((job) => ({ ...job, keepHost: needed.has(job.key) }));
  const later = all.filter(({ finalSizeOf }) => finalSizeOf !== undefined);
  return { cells: planned, jobs: [...all.filter(({ finalSizeOf }) => finalSizeOf === undefined), ...later] }; // P3
};

export const randomSeedsOf = ({ randomSeeds }: ExperimentConfig): readonly number[] =>
  "count" in randomSeeds
    ? Array.from({ length: randomSeeds.count }, (_, index) => randomSeeds.first + index)
    : [...new Set(randomSeeds)];

const wellNamed = (what: string, names: readonly string[]): void => {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  throw new InputError(`${what}: expected different names, found ${twice} twice; rename one`, { path: what });
};

const resolve = (what: string, tree: Tree): EsperConfig => {
  const parsed = EsperConfig.safeParse(tree);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  - ${issue.path.join(".")}: ${describeFault(issue)}`);
  throw new InputError(
    `${what}: expected a valid configuration, found ${lines.length} problems:\n${lines.join("\n")}\ncorrect each`,
  );
};

/** All cells of an experiment. @throws InputError that names host, data set and damage of what does not fit. */
export const cellsOf = (experiment: ExperimentConfig): readonly CellSpec[] => {
  const { hosts, datasets, damages, base, arms } = experiment;
  wellNamed(
    "hosts",
    hosts.map(({ name }) => name),
  );
  wellNamed(
    "datasets",
    datasets.map(({ name }) => name),
  );
  wellNamed(
    "damages",
    damages.map(({ name }) => name),
  );
  const seeds = randomSeedsOf(experiment);
  const jobs = hosts.length * datasets.length * damages.length * seeds.length * arms.length;
  if (jobs > experiment.jobsMax) {
    throw new InputError(
      `expected at most ${experiment.jobsMax} jobs (jobsMax), found ${jobs}; ask for fewer, or raise jobsMax`,
      {
        path: "jobsMax",
      },
    );
  }
  return hosts.flatMap(({ name: host, ...own }) =>
    datasets.flatMap(({ name: datasetName, dataset }) =>
      damages.flatMap(({ name: damageName, damage }) => {
        const tree = mergeTrees(mergeTrees(base, own), { dataset, ...(damage === null ? {} : { damage }) });
        const config = resolve(`${host} / ${datasetName} / ${damageName}`, tree);
        return seeds.map((randomSeed) => ({
          host,
          dataset: datasetName,
          damage: damageName,
          config: { ...config, randomSeed, threads: 1 },
          arms,
        }));
      }),
    ),
  );
};
