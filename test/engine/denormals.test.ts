import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { mlp } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { optimizerScalars } from "../../src/graph/optimizers.ts";
import { createRandom } from "../../src/graph/random.ts";
import { sizeOf } from "../../src/graph/shapes.ts";
import { trainStep, updatedName } from "../../src/graph/step.ts";

/** Of float32 (IEEE 754). */
const smallestNormal = 1.1754943508222875e-38;

describe("a decayed sum whose gradients have ended", () => {
  it.each([
    { kind: "adam" as const, slot: "h1/weight#m", decay: 0.9 },
    { kind: "sgd" as const, slot: "h1/weight#velocity", decay: 0.9 },
  ])("$kind: stays a zero or a normal number", async ({ kind, slot, decay }) => {
    const host = mlp({ name: "m", inputShape: [3], widths: [4], classes: 3 });
    const optimizer = OptimizerConfig.parse({ kind });
    const step = trainStep({ host, optimizer, trainableCohorts: ["host"], batch: 4 });
    const engine = await createEngine("native", { threads: 1 });
    const executable = await engine.load(await engine.compile(step.program));
    const zeros = (shape: readonly number[], value = 0): Tensor => ({
      dtype: "float32",
      shape,
      data: new Float32Array(sizeOf(shape)).fill(value),
    });
    const feeds: Record<string, Tensor> = Object.fromEntries(initializeParameters(host.graph.parameters, createRandom(1)));
    for (const { name, shape } of step.slots) feeds[name] = zeros(shape, name === slot ? 1e-3 : 0);
    // No input, so no gradient for the first layer's weights.
    feeds["x"] = zeros([4, 3]);
    feeds["y"] = { dtype: "int32", shape: [4], data: Int32Array.of(0, 1, 2, 0) };
    // Enough for decay alone to reach the smallest denormal, where it would stay: 0.9 of it rounds to itself.
    const steps = Math.ceil(Math.log(1e-45 / 1e-3) / Math.log(decay)) + 50;
    for (let count = 1; count <= steps; count += 1) {
      const outputs = await executable.run({ ...feeds, ...optimizerScalars(optimizer, "host", count) });
      for (const [name, output] of Object.entries(step.updates)) feeds[name] = outputs[output]!;
    }
    expect(step.updates[slot]).toBe(updatedName(slot));
    for (const value of feeds[slot]!.data) {
      expect(value).toBeLessThan(1e-20);
      expect(value === 0 || Math.abs(value) >= smallestNormal, `${value} is denormal`).toBe(true);
    }
    await executable.dispose();
    await engine.dispose();
  });
});
