/** Pairs of shapes for every kind of blueprint, and what stands around a blueprint in tests: a small host whose loss it changes. */
import type {
  BlueprintInitialization,
  BlueprintKind,
  BlueprintRequest,
  BypassKind,
} from "../../src/contracts/blueprint-kinds.ts";
import { bypassKinds } from "../../src/contracts/blueprint-kinds.ts";
import { fits, type SampleShape } from "../../src/contracts/blueprint-shapes.ts";
import type { Graph, Host, Tensor } from "../../src/contracts/graph.ts";
import type { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { buildBlueprint } from "../../src/graph/blueprints/index.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { inference } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { runReference } from "../../src/graph/reference.ts";
import { insertBypass } from "../../src/graph/rewrite.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { trainStep, updatedName } from "../../src/graph/step.ts";

export const pairs: readonly (readonly [SampleShape, SampleShape])[] = [
  [[5], [5]],
  [[6], [3]],
  [[2, 4, 4], [3]],
  [
    [3, 4, 4],
    [3, 4, 4],
  ],
  [
    [2, 5, 5],
    [3, 3, 3],
  ],
  [
    [4, 6],
    [4, 6],
  ],
  [
    [4, 6],
    [4, 3],
  ],
  [[2, 24, 24], [3]],
];

/** Every kind on every pair that it fits. */
export const fitting: readonly (readonly [BypassKind, SampleShape, SampleShape])[] = bypassKinds.flatMap((kind) =>
  pairs.flatMap(([from, to]) => (fits({ kind }, from, to) ? [[kind, from, to] as const] : [])),
);

export const requestOf = (kind: BlueprintKind, initialization: BlueprintInitialization, hiddenWidth = 4): BlueprintRequest => ({
  kind,
  hiddenWidth,
  initialization,
});

export const batch = 6;
const classes = 3;
export const seedId = "s";

/**
 * A host with one input of the first shape whose only layer `z` has the second: a fixed random map, a ReLU, then logits for every row.
 * The bypass adds to z.
 */
export const hostAround = (from: SampleShape, to: SampleShape): Host => {
  const b = new GraphBuilder();
  const x = b.input("x", [-1, ...from]);
  const [inputs, outputs] = [sizeOf(from), sizeOf(to)];
  const flags = { transposeA: false, transposeB: false };
  const flat = b.op("reshape", [x], { shape: [-1, inputs] }, "flat");
  const weight = b.parameter("z/weight", [inputs, outputs], { kind: "heNormal", fanIn: inputs });
  const mixed = b.op("matMul", [flat, weight], flags, "mixed");
  const z = b.op("reshape", [mixed], { shape: [-1, ...to] }, "z");
  const active = b.op("relu", [z], {}, "active");
  const read = b.op("reshape", [active], { shape: [-1, outputs] }, "read");
  const last = b.parameter("output/weight", [outputs, classes], { kind: "heNormal", fanIn: outputs });
  const logits = b.op("matMul", [read, last], flags, "logits");
  b.output("logits", logits);
  const layer = { name: "z", kind: "dense" as const, input: x, preActivation: z, output: active, parameters: [weight] };
  const output = {
    name: "output",
    kind: "output" as const,
    input: read,
    preActivation: logits,
    output: logits,
    parameters: [last],
  };
  return { name: "around", graph: b.build(), layers: [layer, output], task: "classification", rows: 1, classes };
};

export const tensor = (shape: readonly number[], draw: () => number): Tensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, draw),
});

/** What the blueprint gives for random inputs, with its first parameters or with those given. */
export const outputOf = (
  graph: Graph,
  parameters: ReadonlyMap<string, Tensor>,
  from: SampleShape,
  randomSeed: number,
): Tensor => {
  const host = { graph: { ...graph, outputs: [{ name: "logits", value: graph.outputs[0]!.value }] } };
  return runReference(inference({ host, batch }), {
    ...Object.fromEntries(parameters),
    in: tensor([batch, ...from], randomNormal(randomSeed)),
  })["logits"]!;
};

export const randomNormal = (seed: number): (() => number) => {
  const random = createRandom(seed);
  return () => random.normal();
};

export interface Stepped {
  /** Loss before each step, and after the last. */
  readonly losses: readonly number[];
  /** Parameters after each step. */
  readonly parameters: readonly ReadonlyMap<string, Tensor>[];
  readonly start: ReadonlyMap<string, Tensor>;
}

/** The batch that a kernel is trained on in tests. */
export const batchFor = (from: SampleShape): { readonly x: Tensor; readonly y: Tensor } => {
  const labels = createRandom(5);
  return {
    x: tensor([batch, ...from], randomNormal(4)),
    y: { dtype: "int32", shape: [batch], data: Int32Array.from({ length: batch }, () => labels.integer(classes)) },
  };
};

/** Every first parameter of the host around the shapes, grown or not. */
export const firstParameters = (host: Host): Map<string, Tensor> => initializeParameters(host.graph.parameters, createRandom(3));

/** Steps of the kernel alone at alpha 1 on one batch, with the host frozen. `restart` may change its first parameters. */
export const train = (
  request: BlueprintRequest,
  [from, to]: readonly [SampleShape, SampleShape],
  optimizer: OptimizerConfig,
  steps: number,
  restart = (parameters: Map<string, Tensor>): Map<string, Tensor> => parameters,
): Stepped => {
  const host = hostAround(from, to);
  const grown = insertBypass(host, { seedId, blueprint: buildBlueprint(request, from, to), from: "x", to: "z", alpha: "input" });
  const { program, slots } = trainStep({ host: grown, optimizer, trainableCohorts: [seedId], batch });
  const initial = restart(firstParameters(grown));
  let state: Record<string, Tensor> = {
    ...Object.fromEntries(initial),
    ...Object.fromEntries(slots.map(({ name, shape }) => [name, tensor(shape, () => 0)])),
  };
  const fixed = {
    ...batchFor(from),
    [`alpha:${seedId}`]: tensor([], () => 1),
  };
  const losses: number[] = [];
  const parameters: ReadonlyMap<string, Tensor>[] = [];
  const own = grown.graph.parameters.filter(({ cohort, trainable }) => cohort === seedId && trainable);
  const pick = (): ReadonlyMap<string, Tensor> => new Map(own.map(({ name }) => [name, state[name]!]));
  const start = pick();
  for (let step = 1; step <= steps + 1; step++) {
    const out = runReference(program, { ...state, ...fixed, ...optimizerScalars(optimizer, seedId, step) });
    losses.push(out["loss"]!.data[0]!);
    if (step > steps) break;
    state = Object.fromEntries(Object.entries(state).map(([name, old]) => [name, out[updatedName(name)] ?? old]));
    parameters.push(pick());
  }
  return { losses, parameters, start };
};
