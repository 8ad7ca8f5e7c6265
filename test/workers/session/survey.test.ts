/** A look at a host's parts beside brute force: the smallest set of numbers that a decision can rest on. */
import { afterEach, describe, expect, it } from "vitest";
import type { EpochResult } from "../../../src/contracts/plan.ts";
import { HostParts } from "../../../src/contracts/pruning.ts";
import { pruneTarget } from "../../../src/graph/prune.ts";
import { trainStep } from "../../../src/graph/step.ts";
import { cohortsOf } from "../../../src/workers/session/programs.ts";
import { Driver, fingerprint, seedId, spec } from "../fixture.ts";

const open: Driver[] = [];
afterEach(async () => {
  for (const driver of open.splice(0)) await driver.session.dispose();
});
const start = async (changes: Parameters<typeof Driver.open>[0] = {}): Promise<Driver> => {
  const driver = await Driver.open(changes);
  open.push(driver);
  return driver;
};

const hurt = (site: string) => ({ site, kind: "dead", live: 3, layers: 1 }) as const;
const look = (driver: Driver, steps = 20): Promise<EpochResult> =>
  driver.session.run({ ...driver.plan({ kind: "host", steps }), measureParts: true }, driver.kernels);

const tensorsOf = (driver: Driver) =>
  new Map(
    Object.entries(driver.session.snapshot().tensors).flatMap(([name, tensor]) =>
      name.startsWith("host/") ? [[name.slice("host/".length), tensor] as const] : [],
    ),
  );

const stepFlops = (driver: Driver, host = driver.session.host): number =>
  trainStep({ host, optimizer: spec.optimizer, trainableCohorts: cohortsOf(host), batch: spec.batchSize }).flops;

describe("a look at the parts", () => {
  it("V1: tells every hidden layer's units, dead ones as worth nothing, and moves nothing", async () => {
    const [driver, blind] = [await start(), await start()];
    const { parts } = await look(driver, 60);
    await blind.host(60);
    expect(HostParts.parse(parts)).toEqual(parts);
    expect(fingerprint(driver.session)).toEqual(fingerprint(blind.session));
    expect(parts!.hostHash).toBe(driver.session.status.host.hash);
    expect(parts!.layers.map(({ site, units, obstacle }) => [site, units.length, obstacle])).toEqual([
      ["h1", 16, undefined],
      ["h2", 16, undefined],
      ["h3", 16, undefined],
    ]);
    const dead = parts!.layers[1]!.units.filter(({ spread }) => spread === 0);
    expect(dead).toHaveLength(15);
    expect(dead.map(({ importance, mean: kept }) => [importance, kept])).toEqual(dead.map(() => [0, 0]));
    const alive = parts!.layers[0]!.units.filter(({ importance }) => importance! > 0);
    expect(alive.length).toBeGreaterThan(8);
    expect(parts!.validationLoss).toBeCloseTo(driver.session.status.lastResult!.validation!.loss, 6);
  });

  it("says what a unit costs in a step, exactly", async () => {
    const driver = await start();
    const { parts } = await look(driver);
    const { host } = driver.session;
    for (const { site, stepFlopsPerUnit } of parts!.layers) {
      const pruning = pruneTarget(host, tensorsOf(driver), { kind: "units", site, units: [3], constants: [0] });
      if (pruning.kind === "refused") throw new Error(pruning.reason);
      expect(stepFlopsPerUnit).toBe(stepFlops(driver) - stepFlops(driver, pruning.host));
      expect(stepFlopsPerUnit).toBeGreaterThan(0);
    }
  });

  it("is charged, is the same for the same seed, and is absent where the budget has no room", async () => {
    const [one, two, blind] = [await start(), await start(), await start()];
    const [first, second, none] = [await look(one), await look(two), await blind.host(20)];
    expect(first.parts).toEqual(second.parts);
    expect(first.flops.signal).toBeGreaterThan(none.flops.signal);
    expect(first.flops.host).toBe(none.flops.host);
    const poor = await start({ flopsMax: 20 * one.session.status.host.stepFlops + 10 });
    const starved = await look(poor);
    expect(starved).not.toHaveProperty("parts");
    expect(starved.flops.signal).toBe(0);
  });

  it("V2: where nothing but zero can be kept of a channel, that is what it is measured against; joined layers carry the reason", async () => {
    const driver = await start({
      model: { name: "cnn", channels: [4, 4, 4], activation: "relu", batchNorm: false },
      damage: hurt("c2"),
    });
    const { parts } = await look(driver, 40);
    const units = (site: string) => parts!.layers.find((layer) => layer.site === site)!.units;
    expect(units("c1").map(({ mean: kept }) => kept)).toEqual([0, 0, 0, 0]);
    expect(units("c3").some(({ mean: kept }) => kept !== 0)).toBe(true);
    const resnet = await start({ model: { name: "resnet18", width: 4, blocks: [1, 1] }, damage: hurt("s1.b1.c1") });
    const joined = (await look(resnet, 5)).parts!.layers.filter(({ obstacle }) => obstacle !== undefined);
    expect(joined.length).toBeGreaterThan(0);
    for (const { units: none, obstacle } of joined) {
      expect(none).toEqual([]);
      expect(obstacle).toMatch(/^s?\S+: /);
    }
  });

  it("ablates every bypass that was kept: with against without on the validation samples", async () => {
    const driver = await start();
    await driver.host(60);
    await driver.trial("fine_tune");
    await driver.host(20, [{ kind: "keep", seedId }]);
    const { parts } = await look(driver);
    const [bypass] = parts!.bypasses;
    expect(parts!.bypasses).toHaveLength(1);
    expect(bypass).toMatchObject({ seedId, site: "h2" });
    const { host } = driver.session;
    const pruning = pruneTarget(host, tensorsOf(driver), { kind: "bypass", site: "h2", seedId });
    if (pruning.kind === "refused") throw new Error(pruning.reason);
    expect(bypass!.stepFlops).toBe(stepFlops(driver) - stepFlops(driver, pruning.host));
    const { gain } = bypass!;
    expect(gain!.lossWith).toBeCloseTo(driver.session.status.lastResult!.validation!.loss, 6);
    expect(gain!.mean).toBeCloseTo(gain!.lossWithout - gain!.lossWith, 6);
    expect(gain!.lower).toBeGreaterThan(0);
    // The programs of the host before it are given back, those of this one are used again.
    expect((await look(driver)).parts!.bypasses[0]!.gain!.samples).toBe(300);
  });
});
