/** What every engine must do (K1–K6 of src/engine/engine.ts), run against each implementation. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ContractError, ServiceError } from "../../src/contracts/errors.ts";
import type { Program, Tensor } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { createEngine, type Engine, type EngineName } from "../../src/engine/engine.ts";
import { allocate } from "../../src/engine/ports.ts";
import { cnn, resnet, transformer } from "../../src/graph/hosts/index.ts";
import { primitiveOps } from "../../src/graph/operators/index.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { runReference } from "../../src/graph/reference.ts";
import { cnnGraph, mlpGraph, nextFeeds, type StepCase, stepCase } from "./networks.ts";
import { opCase, opsWithCases } from "./op-cases.ts";

type Tensors = Readonly<Record<string, Tensor>>;

const relativeErrorMax = 1e-5;

const norm = (values: Iterable<number>): number => Math.hypot(...values);

/**
 * ‖found − expected‖₂ / ‖expected‖₂ over a whole tensor. Sums of drawn numbers may cancel to nearly nothing, so the
 * denominator is at least 1 % of what a tensor of ones would give.
 */
export const relativeError = (found: Tensor, expected: Tensor, floor = 0.01 * Math.sqrt(expected.data.length)): number => {
  const difference = Array.from(expected.data, (value, index) => found.data[index]! - value);
  return norm(difference) / Math.max(norm(expected.data), floor);
};

const expectClose = (found: Tensors, expected: Tensors, floor?: number): void => {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  for (const [name, tensor] of Object.entries(expected)) {
    expect({ dtype: found[name]!.dtype, shape: [...found[name]!.shape] }).toEqual({
      dtype: tensor.dtype,
      shape: [...tensor.shape],
    });
    if (tensor.dtype === "int32") expect([...found[name]!.data]).toEqual([...tensor.data]);
    else expect(relativeError(found[name]!, tensor, floor), `relative error of ${name}`).toBeLessThanOrEqual(relativeErrorMax);
  }
};

const copyOf = (tensors: Tensors): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]));

const runOnce = async (engine: Engine, program: Program, feeds: Tensors): Promise<Record<string, Tensor>> => {
  const executable = await engine.load(await engine.compile(program));
  try {
    return await executable.run(feeds);
  } finally {
    await executable.dispose();
  }
};

const adam = OptimizerConfig.parse({ kind: "adam", clipNorm: 1, weightDecay: 0.01 });
const momentum = OptimizerConfig.parse({ kind: "sgd", learningRate: 0.05 });

const mlpCase = (): StepCase => stepCase(mlpGraph([20, 16, 12, 5]), adam, 16, 5);
const cnnCase = (): StepCase => stepCase(cnnGraph(), momentum, 6, 5);

/** Channels in multiples of 16, where onnxruntime changes the memory layout. */
const wideCnnCase = (): StepCase =>
  stepCase(cnn({ name: "wide", inputShape: [3, 10, 10], channels: [16, 32], classes: 5, batchNorm: true }).graph, momentum, 4, 5);

const resnetCase = (): StepCase =>
  stepCase(resnet({ name: "r", inputShape: [3, 8, 8], width: 2, blocks: [1, 1], classes: 5 }).graph, momentum, 4, 5);
/** Its tokens come from the classes: the vocabulary is what it predicts. */
const transformerCase = (): StepCase =>
  stepCase(transformer({ name: "t", tokens: 6, vocabulary: 7, layers: 2, width: 8, heads: 2 }).graph, adam, 3, 7);

/** y = x + w, with `w` handed through, the result under two names, and an output named as an input. */
const smallProgram: Program = {
  inputs: [
    { name: "x", dtype: "float32", shape: [2, 2] },
    { name: "w", dtype: "float32", shape: [2] },
    { name: "ids", dtype: "int32", shape: [3] },
  ],
  nodes: [{ id: "sum", op: "add", inputs: ["x", "w"], attributes: {} }],
  outputs: [
    { name: "x", value: "sum" },
    { name: "again", value: "sum" },
    { name: "w", value: "w" },
    { name: "ids", value: "ids" },
  ],
};

const smallFeeds = (): Record<string, Tensor> => ({
  x: { dtype: "float32", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
  w: { dtype: "float32", shape: [2], data: Float32Array.of(10, 20) },
  ids: { dtype: "int32", shape: [3], data: Int32Array.of(7, -8, 9) },
});

export const engineContract = (name: EngineName): void => {
  describe(`engine ${name}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await createEngine(name, { threads: 1 });
    });
    afterAll(() => engine.dispose());

    it("has a case for every primitive operator", () => {
      expect([...opsWithCases].sort()).toEqual([...primitiveOps].sort());
    });

    it.each(opsWithCases)("computes %s as the reference does", async (op) => {
      await fc.assert(
        fc.asyncProperty(opCase(op), async ({ program, feeds }) => {
          expectClose(await runOnce(engine, program, feeds), runReference(program, feeds));
        }),
        { numRuns: 60, seed: 20 },
      );
    });

    it("computes erf near zero and far from it with the same relative error", async () => {
      for (const scale of [1e-4, 0.01, 0.49, 0.51, 3]) {
        const data = Float32Array.of(scale, -scale, scale * 0.9);
        const program: Program = {
          inputs: [{ name: "x", dtype: "float32", shape: [3] }],
          nodes: [{ id: "y", op: "erf", inputs: ["x"], attributes: {} }],
          outputs: [{ name: "y", value: "y" }],
        };
        const feeds: Tensors = { x: { dtype: "float32", shape: [3], data } };
        expectClose(await runOnce(engine, program, feeds), runReference(program, feeds), 0);
      }
    });

    it.each([
      ["an MLP with Adam, clipping and weight decay", mlpCase, adam],
      ["a CNN with stride, groups, batch norm, GELU and dropout, SGD with momentum", cnnCase, momentum],
      ["a wide CNN, SGD with momentum", wideCnnCase, momentum],
      ["a ResNet with a shortcut, SGD with momentum", resnetCase, momentum],
      ["a transformer of two blocks with Adam", transformerCase, adam],
    ] as const)("takes three training steps of %s as the reference does", async (_, makeCase, optimizer) => {
      const { step, feeds } = makeCase();
      const executable = await engine.load(await engine.compile(step.program));
      let current = feeds;
      for (let count = 1; count <= 3; count++) {
        const outputs = await executable.run(current);
        expectClose(outputs, runReference(step.program, current), 1e-7);
        current = nextFeeds({ step, feeds }, outputs, optimizerScalars(optimizer, "host", count + 1));
      }
      await executable.dispose();
    });

    it("K1: equal programs give equal bytes, whatever the order of keys", async () => {
      const { program } = mlpCase().step;
      const reordered: Program = {
        outputs: program.outputs.map(({ name: output, value }) => ({ value, name: output })),
        nodes: program.nodes.map((node) => Object.fromEntries(Object.entries(node).reverse()) as Program["nodes"][number]),
        inputs: program.inputs,
      };
      const compiled = await engine.compile(program);
      expect(compiled).toMatchObject({ engine: name, engineVersion: engine.version });
      expect(Buffer.from((await engine.compile(reordered)).bytes).equals(compiled.bytes)).toBe(true);
    });

    it.each([
      ["MLP", mlpCase],
      ["CNN", cnnCase],
    ] as const)("K2: two runs of a step of an %s are bit-equal, also after loading again", async (_, makeCase) => {
      const { step, feeds } = makeCase();
      const compiled = await engine.compile(step.program);
      const executable = await engine.load(compiled);
      const first = await executable.run(feeds);
      const second = await executable.run(feeds);
      await executable.dispose();
      const again = await engine.load(compiled);
      const third = await again.run(feeds);
      await again.dispose();
      expect(second).toEqual(first);
      expect(third).toEqual(first);
    });

    it("K3: feeds stay as they are", async () => {
      const { step, feeds } = cnnCase();
      const before = copyOf(feeds);
      await runOnce(engine, step.program, feeds);
      expect(feeds).toEqual(before);
    });

    it("K4: outputs are memory of their own, also where an input is handed through", async () => {
      const executable = await engine.load(await engine.compile(smallProgram));
      const feeds = smallFeeds();
      const first = await executable.run(feeds);
      expect([...first["x"]!.data]).toEqual([11, 22, 13, 24]);
      expect([...first["again"]!.data]).toEqual([11, 22, 13, 24]);
      expect([...first["w"]!.data]).toEqual([10, 20]);
      expect([...first["ids"]!.data]).toEqual([7, -8, 9]);
      const kept = copyOf(first);
      for (const tensor of Object.values(feeds)) tensor.data.fill(5);
      await executable.run(feeds);
      expect(first).toEqual(kept);
      await executable.dispose();
    });

    it("K4: outputs go into the buffers that the caller gives", async () => {
      const executable = await engine.load(await engine.compile(smallProgram));
      const into = Object.fromEntries(executable.outputs.map(({ name: port, dtype, shape }) => [port, allocate(dtype, shape)]));
      const outputs = await executable.run(smallFeeds(), { into });
      for (const [port, tensor] of Object.entries(into)) expect(outputs[port]!.data).toBe(tensor.data);
      expect(outputs).toEqual(await executable.run(smallFeeds()));
      await executable.dispose();
    });

    it("K4: feeds and output buffers may be views of one slab, of a private buffer or a shared one", async () => {
      const executable = await engine.load(await engine.compile(smallProgram));
      for (const slab of [new ArrayBuffer(256), new SharedArrayBuffer(256)]) {
        const feeds = { ...smallFeeds(), w: { dtype: "float32", shape: [2], data: new Float32Array(slab, 4, 2) } } as const;
        feeds.w.data.set([10, 20]);
        const x: Tensor = { dtype: "float32", shape: [2, 2], data: new Float32Array(slab, 12, 4) };
        const w: Tensor = { dtype: "float32", shape: [2], data: new Float32Array(slab, 28, 2) };
        const outputs = await executable.run(feeds, { into: { x, w } });
        expect(outputs["x"]!.data).toBe(x.data);
        expect([...new Float32Array(slab, 0, 10)]).toEqual([0, 10, 20, 11, 22, 13, 24, 10, 20, 0]);
      }
      await executable.dispose();
    });

    it("lists the program's ports and its memory", async () => {
      const executable = await engine.load(await engine.compile(smallProgram));
      expect(executable.inputs).toEqual(smallProgram.inputs);
      expect(executable.outputs.map((port) => port.name)).toEqual(["x", "again", "w", "ids"]);
      expect(executable.outputs[0]).toEqual({ name: "x", dtype: "float32", shape: [2, 2] });
      expect(executable.memoryBytes).toBeGreaterThanOrEqual(4 * (9 + 13));
      await executable.dispose();
    });

    const wrongFeeds: readonly (readonly [string, (feeds: Record<string, Tensor>) => void, string])[] = [
      ["a missing feed", (feeds) => delete feeds["w"], "feed w: expected float32 [2], found nothing"],
      [
        "an unknown feed",
        (feeds) => Object.assign(feeds, { z: feeds["w"] }),
        "feed z: expected one of the program's inputs (x, w, ids)",
      ],
      [
        "a wrong shape",
        (feeds) => Object.assign(feeds, { x: { ...feeds["x"], shape: [4] } }),
        "feed x: expected float32 [2, 2], found float32 [4]",
      ],
      [
        "a wrong dtype",
        (feeds) => Object.assign(feeds, { ids: { dtype: "float32", shape: [3], data: new Float32Array(3) } }),
        "feed ids: expected int32 [3], found float32 [3]",
      ],
      [
        "data of another length",
        (feeds) => Object.assign(feeds, { w: { ...feeds["w"], data: new Float32Array(3) } }),
        "feed w: expected Float32Array of 2 elements, found Float32Array of 3",
      ],
    ];
    it.each(wrongFeeds)("K5: refuses %s", async (_, spoil, message) => {
      const executable = await engine.load(await engine.compile(smallProgram));
      const feeds = smallFeeds();
      spoil(feeds);
      const refusal = executable.run(feeds);
      await expect(refusal).rejects.toThrow(ContractError);
      await expect(refusal).rejects.toThrow(message);
      await executable.dispose();
    });

    it("K5: refuses output buffers that share memory, are ill-typed or unknown", async () => {
      const executable = await engine.load(await engine.compile(smallProgram));
      const feeds = smallFeeds();
      const buffer = allocate("float32", [2, 2]);
      await expect(executable.run(feeds, { into: { x: feeds["x"]! } })).rejects.toThrow("found the memory of feed x");
      await expect(executable.run(feeds, { into: { x: buffer, again: buffer } })).rejects.toThrow(
        "found the memory of output buffer x",
      );
      await expect(executable.run(feeds, { into: { w: buffer } })).rejects.toThrow(
        "output buffer w: expected float32 [2], found float32 [2, 2]",
      );
      await expect(executable.run(feeds, { into: { nothing: buffer } })).rejects.toThrow("expected one of the program's outputs");
      await executable.dispose();
    });

    it("refuses composites, damaged bytes, and bytes of another engine or version", async () => {
      const composite: Program = {
        inputs: [{ name: "x", dtype: "float32", shape: [2] }],
        nodes: [{ id: "y", op: "gelu", inputs: ["x"], attributes: { approximate: "none" } }],
        outputs: [{ name: "y", value: "y" }],
      };
      await expect(engine.compile(composite)).rejects.toThrow("expected a primitive operator");
      const compiled = await engine.compile(smallProgram);
      await expect(engine.load({ ...compiled, engineVersion: "0.0.1" })).rejects.toThrow(
        `expected one of engine ${name} ${engine.version}`,
      );
      await expect(engine.load({ ...compiled, bytes: compiled.bytes.slice(0, 40) })).rejects.toThrow(ContractError);
    });

    it("K6: running or loading after dispose is an error, disposing twice is not", async () => {
      const other = await createEngine(name, { threads: 1 });
      const compiled = await other.compile(smallProgram);
      const executable = await other.load(compiled);
      await executable.dispose();
      await executable.dispose();
      await expect(executable.run(smallFeeds())).rejects.toThrow(ServiceError);
      await other.dispose();
      await other.dispose();
      await expect(other.load(compiled)).rejects.toThrow("found it disposed");
      await expect(other.compile(smallProgram)).rejects.toThrow(ServiceError);
    });

    it("says so when an id of a gather is out of range", async () => {
      const outOfRange: Program = {
        inputs: [
          { name: "table", dtype: "float32", shape: [2, 2] },
          { name: "ids", dtype: "int32", shape: [1] },
        ],
        nodes: [{ id: "y", op: "gather", inputs: ["table", "ids"], attributes: {} }],
        outputs: [{ name: "y", value: "y" }],
      };
      const executable = await engine.load(await engine.compile(outOfRange));
      const table = allocate("float32", [2, 2]);
      const run = executable.run({ table, ids: { dtype: "int32", shape: [1], data: Int32Array.of(9) } });
      await expect(run).rejects.toThrow(ServiceError);
      await expect(run).rejects.toThrow("expected the program to run");
      await executable.dispose();
    });

    it("runs asked for at once give what they give one by one", async () => {
      const { step, feeds } = mlpCase();
      const executable = await engine.load(await engine.compile(step.program));
      const alone = await executable.run(feeds);
      const together = await Promise.all([executable.run(feeds), executable.run(feeds)]);
      expect(together).toEqual([alone, alone]);
      await executable.dispose();
    });
  });
};
