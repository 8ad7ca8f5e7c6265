/**
 * Looks at the parts of a host: which units of its layers matter, from one sampled batch, and what every grown bypass is worth, by switching
 * it off on the validation samples.
 *
 * V1 Nothing of the host moves: samples come from a stream of their own, and tensors are only read.
 * V2 What could not be measured is absent; what cannot go carries the reason.
 * V3 Programs are compiled once for a host, and given back when another takes its place.
 * V4 What is held at once has bounds: fewer samples where a host's layers are large, and the oldest bypasses where there are many.
 */
import type { MorphogeneticConfig } from "../../contracts/config.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { Host, HostLayer, Tensor } from "../../contracts/graph.ts";
import type { OptimizerConfig } from "../../contracts/optimizer.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import type { BypassMeasurement, HostParts, LayerMeasurement } from "../../contracts/pruning.ts";
import { fillBatch, shuffledIndices } from "../../data/batches.ts";
import type { Engine, Executable } from "../../engine/engine.ts";
import { bind } from "../../graph/bind.ts";
import { programFlops } from "../../graph/flops.ts";
import { hostHash } from "../../graph/hash.ts";
import { foldedSeeds, sourceOf } from "../../graph/merge.ts";
import { evaluate, probe } from "../../graph/programs.ts";
import { pruneTarget, pruneUnits } from "../../graph/prune.ts";
import { sizeOf } from "../../graph/shapes.ts";
import { trainStep } from "../../graph/step.ts";
import { ablate } from "../../growth/ablation.ts";
import { type Keepable, measureUnits } from "../../growth/importance.ts";
import { mean } from "../../growth/statistics.ts";
import { makeBatch } from "./batch.ts";
import { evaluateSplit, evaluationRuns, feedsFor, type SplitLosses } from "./evaluation.ts";
import type { FlopsLedger } from "./flops.ts";
import type { TensorMap } from "./learner.ts";
import { cohortsOf } from "./programs.ts";

/** Values and gradients of all layers that a look may hold. */
const probeBytesMax = 268_435_456;
/** Bypasses in one look; each is an evaluation of its own. */
const bypassesMax = 64;

export interface SurveyOptions {
  readonly engine: Engine;
  readonly dataset: DatasetBuffers;
  readonly config: MorphogeneticConfig;
  readonly optimizer: OptimizerConfig;
  readonly batchSize: number;
  /** Only forked. */
  readonly random: RandomSource;
}

export interface SurveySources {
  readonly host: Host;
  readonly tensors: TensorMap;
  readonly stepFlops: number;
  /** Validation losses of the host as it stands. */
  readonly losses: SplitLosses;
  readonly ledger: FlopsLedger;
}

/** A layer and how its units can go; or why they cannot. */
interface LayerPlan {
  readonly layer: HostLayer;
  readonly keepable: Keepable | undefined;
  readonly stepFlopsPerUnit: number;
  readonly obstacle?: string;
}

interface BypassPlan {
  readonly seedId: string;
  readonly site: string;
  readonly stepFlopsWithout: number;
  /** Evaluation of the host without it, and its FLOPs. */
  readonly without?: { readonly host: Host; readonly executable: Executable; readonly flops: number };
  readonly obstacle?: string;
}

interface SurveyPlan {
  readonly hash: string;
  readonly probe: Executable;
  readonly probeFlops: number;
  readonly layers: readonly LayerPlan[];
  readonly bypasses: readonly BypassPlan[];
}

const outputsOf = (layers: readonly HostLayer[]): string[] => [...new Set(layers.map(({ output }) => output))];

/** V4 */
const samplesFor = ({ graph }: Host, values: readonly string[]): number => {
  const { types } = bind(graph, { batch: 1, mode: "eval" });
  const elements = values.reduce((sum, value) => sum + sizeOf(types.get(value)!.shape), 0);
  return Math.max(2, Math.floor(probeBytesMax / (8 * Math.max(1, elements))));
};

export class PartsSurvey {
  readonly #options: SurveyOptions;
  #plan: SurveyPlan | undefined;

  constructor(options: SurveyOptions) {
    this.#options = options;
  }

  /** Charged; absent where the budget has no room for it. @param check A label: equal labels draw equal samples. */
  async read(sources: SurveySources, check: string): Promise<HostParts | undefined> {
    const plan = await this.#planFor(sources);
    const { ledger, losses } = sources;
    if (!ledger.fits(plan.probeFlops)) return undefined;
    ledger.charge("signal", plan.probeFlops);
    const layers = await this.#measureLayers(plan, sources, check);
    const bypasses: BypassMeasurement[] = [];
    for (const bypass of plan.bypasses) bypasses.push(await this.#ablate(bypass, sources));
    const validationLoss = mean(losses.losses);
    return {
      hostHash: plan.hash,
      layers,
      bypasses,
      ...(Number.isFinite(validationLoss) ? { validationLoss } : {}), // V2
    };
  }

  async dispose(): Promise<void> {
    const plan = this.#plan;
    this.#plan = undefined;
    if (plan === undefined) return;
    const evaluations = plan.bypasses.flatMap(({ without }) => without?.executable ?? []);
    await Promise.all([plan.probe, ...evaluations].map((program) => program.dispose()));
  }

  /** V3 */
  async #planFor(sources: SurveySources): Promise<SurveyPlan> {
    const hash = hostHash(sources.host);
    if (this.#plan?.hash === hash) return this.#plan;
    await this.dispose();
    const { engine, dataset, config } = this.#options;
    const { host } = sources;
    const layers = host.layers.filter(({ kind }) => kind !== "output").map((layer) => this.#planLayer(layer, sources));
    const values = outputsOf(layers.flatMap(({ layer, keepable }) => (keepable === undefined ? [] : [layer])));
    const batch = Math.min(config.pruning.samples, dataset.train.count, samplesFor(host, values));
    const program = probe({ host, batch, values, gradients: values });
    const loaded = await engine.load(await engine.compile(program));
    const bypasses: BypassPlan[] = [];
    for (const seedId of foldedSeeds(host).slice(0, bypassesMax)) {
      const bypass = await this.#planBypass(seedId, sources);
      if (bypass !== undefined) bypasses.push(bypass);
    }
    this.#plan = { hash, probe: loaded, probeFlops: programFlops(program), layers, bypasses };
    return this.#plan;
  }

  #stepFlops(host: Host): number {
    const { optimizer, batchSize: batch } = this.#options;
    return trainStep({ host, optimizer, trainableCohorts: cohortsOf(host), batch }).flops;
  }

  #planLayer(layer: HostLayer, { host, tensors, stepFlops }: SurveySources): LayerPlan {
    let obstacle = "";
    for (const keepable of ["mean", "zero"] as const) {
      const constants = [keepable === "mean" ? 1 : 0];
      const pruning = pruneUnits(host, tensors, { layer: layer.name, units: [0], constants });
      if (pruning.kind === "pruned")
        return { layer, keepable, stepFlopsPerUnit: Math.max(0, stepFlops - this.#stepFlops(pruning.host)) };
      obstacle = pruning.reason;
    }
    return { layer, keepable: undefined, stepFlopsPerUnit: 0, obstacle };
  }

  /** Undefined where no hidden layer stands at its start: no seed could take it out. */
  async #planBypass(seedId: string, { host, tensors }: SurveySources): Promise<BypassPlan | undefined> {
    const source = sourceOf(host.graph, seedId);
    const site = host.layers.find(({ input, kind }) => input === source && kind !== "output")?.name;
    if (site === undefined) return undefined;
    const pruning = pruneTarget(host, tensors, { kind: "bypass", site, seedId });
    if (pruning.kind === "refused") return { seedId, site, stepFlopsWithout: 0, obstacle: pruning.reason };
    const { engine, dataset, batchSize: batch } = this.#options;
    const program = evaluate({ host: pruning.host, batch });
    const executable = await engine.load(await engine.compile(program));
    const flops = evaluationRuns(dataset.validation.count, batch) * programFlops(program);
    return {
      seedId,
      site,
      stepFlopsWithout: this.#stepFlops(pruning.host),
      without: { host: pruning.host, executable, flops },
    };
  }

  async #measureLayers(plan: SurveyPlan, { tensors }: SurveySources, check: string): Promise<LayerMeasurement[]> {
    const { dataset, random } = this.#options;
    const batch = makeBatch(plan.probe.inputs);
    const order = shuffledIndices(dataset.train.count, random.fork(`parts:${check}`));
    fillBatch(dataset, "train", order.subarray(0, batch.x.shape[0]), batch.x.data, batch.y.data);
    const result = await plan.probe.run(feedsFor(plan.probe, { ...Object.fromEntries(tensors), x: batch.x, y: batch.y }));
    return plan.layers.map(({ layer, keepable, stepFlopsPerUnit, obstacle }) => {
      const [value, slope] = ["value", "gradient"].map((kind): Tensor | undefined => result[`${kind}:${layer.output}`]);
      const told = { site: layer.name, stepFlopsPerUnit };
      if (keepable === undefined || value === undefined || slope === undefined)
        return { ...told, units: [], obstacle: obstacle ?? "its output was not measured" };
      return { ...told, units: measureUnits({ shape: value.shape, activation: value.data, gradient: slope.data }, keepable) };
    });
  }

  async #ablate(
    { seedId, site, stepFlopsWithout, without, obstacle }: BypassPlan,
    sources: SurveySources,
  ): Promise<BypassMeasurement> {
    const { tensors, stepFlops, losses, ledger } = sources;
    const stepFlopsSaved = Math.max(0, stepFlops - stepFlopsWithout);
    if (without === undefined) return { seedId, site, stepFlops: 0, obstacle: obstacle ?? "it cannot be switched off" };
    if (!ledger.fits(without.flops)) return { seedId, site, stepFlops: stepFlopsSaved }; // V2
    ledger.charge("signal", without.flops);
    const kept = without.host.graph.parameters.map(({ name }) => [name, tensors.get(name)!] as const);
    const { dataset, config } = this.#options;
    const ablated = await evaluateSplit(without.executable, Object.fromEntries(kept), dataset, "validation");
    return ablate({
      seedId,
      site,
      lossesWith: losses.losses,
      lossesWithout: ablated.losses,
      stepFlopsWith: stepFlops,
      stepFlopsWithout,
      confidence: config.evaluation.confidence,
    });
  }
}
