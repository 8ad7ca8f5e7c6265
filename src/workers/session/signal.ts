/**
 * Measures the signals of a host as it stands: N training rows drawn afresh for each check, random features fixed for the session.
 *
 * Fresh samples make two checks independent evidence. Fixed features make them comparable, and cost nothing after the first. Several batches
 * are pooled where one could not tell two layers apart.
 */

import type { MorphogeneticConfig } from "../../contracts/config.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { Host, Tensor } from "../../contracts/graph.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { type Signal, type SpanEnergy, worstLayer } from "../../contracts/signal.ts";
import { fillBatch, shuffledIndices } from "../../data/batches.ts";
import type { Executable } from "../../engine/engine.ts";
import { legalTargets } from "../../graph/spans.ts";
import type { DenseMatrix } from "../../growth/linear-algebra.ts";
import type { BlockMoments } from "../../growth/signals/blocks.ts";
import { generalizationGap } from "../../growth/signals/generalization.ts";
import { type LayerReading, layerSignals } from "../../growth/signals/index.ts";
import { spanEnergy } from "../../growth/span-energy.ts";
import { type Batch, makeBatch } from "./batch.ts";
import type { LayerCut } from "./cuts.ts";
import { layerCuts } from "./cuts.ts";
import { feedsFor } from "./evaluation.ts";
import { scalar } from "./learner.ts";
import { cutKey, expressivityWidths } from "./probe.ts";
import { randomPrefix } from "./probe-builder.ts";
import { spanStart } from "./span-probe.ts";

export interface SignalSources {
  readonly host: Host;
  readonly signal: Executable;
  readonly spans: Executable;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly dataset: DatasetBuffers;
  readonly config: Pick<MorphogeneticConfig, "signal" | "trigger">;
  /** Batches to pool. */
  readonly batches: number;
  /** Whether the energies of the worst layer's spans are measured too. */
  readonly withSpans: boolean;
  readonly validationLoss?: number;
}

export interface SignalReading {
  readonly signal: Signal | undefined;
  /** Batches that were measured. */
  readonly ran: number;
  readonly ranSpans: boolean;
}

type Outputs = Readonly<Record<string, Tensor>>;

const matrix = ({ shape, data }: Pick<Tensor, "shape" | "data">): DenseMatrix => ({ rows: shape[0]!, columns: shape[1]!, data });

/** Reads layers out of the outputs of one run or of several, which count alike. */
class Readings {
  readonly #runs: readonly Outputs[];
  readonly #targets: number;
  readonly #moments = new Map<string, BlockMoments>();

  constructor(runs: readonly Outputs[], targets: number) {
    this.#runs = runs;
    this.#targets = targets;
  }

  has(name: string): boolean {
    return this.#runs[0]?.[name] !== undefined;
  }

  /** Mean over the runs. */
  #pooled(name: string): { readonly shape: readonly number[]; readonly data: Float64Array } {
    const [first, ...rest] = this.#runs.map((run) => run[name]!);
    const data = Float64Array.from(first!.data);
    for (const { data: more } of rest) for (let index = 0; index < data.length; index++) data[index]! += more[index]!;
    for (let index = 0; index < data.length; index++) data[index]! /= this.#runs.length;
    return { shape: first!.shape, data };
  }

  #matrix(name: string): DenseMatrix {
    const { shape, data } = this.#pooled(name);
    return { rows: shape[0]!, columns: shape[1]!, data };
  }

  scalar(name: string): number {
    return this.#pooled(name).data[0]!;
  }

  #cut(values: readonly string[]): BlockMoments {
    const key = cutKey(values);
    const known = this.#moments.get(key);
    if (known !== undefined) return known;
    const blocks = this.#runs.flatMap((run) => {
      const { shape, data } = run[`cut:${key}`]!;
      const size = shape[1]! * shape[2]!;
      return Array.from({ length: shape[0]! }, (_, block) => data.subarray(block * size, (block + 1) * size));
    });
    const width = this.#runs[0]![`cut:${key}`]!.shape[1]!;
    const moments = { features: width - 1 - this.#targets, targets: this.#targets, blocks };
    this.#moments.set(key, moments);
    return moments;
  }

  layer({ layer: { name }, before, behind, past }: LayerCut, taps: number): LayerReading {
    const { linear, features } = expressivityWidths;
    return {
      input: this.#cut(before),
      output: this.#cut(behind),
      inputSketch: this.#matrix(`input:${name}`),
      preActivationSketch: this.#matrix(`preActivation:${name}`),
      bypassSketches: past.map((hidden) => this.#matrix(`bypass:${hidden}`)),
      taps,
      unitVariances: this.#pooled(`variances:${name}`).data,
      covarianceTrace: this.scalar(`trace:${name}`),
      covarianceSquares: this.scalar(`covariance:${name}`),
      gradientSquares: this.scalar(`gradient:${name}`),
      weightSquares: this.scalar(`weight:${name}`),
      weightGainSquares: this.scalar(`gain:${name}`),
      preActivationGradientSquares: this.scalar(`fisher:${name}`),
      expressivity: { moments: this.#matrix(`expressivity:${name}`), linear, features },
    };
  }
}

/** Places of its input that a convolution sums over for each channel. */
const tapsOf = (host: Host, parameters: readonly string[]): number => {
  const kernel = host.graph.parameters.find(({ name, shape }) => parameters.includes(name) && shape.length === 4);
  return kernel === undefined ? 1 : kernel.shape[2]! * kernel.shape[3]!;
};

export class SignalProbe {
  readonly #random: RandomSource;
  readonly #weights = new Map<string, Tensor>();

  /** `random` is only forked. */
  constructor(random: RandomSource) {
    this.#random = random;
  }

  /** @param check A label of this check, for example the host's step: equal labels draw equal samples. */
  async read(sources: SignalSources, check: string): Promise<SignalReading> {
    const { host, signal: program, config } = sources;
    const samples = this.#samples(program, sources, check);
    const runs: Outputs[] = [];
    for (const batch of samples) {
      const feeds = { ...sources.tensors, x: batch.x, y: batch.y, ...this.#draws(program) };
      runs.push(await program.run(feedsFor(program, feeds)));
    }
    const readings = new Readings(runs, host.classes);
    const sites = layerCuts(host)
      .filter(({ behind }) => readings.has(`cut:${cutKey(behind)}`))
      .filter(({ layer }) => readings.has(`fisher:${layer.name}`))
      .map((cut) => ({ site: cut.layer.name, reading: readings.layer(cut, tapsOf(host, cut.layer.parameters)) }));
    const layers = layerSignals(sites, config.signal);
    if (layers === undefined) return { signal: undefined, ran: runs.length, ranSpans: false };
    const worst = sources.withSpans ? worstLayer(layers, config.trigger) : undefined;
    const spans = worst === undefined ? [] : await this.#spans(sources, samples[0]!, worst.site);
    const trainLoss = readings.scalar("loss");
    const generalization = generalizationGap(trainLoss, sources.validationLoss);
    const signal = {
      samples: samples.length * samples[0]!.x.shape[0]! * host.rows,
      errorPower: readings.scalar("errorPower"),
      trainLoss,
      ...(generalization === undefined ? {} : { generalizationGap: generalization }),
      layers,
      spans,
    };
    return { signal, ran: runs.length, ranSpans: worst !== undefined };
  }

  async #spans(sources: SignalSources, { x, y }: Batch, from: string): Promise<SpanEnergy[]> {
    const { host, spans: program, config } = sources;
    const starts = Object.fromEntries(host.layers.map(({ name }) => [spanStart(name), scalar(name === from ? 1 : 0)]));
    const result = await program.run(feedsFor(program, { ...sources.tensors, x, y, ...this.#draws(program), ...starts }));
    return legalTargets(host, from).flatMap((toSite) => {
      if (result[`present:${toSite}`] === undefined) return [];
      const moment = (kind: string): DenseMatrix => matrix(result[`${kind}:${toSite}`]!);
      const energy = spanEnergy(
        {
          candidate: matrix(result["candidate"]!),
          present: moment("present"),
          overlap: moment("overlap"),
          presentGradient: moment("presentGradient"),
          candidateGradient: moment("candidateGradient"),
        },
        config.signal.ridge,
      );
      return energy === undefined ? [] : [{ fromSite: from, toSite, energy }];
    });
  }

  /** Disjoint batches, as many of those that are asked for as the training samples fill. */
  #samples(program: Executable, { dataset, batches }: SignalSources, check: string): Batch[] {
    const order = shuffledIndices(dataset.train.count, this.#random.fork(`samples:${check}`));
    const size = makeBatch(program.inputs).x.shape[0]!;
    const count = Math.max(1, Math.min(batches, Math.floor(dataset.train.count / size)));
    return Array.from({ length: count }, (_, index) => {
      const batch = makeBatch(program.inputs);
      fillBatch(dataset, "train", order.subarray(index * size, (index + 1) * size), batch.x.data, batch.y.data);
      return batch;
    });
  }

  #draws(program: Executable): Record<string, Tensor> {
    const names = program.inputs.filter(({ name }) => name.startsWith(randomPrefix));
    return Object.fromEntries(names.map(({ name, shape }) => [name, this.#weight(name, shape)]));
  }

  #weight(name: string, shape: readonly number[]): Tensor {
    const key = `${name} [${shape.join(", ")}]`;
    const known = this.#weights.get(key);
    if (known !== undefined) return known;
    const random = this.#random.fork(key);
    const data = Float32Array.from({ length: shape.reduce((product, dim) => product * dim, 1) }, () => random.normal());
    const made: Tensor = { dtype: "float32", shape, data };
    this.#weights.set(key, made);
    return made;
  }
}
