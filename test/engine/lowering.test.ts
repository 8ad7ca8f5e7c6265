/** What the contract suite cannot see from outside: the ONNX model itself, tensor counts of tensorflow.js, worker threads. */
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { GraphError } from "../../src/contracts/errors.ts";
import type { Program } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { createEngine, type EngineName, engineNames } from "../../src/engine/engine.ts";
import { lowerProgram } from "../../src/engine/onnx/lower.ts";
import type { TensorflowLibrary } from "../../src/engine/tfjs/library.ts";
import { cnnGraph, mlpGraph, stepCase } from "./networks.ts";

const adam = OptimizerConfig.parse({ kind: "adam" });
const collectGarbage = ((): (() => void) => {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();

describe("the ONNX model", () => {
  it("keeps the names of inputs and outputs, and tells an output from an input of the same name", () => {
    const program: Program = {
      inputs: [{ name: "w", dtype: "float32", shape: [2] }],
      nodes: [{ id: "new", op: "neg", inputs: ["w"], attributes: {} }],
      outputs: [
        { name: "w", value: "new" },
        { name: "y", value: "new" },
      ],
    };
    const model = lowerProgram(program);
    expect(model.inputs.map((value) => value.name)).toEqual(["w"]);
    expect(model.outputs.map((value) => value.name)).toEqual(["w:out", "y"]);
  });

  it("refuses output names that clash", () => {
    const program: Program = {
      inputs: [{ name: "w", dtype: "float32", shape: [2] }],
      nodes: [],
      outputs: [
        { name: "w", value: "w" },
        { name: "w:out", value: "w" },
      ],
    };
    expect(() => lowerProgram(program)).toThrow(GraphError);
  });

  it("gives a node whose id is also an output's name of another value a name of its own", async () => {
    const program: Program = {
      inputs: [{ name: "x", dtype: "float32", shape: [1] }],
      nodes: [
        { id: "a", op: "neg", inputs: ["x"], attributes: {} },
        { id: "b", op: "exp", inputs: ["a"], attributes: {} },
      ],
      outputs: [
        { name: "a", value: "b" },
        { name: "b", value: "a" },
      ],
    };
    const engine = await createEngine("native", { threads: 1 });
    const executable = await engine.load(await engine.compile(program));
    const outputs = await executable.run({ x: { dtype: "float32", shape: [1], data: Float32Array.of(0) } });
    expect([outputs["a"]!.data[0], Math.abs(outputs["b"]!.data[0]!)]).toEqual([1, 0]);
    await executable.dispose();
    await engine.dispose();
  });

  it("stores large constants as a scalar", () => {
    const program: Program = {
      inputs: [],
      nodes: [{ id: "ones", op: "fill", inputs: [], attributes: { value: 1, shape: [1000, 1000] } }],
      outputs: [{ name: "y", value: "ones" }],
    };
    const stored = lowerProgram(program).initializers.reduce((bytes, tensor) => bytes + tensor.rawData.byteLength, 0);
    expect(stored).toBeLessThan(100);
  });
});

describe("memory", () => {
  it.each(["wasm", "cpu"] as const)("%s holds no tensor between runs, also after a failed one", async (backend) => {
    const engine = await createEngine(backend, { threads: 1 });
    const tf = createRequire(import.meta.url)("@tensorflow/tfjs") as TensorflowLibrary;
    const before = tf.memory().numTensors;
    for (const graph of [mlpGraph([8, 6, 5]), cnnGraph()]) {
      const { step, feeds } = stepCase(graph, adam, 4, 5);
      const executable = await engine.load(await engine.compile(step.program));
      for (let run = 0; run < 3; run++) {
        await executable.run(feeds);
        expect(tf.memory().numTensors).toBe(before);
      }
      await executable.dispose();
    }
    const outOfRange: Program = {
      inputs: [
        { name: "table", dtype: "float32", shape: [2, 2] },
        { name: "ids", dtype: "int32", shape: [1] },
      ],
      nodes: [{ id: "y", op: "gather", inputs: ["table", "ids"], attributes: {} }],
      outputs: [{ name: "y", value: "y" }],
    };
    const executable = await engine.load(await engine.compile(outOfRange));
    const feeds = {
      table: { dtype: "float32", shape: [2, 2], data: new Float32Array(4) },
      ids: { dtype: "int32", shape: [1], data: Int32Array.of(9) },
    } as const;
    await expect(executable.run(feeds)).rejects.toThrow("tensorflow.js: expected the program to run");
    expect(tf.memory().numTensors).toBe(before);
    await engine.dispose();
  });

  it.each(engineNames)("%s: two hundred runs with outputs of 1 MB each leave less than 60 MB behind", async (name) => {
    const engine = await createEngine(name, { threads: 1 });
    const program: Program = {
      inputs: [{ name: "x", dtype: "float32", shape: [512, 512] }],
      nodes: [{ id: "y", op: "neg", inputs: ["x"], attributes: {} }],
      outputs: [{ name: "y", value: "y" }],
    };
    const x = { dtype: "float32", shape: [512, 512], data: new Float32Array(512 * 512).fill(1) } as const;
    const compiled = await engine.compile(program);
    const round = async (runs: number): Promise<number> => {
      const executable = await engine.load(compiled);
      for (let run = 0; run < runs; run++) await executable.run({ x });
      await executable.dispose();
      collectGarbage();
      return process.memoryUsage().rss;
    };
    const before = await round(20);
    expect((await round(200)) - before).toBeLessThan(60 * 1024 * 1024);
    await engine.dispose();
  });
});

const runInWorker = (name: EngineName): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const engineUrl = new URL("../../src/engine/select.ts", import.meta.url).href;
    const loader = import.meta.resolve("tsx/esm/api");
    const worker = new Worker(
      `import(${JSON.stringify(loader)})
        .then((tsx) => tsx.tsImport(${JSON.stringify(engineUrl)}, ${JSON.stringify(engineUrl)}))
        .then(({ selectEngine }) => selectEngine(${JSON.stringify(name)}, { threads: 1 }))
        .then(({ trials }) => require("node:worker_threads").parentPort.postMessage(trials));`,
      { eval: true },
    );
    worker.once("message", (trials) => {
      resolve(trials);
      void worker.terminate();
    });
    worker.once("error", reject);
  });

describe("worker threads", () => {
  it.each(engineNames)("%s works inside one", async (name) => {
    expect(await runInWorker(name)).toContainEqual(expect.objectContaining({ name, kind: "works" }));
  });
});
