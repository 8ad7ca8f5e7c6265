/**
 * Measures the signal on a host as it stands: N training samples drawn afresh for each check, random features fixed for the session.
 *
 * Fresh samples make two checks independent evidence. Fixed features make them comparable, and cost nothing after the first.
 */
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import type { Host, Tensor } from "../../contracts/graph.ts";
import type { Signal, SpanEnergy } from "../../contracts/measure.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { fillBatch, shuffledIndices } from "../../data/batches.ts";
import type { Executable } from "../../engine/engine.ts";
import { explainedErrorGaps, largestGap } from "../../growth/explained-error.ts";
import type { DenseMatrix } from "../../growth/linear-algebra.ts";
import { spanEnergy } from "../../growth/span-energy.ts";
import { cutsOf } from "./cuts.ts";
import { feedsFor, makeBatch } from "./evaluation.ts";
import { scalar } from "./learner.ts";
import { spanStart } from "./probe.ts";

export interface SignalSources {
  readonly host: Host;
  readonly signal: Executable;
  readonly spans: Executable;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly dataset: DatasetBuffers;
  readonly ridge: number;
  /** Spans are worth measuring from this gap on. */
  readonly gapMin: number;
}

export interface SignalReading {
  readonly signal: Signal | undefined;
  readonly ranSpans: boolean;
}

const matrix = (tensor: Tensor): DenseMatrix => ({ rows: tensor.shape[0]!, columns: tensor.shape[1]!, data: tensor.data });

export class SignalProbe {
  readonly #random: RandomSource;
  readonly #weights = new Map<string, Tensor>();

  /** `random` is only forked. */
  constructor(random: RandomSource) {
    this.#random = random;
  }

  /** @param check A label of this check, for example the host's step: equal labels draw equal samples. */
  async read(sources: SignalSources, check: string): Promise<SignalReading> {
    const { host, signal: program, dataset, ridge } = sources;
    const batch = this.#samples(program, dataset, check);
    const feeds = { ...sources.tensors, x: batch.x, y: batch.y };
    const result = await program.run(feedsFor(program, { ...feeds, ...this.#features(program) }));
    const power = result["power"]!.data[0]!;
    const cuts = cutsOf(host);
    const moments = cuts.map((_, index) => ({
      gram: matrix(result[`gram:${index}`]!),
      cross: matrix(result[`cross:${index}`]!),
      power,
    }));
    const sites = cuts.flatMap(({ site }) => site ?? []);
    const layers = explainedErrorGaps(sites, moments, ridge);
    if (layers === undefined) return { signal: undefined, ranSpans: false };
    const largest = largestGap(layers);
    const wanted = largest !== undefined && largest.gap > sources.gapMin;
    const spans = wanted ? await this.#spans(sources, feeds, largest.site) : [];
    return {
      signal: { samples: batch.y.data.length, errorPower: result["errorPower"]!.data[0]!, layers, spans },
      ranSpans: wanted,
    };
  }

  async #spans(sources: SignalSources, feeds: Readonly<Record<string, Tensor>>, from: string): Promise<SpanEnergy[]> {
    const { host, spans: program, ridge } = sources;
    const starts = Object.fromEntries(host.layers.map(({ name }) => [spanStart(name), scalar(name === from ? 1 : 0)]));
    const result = await program.run(feedsFor(program, { ...feeds, ...this.#features(program), ...starts }));
    const candidate = matrix(result["candidate"]!);
    const first = host.layers.findIndex(({ name }) => name === from);
    return host.layers.slice(first + 1).flatMap(({ name: toSite }) => {
      const moment = (kind: string): DenseMatrix => matrix(result[`${kind}:${toSite}`]!);
      const energy = spanEnergy(
        {
          candidate,
          present: moment("present"),
          overlap: moment("overlap"),
          presentGradient: moment("presentGradient"),
          candidateGradient: moment("candidateGradient"),
        },
        ridge,
      );
      return energy === undefined ? [] : [{ fromSite: from, toSite, energy }];
    });
  }

  #samples(program: Executable, dataset: DatasetBuffers, check: string): { x: Tensor; y: Tensor } {
    const shape = program.inputs.find(({ name }) => name === "x")!.shape;
    const batch = makeBatch(shape);
    const order = shuffledIndices(dataset.train.count, this.#random.fork(`samples:${check}`));
    fillBatch(dataset, "train", order.subarray(0, shape[0]), batch.x.data as Float32Array, batch.y.data as Int32Array);
    return batch;
  }

  #features(program: Executable): Record<string, Tensor> {
    const names = program.inputs.filter(({ name }) => name.startsWith("features:"));
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
