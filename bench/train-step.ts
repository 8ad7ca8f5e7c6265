/**
 * How long one training step takes: an MLP 784-128-128-10, batch 128, Adam, forward to updated parameters. Our engines
 * against tensorflow.js as its users write it (a LayersModel, `minimize` of `tf.train.adam`, the wasm backend) in one run.
 *
 *   node --import tsx bench/train-step.ts [--json]
 */
import { performance } from "node:perf_hooks";
import { pathToFileURL } from "node:url";
import type { Tensor } from "../src/contracts/graph.ts";
import { OptimizerConfig } from "../src/contracts/optimizer.ts";
import { createEngine, type EngineName } from "../src/engine/engine.ts";
import { allocate } from "../src/engine/ports.ts";
import { type TensorflowLibrary, withBackend } from "../src/engine/tfjs/library.ts";
import { mlp } from "../src/graph/hosts/index.ts";
import { initializeParameters } from "../src/graph/initialize.ts";
import { optimizerScalars } from "../src/graph/optimizers.ts";
import { createRandom } from "../src/graph/random.ts";
import { trainStep } from "../src/graph/step.ts";

export interface TrainStepOptions {
  /** Turns: each gives every contestant its steps, so that a slow moment of the machine hits all alike. */
  readonly rounds: number;
  readonly stepsPerRound: number;
}

export interface TrainStepRow {
  readonly name: string;
  readonly medianMs: number;
  readonly p10Ms: number;
  readonly p90Ms: number;
  /** Median of tensorflow.js as shipped ÷ this median. */
  readonly speedup: number;
}

interface Contestant {
  readonly name: string;
  /** One step on the numbered batch; the loss. */
  step(index: number): Promise<number>;
  dispose(): Promise<void>;
}

interface Batch {
  readonly x: Tensor;
  readonly y: Tensor;
}

const widths = [784, 128, 128, 10];
const batchSize = 128;
const optimizer = OptimizerConfig.parse({ kind: "adam" });

/** Noise with random labels: nothing to learn by heart in so few steps, so that no value fades to denormal numbers. */
const drawBatches = (count: number): Batch[] => {
  const random = createRandom(1).fork("batches");
  return Array.from({ length: count }, () => ({
    x: {
      dtype: "float32",
      shape: [batchSize, 784],
      data: Float32Array.from({ length: batchSize * 784 }, () => random.uniform()),
    },
    y: { dtype: "int32", shape: [batchSize], data: Int32Array.from({ length: batchSize }, () => random.integer(10)) },
  }));
};

const ours = async (engineName: EngineName, threads: number, batches: readonly Batch[]): Promise<Contestant> => {
  const host = mlp({ name: "bench", inputShape: [784], widths: widths.slice(1, -1), classes: 10 });
  const step = trainStep({ host, optimizer, trainableCohorts: ["host"], batch: batchSize });
  const engine = await createEngine(engineName, { threads });
  const executable = await engine.load(await engine.compile(step.program));
  const state: Record<string, Tensor> = {
    ...Object.fromEntries(initializeParameters(step.parameters, createRandom(1))),
    ...Object.fromEntries(step.slots.map(({ name, shape }) => [name, allocate("float32", shape)])),
  };
  // Two sets of output buffers in turns: one is read as the next step's parameters while the other is written.
  const buffers = [0, 1].map(() =>
    Object.fromEntries(executable.outputs.map(({ name, dtype, shape }) => [name, allocate(dtype, shape)])),
  );
  let count = 0;
  return {
    name: engineName === "native" ? `native, ${threads} thread${threads === 1 ? "" : "s"}` : `${engineName}, our lowering`,
    step: async (index) => {
      count++;
      const feeds = { ...state, ...batches[index % batches.length]!, ...optimizerScalars(optimizer, "host", count) };
      const outputs = await executable.run(feeds, { into: buffers[count % 2]! });
      for (const [name, output] of Object.entries(step.updates)) state[name] = outputs[output]!;
      return outputs["loss"]!.data[0]!;
    },
    dispose: async () => {
      await executable.dispose();
      await engine.dispose();
    },
  };
};

/** What the library's own documentation has its users write. */
const asShipped = (batches: readonly Batch[]): Promise<Contestant> =>
  withBackend("wasm", (tf) => {
    const model = tf.sequential({
      layers: widths.slice(1).map((units, layer) =>
        tf.layers.dense({
          units,
          kernelInitializer: "heNormal",
          ...(layer === 0 ? { inputShape: [widths[0]!] } : {}),
          ...(layer < widths.length - 2 ? { activation: "relu" as const } : {}),
        }),
      ),
    });
    const adam = tf.train.adam(optimizer.learningRate);
    return {
      name: "tensorflow.js wasm, as shipped",
      step: (index) => withBackend("wasm", (current) => shippedStep(current, model, adam, batches[index % batches.length]!)),
      dispose: () =>
        withBackend("wasm", () => {
          model.dispose();
          adam.dispose();
        }),
    };
  });

type Model = ReturnType<TensorflowLibrary["sequential"]>;
type Optimizer = ReturnType<TensorflowLibrary["train"]["adam"]>;

const shippedStep = (tf: TensorflowLibrary, model: Model, adam: Optimizer, { x, y }: Batch): number =>
  tf.tidy(() => {
    const images = tf.tensor2d(x.data, [batchSize, 784]);
    const labels = tf.oneHot(tf.tensor1d(y.data, "int32"), 10);
    const loss = adam.minimize(() => {
      const logits = model.apply(images, { training: true });
      return tf.losses.softmaxCrossEntropy(labels, logits as ReturnType<typeof tf.tensor2d>).asScalar();
    }, true);
    return loss!.dataSync()[0]!;
  });

const quantile = (sorted: readonly number[], share: number): number => sorted[Math.floor(share * (sorted.length - 1))]!;

/** Rows in the order: as shipped, our wasm, native on one thread, native on two. */
export const benchTrainStep = async ({ rounds, stepsPerRound }: TrainStepOptions): Promise<TrainStepRow[]> => {
  const batches = drawBatches(16);
  const contestants = [
    await asShipped(batches),
    await ours("wasm", 1, batches),
    await ours("native", 1, batches),
    await ours("native", 2, batches),
  ];
  const times = contestants.map((): number[] => []);
  // The first round warms up and is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, contestant] of contestants.entries()) {
      for (let step = 0; step < stepsPerRound; step++) {
        const start = performance.now();
        const loss = await contestant.step(round * stepsPerRound + step);
        const elapsed = performance.now() - start;
        if (!Number.isFinite(loss)) throw new Error(`${contestant.name}: expected a finite loss, found ${loss}`);
        if (round > 0) times[index]!.push(elapsed);
      }
    }
  }
  for (const contestant of contestants) await contestant.dispose();
  const sorted = times.map((list) => list.toSorted((a, b) => a - b));
  const shipped = quantile(sorted[0]!, 0.5);
  return contestants.map(({ name }, index) => {
    const medianMs = quantile(sorted[index]!, 0.5);
    return {
      name,
      medianMs,
      p10Ms: quantile(sorted[index]!, 0.1),
      p90Ms: quantile(sorted[index]!, 0.9),
      speedup: shipped / medianMs,
    };
  });
};

export const trainStepTable = (rows: readonly TrainStepRow[]): string => {
  const line = (name: string, ...cells: readonly string[]): string =>
    name.padEnd(32) + cells.map((cell) => cell.padStart(11)).join("");
  return [
    line("training step", "median ms", "p10 ms", "p90 ms", "speed-up"),
    ...rows.map(({ name, medianMs, p10Ms, p90Ms, speedup }) =>
      line(name, medianMs.toFixed(2), p10Ms.toFixed(2), p90Ms.toFixed(2), `${speedup.toFixed(1)} ×`),
    ),
  ].join("\n");
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const rows = await benchTrainStep({ rounds: 8, stepsPerRound: 25 });
  console.log(process.argv.includes("--json") ? JSON.stringify(rows, null, 2) : trainStepTable(rows));
}
