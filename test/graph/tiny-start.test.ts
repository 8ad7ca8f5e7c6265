import { describe, expect, it } from "vitest";
import { hasTiny, type SampleShape } from "../../src/contracts/blueprint-shapes.ts";
import type { Tensor } from "../../src/contracts/graph.ts";
import type { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { blueprints, buildBlueprint } from "../../src/graph/blueprints/index.ts";
import { hiddenUnits, linearUnitsMax, writeLinearUnits } from "../../src/graph/blueprints/tiny-start.ts";
import { cnn, mlp, transformer } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { probe } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runReference } from "../../src/graph/reference.ts";
import { seedValue } from "../../src/graph/rewrite.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { tinyMoments } from "../../src/graph/tiny-moments.ts";
import { tinyUnits } from "../../src/growth/tiny.ts";
import {
  batch,
  batchFor,
  firstParameters,
  fitting,
  hostAround,
  outputOf,
  randomNormal,
  requestOf,
  seedId,
  tensor,
  train,
} from "./blueprint-cases.ts";

const tinyCases = fitting.filter(([kind]) => hasTiny(kind));
const options = { ridge: 1e-3 };

const matrix = ({ shape, data }: Tensor) => ({ rows: shape[0]!, columns: shape[1]!, data });

/** The units that TINY gives a blueprint around the test's batch. */
const unitsFor = (kind: (typeof tinyCases)[number][0], from: SampleShape, to: SampleShape, hiddenWidth: number) => {
  const host = hostAround(from, to);
  const layers = blueprints[kind].tiny!;
  const blueprint = buildBlueprint(requestOf(kind, "tiny", hiddenWidth), from, to);
  const layer = host.layers[0]!;
  const program = tinyMoments({ host, from: layer, to: layer, blueprint, batch });
  const found = runReference(program, { ...Object.fromEntries(firstParameters(host)), ...batchFor(from) });
  const { width, bias } = hiddenUnits(blueprint, layers);
  // Against nothing that the layer reads: it reads what the bypass reads, and then little would be left.
  const present = { rows: 2, columns: 2, data: Float64Array.of(0, 0, 0, 1) };
  const blank = (columns: number, means: ArrayLike<number>) => ({
    rows: 2,
    columns,
    data: Float64Array.from({ length: 2 * columns }, (_, i) => (i < columns ? 0 : means[i - columns]!)),
  });
  const [read, readGradient] = [matrix(found["read"]!), matrix(found["readGradient"]!)];
  const last = (of: typeof read) => Array.from(of.data).slice(-of.columns);
  const moments = {
    read,
    readGradient,
    present,
    overlap: blank(read.columns, last(read)),
    presentGradient: blank(readGradient.columns, last(readGradient)),
  };
  return { layers, units: tinyUnits(moments, { ...options, count: linearUnitsMax(width, layers), centred: bias })! };
};

describe("linear units in a blueprint", () => {
  it.each(tinyCases)(
    "%s from %j to %j: the blueprint gives just their sum, at each place that the span keeps",
    (kind, from, to) => {
      const request = requestOf(kind, "tiny", 6);
      const graph = buildBlueprint(request, from, to);
      const layers = blueprints[kind].tiny!;
      const { width, bias } = hiddenUnits(graph, layers);
      const parameters = initializeParameters(graph.parameters, createRandom(1));
      const draw = randomNormal(2);
      const first = parameters.get("first/weight")!.shape;
      const [inputs, outputs] = [first.length === 4 ? first[1]! : first[0]!, to.length === 2 ? to[1]! : to[0]!];
      const units = Array.from({ length: Math.min(2, linearUnitsMax(width, layers)) }, () => ({
        fanIn: Float64Array.from({ length: inputs }, draw),
        bias: bias ? draw() : 0,
        fanOut: Float64Array.from({ length: outputs }, draw),
      }));
      const out = outputOf(graph, writeLinearUnits(parameters, layers, units, 0.5), from, 7);
      const half = outputOf(graph, writeLinearUnits(parameters, layers, units, 0.25), from, 7);
      out.data.forEach((value: number, i: number) => {
        expect(value).toBeCloseTo(2 * half.data[i]!, 4);
      });
      // The same units on plain arrays, for targets without a pool.
      if (from.length === 3 && to.length === 1 && first.length === 4) return;
      const input = tensor([batch, ...from], randomNormal(7)).data;
      const size = sizeOf(from);
      const stride = to.length === 3 ? Math.ceil(from[1]! / to[1]!) : 1;
      const readAt = (n: number, place: number, i: number): number => {
        if (from.length === 3 && to.length === 3) {
          const [row, column] = [Math.floor(place / to[2]!) * stride, (place % to[2]!) * stride];
          return input[n * size + (i * from[1]! + row) * from[2]! + column]!;
        }
        if (from.length === 3 && inputs < size) {
          const plane = size / inputs;
          return Array.from(input.slice(n * size + i * plane, n * size + (i + 1) * plane)).reduce((sum, v) => sum + v, 0) / plane;
        }
        return from.length === 2 ? input[n * size + place * inputs + i]! : input[n * size + i]!;
      };
      const places = sizeOf(to) / outputs;
      for (let n = 0; n < batch; n++) {
        for (let place = 0; place < places; place++) {
          for (let j = 0; j < outputs; j++) {
            const expected = units.reduce((sum, { fanIn, fanOut, bias: shift }) => {
              const value = fanIn.reduce((total, weight, i) => total + weight * readAt(n, place, i), shift);
              return sum + 0.5 * value * fanOut[j]!;
            }, 0);
            const at = to.length === 3 ? (n * outputs + j) * places + place : (n * places + place) * outputs + j;
            expect(out.data[at]!).toBeCloseTo(expected, 3);
          }
        }
      }
    },
  );

  const optimizers: readonly OptimizerConfig[] = [
    { kind: "adam", learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clipNorm: 0 },
    { kind: "sgd", learningRate: 0.02, momentum: 0.9, weightDecay: 0, clipNorm: 0 },
  ];

  it.each(optimizers.flatMap((optimizer) => tinyCases.map((each) => [optimizer.kind, ...each, optimizer] as const)))(
    "%s: started by TINY, %s from %j to %j is better than nothing, moves in every parameter and makes no spike",
    (_, kind, from, to, optimizer) => {
      const { layers, units } = unitsFor(kind, from, to, 4);
      expect(units.length).toBeGreaterThan(0);
      const named = {
        ...layers,
        first: seedValue(seedId, layers.first),
        last: seedValue(seedId, layers.last),
        ...(layers.middle === undefined ? {} : { middle: seedValue(seedId, layers.middle) }),
      };
      const pair = [from, to] as const;
      const without = train(requestOf(kind, "zero"), pair, optimizer, 0).losses[0]!;
      const started = train(requestOf(kind, "tiny"), pair, optimizer, 2, (first) => writeLinearUnits(first, named, units, 0.01));
      expect(started.losses[0]!).toBeLessThan(without);
      expect(started.losses[1]! / started.losses[0]!).toBeLessThan(1.2);
      const dead = [...started.start].filter(([name, { data }]) =>
        [...started.parameters[1]!.get(name)!.data].every((value, i) => value === data[i]),
      );
      expect(dead.map(([name]) => name)).toEqual([]);
    },
  );
});

describe("the moments", () => {
  const dense = mlp({ name: "m", inputShape: [6], widths: [5, 4, 4], classes: 3 });
  const images = cnn({ name: "c", inputShape: [2, 6, 6], channels: [3, 4, 3], classes: 3 });
  const tokens = transformer({ name: "t", tokens: 4, vocabulary: 5, layers: 1, width: 4, heads: 2 });
  const cases = [
    ["h1", "h3", "dense", dense],
    ["h2", "output", "low-rank", dense],
    ["c1", "c2", "convolution", images],
    ["c2", "c3", "residual", images],
    ["b1.mlp.in", "b1.mlp.out", "token-mlp", tokens],
  ] as const;

  it.each(cases)(
    "of %o from %s to %s by %s are those of the values and gradients, on plain arrays",
    (fromName, toName, kind, host) => {
      const layerOf = (name: string) => host.layers.find((layer) => layer.name === name)!;
      const [from, to] = [layerOf(fromName), layerOf(toName)];
      const parameters = Object.fromEntries(initializeParameters(host.graph.parameters, createRandom(1)));
      const shapes = probe({ host, batch: 3, values: [from.input, to.input], gradients: [to.preActivation] });
      const random = createRandom(2);
      const feed = (name: string): Tensor => {
        const { dtype, shape } = shapes.inputs.find((input) => input.name === name)!;
        const draw = dtype === "int32" ? () => random.integer(3) : () => random.normal();
        const values = Array.from({ length: sizeOf(shape) }, draw);
        return { dtype, shape, data: dtype === "int32" ? Int32Array.from(values) : Float32Array.from(values) };
      };
      const feeds = { ...parameters, x: feed("x"), y: feed("y") };
      const found = runReference(shapes, feeds);
      const target = found[`gradient:${to.preActivation}`]!;
      const rows = (value: Tensor): number[][] => {
        const { shape, data } = value;
        if (shape.length < 4) {
          const width = shape.at(-1)!;
          return Array.from({ length: data.length / width }, (_, row) => [...data.slice(row * width, (row + 1) * width)]);
        }
        const [count, channels, height, width] = [shape[0]!, shape[1]!, shape[2]!, shape[3]!];
        const stride = Math.ceil(height / target.shape[2]!);
        const made: number[][] = [];
        for (let n = 0; n < count; n++) {
          for (let i = 0; i < height; i += stride) {
            for (let j = 0; j < width; j += stride)
              made.push(Array.from({ length: channels }, (_, c) => data[((n * channels + c) * height + i) * width + j]!));
          }
        }
        return made;
      };
      const withOne = (value: Tensor): number[][] => rows(value).map((row) => [...row, 1]);
      // The probe's gradient is of the mean loss, the moments' of the sum.
      const gradient = rows(target).map((row) => row.map((value) => value * 3));
      const [b2, b1] = [withOne(found[`value:${from.input}`]!), withOne(found[`value:${to.input}`]!)];
      const moment = (a: number[][], b: number[][]): number[] =>
        a[0]!.flatMap((_, i) => b[0]!.map((__, j) => a.reduce((sum, row, n) => sum + row[i]! * b[n]![j]!, 0) / a.length));
      const graph = buildBlueprint(requestOf(kind, "tiny"), found[`value:${from.input}`]!.shape.slice(1), target.shape.slice(1));
      const moments = runReference(tinyMoments({ host, from, to, blueprint: graph, batch: 3 }), feeds);
      const expected = {
        read: moment(b2, b2),
        present: moment(b1, b1),
        overlap: moment(b1, b2),
        presentGradient: moment(b1, gradient),
        readGradient: moment(b2, gradient),
      };
      for (const [name, values] of Object.entries(expected)) {
        const { data } = moments[name]!;
        expect(data).toHaveLength(values.length);
        for (const [i, value] of values.entries()) expect(data[i]!, `${name} ${i}`).toBeCloseTo(value, 4);
      }
    },
  );
});
