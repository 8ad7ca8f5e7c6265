import { expect, it } from "vitest";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { runReference } from "../../src/graph/reference.ts";
import { engineContract, relativeError } from "./engine.contract.ts";
import { mlpGraph, stepCase } from "./networks.ts";

engineContract("native");

it("K2: with two threads, ten runs of a step large enough to be split are bit-equal and close to the reference", async () => {
  const { step, feeds } = stepCase(mlpGraph([784, 128, 128, 10]), OptimizerConfig.parse({ kind: "adam" }), 128, 10);
  const engine = await createEngine("native", { threads: 2 });
  const executable = await engine.load(await engine.compile(step.program));
  const first = await executable.run(feeds);
  for (let run = 0; run < 9; run++) {
    const again = await executable.run(feeds);
    for (const [name, tensor] of Object.entries(first)) {
      expect(Buffer.compare(Buffer.from(again[name]!.data.buffer), Buffer.from(tensor.data.buffer)), name).toBe(0);
    }
  }
  for (const [name, tensor] of Object.entries(runReference(step.program, feeds))) {
    expect(relativeError(first[name]!, tensor, 1e-7), name).toBeLessThanOrEqual(1e-5);
  }
  await executable.dispose();
  await engine.dispose();
});
