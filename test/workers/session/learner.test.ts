/** Every kind of data through a host's own step on the real engine. */
import { describe, expect, test } from "vitest";
import type { ModelConfig } from "../../../src/contracts/config-model.ts";
import type { DatasetBuffers } from "../../../src/contracts/dataset.ts";
import { OptimizerConfig } from "../../../src/contracts/optimizer.ts";
import { hostFor } from "../../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../../src/graph/initialize.ts";
import { evaluate } from "../../../src/graph/programs.ts";
import { createRandom } from "../../../src/graph/random.ts";
import { trainStep } from "../../../src/graph/step.ts";
import { evaluateSplit } from "../../../src/workers/session/evaluation.ts";
import { copyTensors, Learner, startCursor } from "../../../src/workers/session/learner.ts";
import { nativeEngine } from "../fixture.ts";
import { images, table, tokens } from "./samples.ts";

const batch = 16;
const optimizer = OptimizerConfig.parse({ kind: "adam", learningRate: 0.01 });

const open = async (model: ModelConfig, dataset: DatasetBuffers) => {
  const engine = await nativeEngine();
  const host = hostFor(model, dataset);
  const step = trainStep({ host, optimizer, trainableCohorts: ["host"], batch });
  const executable = await engine.load(await engine.compile(step.program));
  const random = createRandom(3);
  const learner = new Learner({
    executable,
    tensors: initializeParameters(host.graph.parameters, random.fork("parameters")),
    state: {
      cohortSteps: {},
      cursor: startCursor(dataset, batch, random.fork("batches")),
      random: [...random.fork("dropout").state()],
      hostStep: 0,
    },
    dataset,
    optimizer,
    rateOf: () => 1,
  });
  return { learner, evaluation: await engine.load(await engine.compile(evaluate({ host, batch }))) };
};

const mlp: ModelConfig = { name: "mlp", widths: [16], activation: "tanh" };
const cnn: ModelConfig = { name: "cnn", channels: [4, 4], activation: "relu", batchNorm: false };
const transformer: ModelConfig = { name: "transformer", layers: 1, width: 16, heads: 2 };

describe("learner", () => {
  test.each<[string, ModelConfig, DatasetBuffers, number]>([
    ["a regression on a table", mlp, table, 0.8],
    ["classes of augmented images", cnn, images, 0.8],
    ["next tokens", transformer, tokens, 0.75],
  ])("%s is learned", async (_, model, dataset, accuracyMin) => {
    const { learner, evaluation } = await open(model, dataset);
    const before = await evaluateSplit(evaluation, Object.fromEntries(learner.tensors), dataset, "test");
    for (let step = 0; step < 150; step++) await learner.step();
    const after = await evaluateSplit(evaluation, Object.fromEntries(learner.tensors), dataset, "test");
    expect(before.accuracy).toBeLessThan(accuracyMin - 0.1);
    expect(after.accuracy).toBeGreaterThan(accuracyMin);
  });

  test("T3: a copy, and a learner restored from its state, see the same augmented batches and take bit-equal steps", async () => {
    const { learner } = await open(cnn, images);
    for (let step = 0; step < 11; step++) await learner.step();
    const twin = learner.copy();
    const restored = new Learner({
      executable: learner.executable,
      tensors: copyTensors(learner.tensors),
      state: JSON.parse(JSON.stringify(learner.state)),
      dataset: images,
      optimizer,
      rateOf: () => 1,
    });
    for (let step = 0; step < 11; step++) {
      const result = await learner.step();
      expect(await twin.step()).toEqual(result);
      expect(await restored.step()).toEqual(result);
    }
    for (const [name, { data }] of learner.tensors) {
      expect(twin.tensors.get(name)!.data).toEqual(data);
      expect(restored.tensors.get(name)!.data).toEqual(data);
    }
    expect(twin.state).toEqual(learner.state);
  });
});
