import { afterAll, describe, expect, it } from "vitest";
import { EsperConfig } from "../../../src/contracts/config.ts";
import type { Host, Tensor } from "../../../src/contracts/graph.ts";
import type { Signal } from "../../../src/contracts/signal.ts";
import type { Executable } from "../../../src/engine/engine.ts";
import { damageParameters } from "../../../src/graph/damage/index.ts";
import { cnn, mlp, resnet, transformer } from "../../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../../src/graph/initialize.ts";
import { probe } from "../../../src/graph/programs.ts";
import { createRandom } from "../../../src/graph/random.ts";
import { runReference } from "../../../src/graph/reference.ts";
import { sizeOf } from "../../../src/graph/shapes.ts";
import { legalSpans } from "../../../src/graph/spans.ts";
import { growHost } from "../../../src/workers/session/grow.ts";
import { probeBatch, signalProgram } from "../../../src/workers/session/probe.ts";
import { randomPrefix } from "../../../src/workers/session/probe-builder.ts";
import { SignalProbe } from "../../../src/workers/session/signal.ts";
import { spanProgram } from "../../../src/workers/session/span-probe.ts";
import { Driver, dataset, kernelKey, nativeEngine } from "../fixture.ts";

const tiny: Readonly<Record<string, Host>> = {
  mlp: mlp({ name: "m", inputShape: [5], widths: [4, 20], classes: 3 }),
  cnn: cnn({ name: "c", inputShape: [2, 8, 8], channels: [3, 2], classes: 3, batchNorm: true }),
  resnet: resnet({ name: "r", inputShape: [2, 4, 4], width: 2, blocks: [1, 1], classes: 3 }),
  transformer: transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 1, width: 4, heads: 2, hiddenWidth: 6 }),
  regression: mlp({ name: "m", inputShape: [5], widths: [6], classes: 2, task: "regression" }),
};
const options = { samples: 64, features: 16 };

/** A value for every input of a program: labels and ids below the classes, parameters as initialised, all else normal. */
const feedsFor = (host: Host, { inputs }: ReturnType<typeof signalProgram>): Record<string, Tensor> => {
  const random = createRandom(3);
  const parameters = initializeParameters(host.graph.parameters, createRandom(1));
  return Object.fromEntries(
    inputs.map(({ name, dtype, shape }): [string, Tensor] => {
      const known = parameters.get(name);
      if (known !== undefined) return [name, known];
      const stream = random.fork(name);
      const [length, bound] = [sizeOf(shape), [...shape]];
      return dtype === "int32"
        ? [name, { dtype, shape: bound, data: Int32Array.from({ length }, () => stream.integer(host.classes)) }]
        : [name, { dtype, shape: bound, data: Float32Array.from({ length }, () => stream.normal()) }];
    }),
  );
};

const hidden = (host: Host) => host.layers.filter(({ kind }) => kind !== "output");
const numbers = (tensor: Tensor | undefined): number[] => Array.from(tensor!.data);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: readonly number[]): number => mean(values.map((value) => (value - mean(values)) ** 2));

describe("the measuring programs", () => {
  it.each(Object.entries(tiny))("read every hidden layer of a %s, and every end of its legal spans", (_name, host) => {
    const program = signalProgram({ host, ...options });
    const result = runReference(program, feedsFor(host, program));
    for (const { name } of hidden(host)) expect(result[`fisher:${name}`]!.data[0]).toBeGreaterThan(0);
    for (const { data } of Object.values(result)) expect(Array.from(data).every(Number.isFinite)).toBe(true);
    const spans = spanProgram({ host, ...options });
    const read = runReference(spans, feedsFor(host, spans));
    for (const { to } of legalSpans(host)) expect(read).toHaveProperty([`present:${to}`]);
  });

  it("take whole blocks of samples, and as many sequences as hold the rows that are asked for", () => {
    expect(probeBatch({ rows: 1 }, 2048)).toBe(2048);
    expect(probeBatch({ rows: 1 }, 100)).toBe(96);
    expect(probeBatch({ rows: 64 }, 2048)).toBe(32);
    expect(probeBatch({ rows: 4096 }, 64)).toBe(8);
  });

  it("say of an MLP what plain arrays say: features and error by blocks, variances, slopes and weights", () => {
    const host = tiny["mlp"]!;
    const program = signalProgram({ host, ...options });
    const feeds = feedsFor(host, program);
    const result = runReference(program, feeds);
    const [, h2] = host.layers;
    const read = probe({ host, batch: options.samples, values: [h2!.output], gradients: [h2!.preActivation] });
    const plain = runReference(read, Object.fromEntries(read.inputs.map(({ name }) => [name, feeds[name]!])));
    const rows = (tensor: Tensor | undefined): number[][] => {
      const [count, width] = tensor!.shape as [number, number];
      return Array.from({ length: count }, (_, row) => numbers(tensor).slice(row * width, (row + 1) * width));
    };
    const column = (table: readonly (readonly number[])[], index: number): number[] => table.map((row) => row[index]!);
    const activations = rows(plain[`value:${h2!.output}`]);
    const slopes = rows(plain[`gradient:${h2!.preActivation}`]);

    for (const [unit, found] of numbers(result["variances:h2"]).entries())
      expect(found).toBeCloseTo(variance(column(activations, unit)), 5);
    const squared = mean(slopes.flat().map((value) => (value * options.samples) ** 2));
    expect(result["fisher:h2"]!.data[0]! / squared).toBeCloseTo(1, 4);
    const weight = numbers(feeds["h2/weight"]);
    expect(result["gain:h2"]!.data[0]).toBeCloseTo((mean(weight.map((value) => value ** 2)) * 4) / 2, 4);

    // Random features of h2's output, by hand, and the error of the softmax.
    const directions = rows(feeds[`${randomPrefix}cut2:0`]);
    const bias = numbers(feeds[`${randomPrefix}cut2:bias`]);
    const projected = activations.map((row) =>
      bias.map((_, k) => row.reduce((sum, value, i) => sum + value * directions[i]![k]!, 0)),
    );
    const features = projected.map((row) =>
      row.map((value, k) => {
        const all = column(projected, k);
        return Math.max(0, (value - mean(all)) / Math.sqrt(variance(all)) + bias[k]!);
      }),
    );
    const errors = rows(plain["logits"]).map((row, sample) => {
      const powers = row.map(Math.exp);
      const total = powers.reduce((sum, value) => sum + value, 0);
      return powers.map((value, k) => (k === feeds["y"]!.data[sample] ? 1 : 0) - value / total);
    });
    const centred = (table: readonly (readonly number[])[]): number[][] =>
      table.map((row) => row.map((value, index) => value - mean(column(table, index))));
    const joint = centred(features).map((row, sample) => [...row, 1, ...centred(errors)[sample]!]);
    const size = joint[0]!.length;
    const block = joint.slice(8, 16);
    const found = result[`cut:${h2!.output}`]!;
    expect(found.shape).toEqual([8, size, size]);
    for (let i = 0; i < size; i += 3) {
      for (let j = 0; j < size; j++) {
        const sum = block.reduce((total, row) => total + row[i]! * row[j]!, 0);
        expect(found.data[size * size + i * size + j]).toBeCloseTo(sum, 3);
      }
    }
  });
});

describe("a measurement", () => {
  const config = EsperConfig.parse({ morphogenetic: { signal: { samples: 256, features: 16 } } }).morphogenetic;
  const loaded: Executable[] = [];
  afterAll(async () => {
    for (const program of loaded) await program.dispose();
  });

  const load = async (host: Host) => {
    const engine = await nativeEngine();
    const programs = [signalProgram({ host, samples: 256, features: 16 }), spanProgram({ host, samples: 256, features: 16 })];
    const [signal, spans] = await Promise.all(programs.map(async (program) => engine.load(await engine.compile(program))));
    loaded.push(signal!, spans!);
    return { host, signal: signal!, spans: spans! };
  };
  const plain = mlp({ name: "m", inputShape: [1, 8, 8], widths: [16, 16, 16], classes: 4 });
  const measure = async (host: Host, tensors: ReadonlyMap<string, Tensor>, label: string, batches = 1): Promise<Signal> => {
    const sources = { ...(await load(host)), tensors: Object.fromEntries(tensors), dataset, config, batches, withSpans: true };
    const { signal } = await new SignalProbe(createRandom(2)).read({ ...sources, validationLoss: 2 }, label);
    return signal!;
  };
  const fresh = (host: Host) => initializeParameters(host.graph.parameters, createRandom(4));
  const damaged = (kind: "dead" | "initialization", live: number) => {
    const parameters = fresh(plain);
    return new Map([...parameters, ...damageParameters(plain, ["h2"], { kind, live }, parameters, createRandom(5))]);
  };

  it("is the same for equal labels and another for others, and pools disjoint batches", async () => {
    const tensors = fresh(plain);
    const [one, same, other, pooled] = [
      await measure(plain, tensors, "a"),
      await measure(plain, tensors, "a"),
      await measure(plain, tensors, "b"),
      await measure(plain, tensors, "a", 3),
    ];
    expect(same).toEqual(one);
    expect(other.layers).not.toEqual(one.layers);
    expect([one.samples, pooled.samples]).toEqual([256, 768]);
    expect(mean(pooled.layers.map(({ gapError }) => gapError))).toBeLessThan(mean(one.layers.map(({ gapError }) => gapError)));
    expect(one.generalizationGap).toBeCloseTo(2 - one.trainLoss, 9);
    const most = await measure(plain, tensors, "a", 16);
    expect(most.samples).toBe(1024);
  });

  it("counts what dead units leave, names the layer, and measures the spans from it", async () => {
    const { layers, spans } = await measure(plain, damaged("dead", 2), "a");
    expect(layers.map(({ dimensionsOut }) => dimensionsOut)).toEqual([16, 2, expect.any(Number)]);
    expect(layers[1]).toMatchObject({ constantUnits: 14 / 16 });
    expect(layers[1]!.dimensionsIn).toBeGreaterThan(8);
    expect(layers[0]!.weightGain).toBeCloseTo(1, 0);
    expect(spans.map(({ fromSite, toSite }) => [fromSite, toSite])).toEqual([
      ["h2", "h3"],
      ["h2", "output"],
    ]);
    expect((await measure(plain, fresh(plain), "a")).spans).toEqual([]);
  });

  it("sees weights that start a hundredfold too large", async () => {
    const { layers } = await measure(plain, damaged("initialization", 1), "a");
    expect(layers[1]!.weightGain).toBeGreaterThan(50);
    expect(layers[2]!.weightGain).toBeLessThan(3);
  });

  it("adds the directions that a folded bypass carries past a dead layer", async () => {
    const { folded } = growHost(await kernelKey((await Driver.open()).session), plain);
    const tensors = new Map([...initializeParameters(folded.graph.parameters, createRandom(6)), ...damaged("dead", 2)]);
    const { layers } = await measure(folded, tensors, "a");
    expect(layers[1]!.dimensionsOut).toBeGreaterThan(2 + 3);
  });
});
