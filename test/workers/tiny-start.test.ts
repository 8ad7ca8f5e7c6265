import { afterEach, describe, expect, it } from "vitest";
import type { KernelKey } from "../../src/contracts/assets.ts";
import type { BlueprintKind } from "../../src/contracts/blueprint-kinds.ts";
import type { EpochResult, SessionSpec } from "../../src/contracts/plan.ts";
import { tinyAmplitudes } from "../../src/contracts/trial.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { compileKernel } from "../../src/workers/session/forge.ts";
import { Driver, fingerprint, kernelKey, nativeEngine, seedId, span, spec } from "./fixture.ts";

const open: Driver[] = [];
afterEach(async () => {
  for (const driver of open.splice(0)) await driver.session.dispose();
});

const start = async (changes: Partial<SessionSpec> = {}, hostSteps = 60): Promise<Driver> => {
  const driver = await Driver.open(changes);
  open.push(driver);
  await driver.host(hostSteps);
  return driver;
};

const loadWith = async (driver: Driver, request: Partial<KernelKey["request"]>): Promise<EpochResult> => {
  const key = await kernelKey(driver.session, driver.spec);
  const { artifact } = await compileKernel(
    await nativeEngine(),
    { ...key, request: { ...key.request, ...request } },
    driver.session.host,
  );
  const kernelHash = contentHash(artifact);
  driver.kernels[kernelHash] = artifact;
  return driver.run({ kind: "load", seedId }, [{ kind: "load_kernel", seedId, kernelHash, ...span }]);
};

const kernelOf = (driver: Driver): object =>
  Object.fromEntries(
    Object.entries(driver.session.snapshot().tensors)
      .filter(([name]) => name.startsWith("kernel/"))
      .map(([name, { data }]) => [name, [...data]]),
  );

/** Loss of the kernel's one step at alpha 1. */
const firstLoss = async (driver: Driver): Promise<number> => {
  const { kernel } = await driver.run({ kind: "train_kernel", seedId, steps: 1 });
  return kernel?.kind === "trained" ? kernel.loss : Number.NaN;
};

describe("a kernel started by TINY", () => {
  it.each(["dense", "low-rank", "widening"] as const satisfies readonly BlueprintKind[])(
    "%s: is better than nothing before its first step, and the host does not notice",
    async (kind) => {
      const [tiny, zero] = [await start(), await start()];
      const before = fingerprint(tiny.session);
      const { kernel } = await loadWith(tiny, { kind, initialization: "tiny" });
      await loadWith(zero, { kind });
      expect(kernel).toMatchObject({ kind: "loaded", staticProblems: [], dryRun: { finite: true, shapesMatch: true } });
      expect(fingerprint(tiny.session)).toEqual(before);
      // Both see the same batches: the moments draw from a stream of their own.
      expect(await firstLoss(tiny)).toBeLessThan(await firstLoss(zero));
    },
  );

  it("is the same for the same random seed, and another for another", async () => {
    const [one, two, other] = [await start(), await start(), await start({ randomSeed: 12 })];
    for (const driver of [one, two, other]) await loadWith(driver, { initialization: "tiny" });
    expect(kernelOf(one)).toEqual(kernelOf(two));
    expect(kernelOf(one)).not.toEqual(kernelOf(other));
  });

  it("T1: what it measures is charged as gate, and in proportion to its batches", async () => {
    const gateOf = async (initialization: "zero" | "tiny", tinyBatches: number): Promise<number> => {
      const { morphogenetic } = spec;
      const blueprint = { ...morphogenetic.blueprint, tinyBatches };
      const driver = await start({ morphogenetic: { ...morphogenetic, blueprint } }, 20);
      return (await loadWith(driver, { initialization })).flops.gate;
    };
    const [none, four, eight, twelve] = [
      await gateOf("zero", 4),
      await gateOf("tiny", 4),
      await gateOf("tiny", 8),
      await gateOf("tiny", 12),
    ];
    const fourBatches = eight - four;
    expect(fourBatches).toBeGreaterThan(0);
    expect(twelve - eight).toBe(fourBatches);
    // What does not grow with the batches is the search for the amplitude.
    const search = four - none - fourBatches;
    expect(search).toBeGreaterThan(0);
    expect(search % tinyAmplitudes.length).toBe(0);
  });

  it("T1: without room in the budget it is not started: no trial, a reason, and the host trains on", async () => {
    const driver = await start({ hostSteps: 70 });
    const { kernel, flops } = await loadWith(driver, { initialization: "tiny" });
    expect(kernel).toMatchObject({
      kind: "loaded",
      staticProblems: [expect.stringContaining("FLOPs left to measure them for TINY")],
    });
    expect(kernel).not.toHaveProperty("dryRun");
    expect(flops.gate).toBe(0);
    expect((await driver.host(5, [driver.discard("host")])).steps).toBe(5);
  });
});
