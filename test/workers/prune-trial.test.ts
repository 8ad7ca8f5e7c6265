/** A pruning in a session: windows like those of every trial, nothing of the host moves before the verdict, and both ends are exact. */
import { afterEach, describe, expect, it } from "vitest";
import type { BoundaryAction, EpochResult, Work } from "../../src/contracts/plan.ts";
import { EpochResult as EpochResultSchema } from "../../src/contracts/plan.ts";
import type { PruneTarget } from "../../src/contracts/pruning.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { createRandom } from "../../src/graph/random.ts";
import { characterizeKernel } from "../../src/workers/session/characterize.ts";
import { compileKernel } from "../../src/workers/session/forge.ts";
import { seedId as bypassSeed, Driver, fingerprint, kernelKey, nativeEngine, spec } from "./fixture.ts";

const open: Driver[] = [];
const start = async (...args: Parameters<typeof Driver.open>): Promise<Driver> => {
  const driver = await Driver.open(...args);
  open.push(driver);
  return driver;
};
afterEach(async () => {
  for (const driver of open.splice(0)) await driver.session.dispose();
});

const trained = async (steps = 40, changes = {}): Promise<Driver> => {
  const driver = await start(changes);
  await driver.host(steps);
  return driver;
};

/** 15 of the 16 units of h2 are dead from the start, by the fixture's damage: they say 0 to every input. */
const deadUnits = async (driver: Driver): Promise<number[]> => {
  const { data } = driver.session.snapshot().tensors["host/h2/weight"]!;
  return Array.from({ length: 16 }, (_, unit) => unit).filter((unit) =>
    Array.from({ length: 16 }, (_, input) => data[input * 16 + unit]!).every((value) => value === 0),
  );
};

const keyFor = async (driver: Driver, seedId: string, prune: PruneTarget) => ({
  ...(await kernelKey(driver.session, driver.spec)),
  request: { kind: "no-op", hiddenWidth: 1, initialization: "zero" } as const,
  prune,
  seedId,
  fromSite: prune.site,
  toSite: prune.site,
});

const load = async (driver: Driver, seedId: string, prune: PruneTarget): Promise<EpochResult> => {
  const key = await keyFor(driver, seedId, prune);
  const { artifact } = await compileKernel(await nativeEngine(), key, driver.session.host);
  const kernelHash = contentHash(artifact);
  driver.kernels[kernelHash] = artifact;
  const action: BoundaryAction = { kind: "load_kernel", seedId, kernelHash, fromSite: prune.site, toSite: prune.site };
  return driver.run({ kind: "load", seedId }, [action]);
};

const works = (seedId: string): Work[] => [
  { kind: "graft", seedId, steps: 10, progressFrom: 0, progressTo: 1 },
  { kind: "stabilize", seedId, steps: 5 },
  { kind: "evaluate", seedId },
  { kind: "fine_tune", seedId, steps: 20 },
];

const trial = async (driver: Driver, prune: PruneTarget, until: Work["kind"]): Promise<EpochResult> => {
  const seedId = `seed:${prune.site}.prune`;
  let result = await load(driver, seedId, prune);
  const all = works(seedId);
  for (const work of all.slice(0, all.findIndex(({ kind }) => kind === until) + 1)) result = await driver.run(work);
  return result;
};

const units = (site: string, chosen: readonly number[], constants: readonly number[] = []): PruneTarget => ({
  kind: "units",
  site,
  units: [...chosen],
  constants: [...constants],
});

const seedId = "seed:h2.prune";

describe("a pruning in trial", () => {
  it.each(["load", "graft", "stabilize", "evaluate"] as const)("K1: up to %s the host stays byte for byte", async (until) => {
    const driver = await trained();
    const before = fingerprint(driver.session);
    const result = await trial(driver, units("h1", [0, 1, 2]), until);
    expect(EpochResultSchema.parse(result)).toEqual(result);
    expect(fingerprint(driver.session)).toEqual(before);
  });

  it("has nothing to learn: no parameters, no gradient", async () => {
    const driver = await trained();
    const loaded = await load(driver, seedId, units("h2", [0]));
    expect(loaded.kernel).toMatchObject({
      kind: "loaded",
      parameters: 0,
      staticProblems: [],
      dryRun: { shapesMatch: true, finite: true },
    });
    const grafted = await driver.run(works(seedId)[0]!);
    expect(grafted).toMatchObject({ gradNorm: 0, kernel: { kind: "grafted", alpha: 1, finite: true } });
  });

  it("dead units: nothing is lost, steps are saved, and the smaller host gives the same and trains on", async () => {
    const driver = await trained(60);
    const gone = await deadUnits(driver);
    expect(gone).toHaveLength(15);
    const before = driver.session.status.host;
    const lossBefore = driver.session.status.lastResult!.validation!.loss;
    const screen = await trial(driver, units("h2", gone.slice(0, 8)), "evaluate");
    const evaluated = screen.kernel?.kind === "evaluated" ? screen.kernel : undefined;
    expect(evaluated!.gain).toMatchObject({ mean: 0, lower: 0, upper: 0 });
    expect(evaluated!.gain!.lossWith).toBeCloseTo(lossBefore, 6);
    const { before: stepBefore, after: stepAfter } = evaluated!.stepFlops!;
    expect(stepBefore).toBe(before.stepFlops);
    expect(stepAfter).toBeLessThan(stepBefore);
    const verdict = await driver.run(works(seedId).at(-1)!);
    const tuned = verdict.kernel?.kind === "fine_tuned" ? verdict.kernel : undefined;
    expect(tuned).toMatchObject({ finite: true, grownSteps: 20, stepFlops: { before: stepBefore, after: stepAfter } });
    expect(tuned!.twinSteps).toBe(20);
    expect(tuned!.judgements!.map(({ judge, vote }) => [judge, vote])).toEqual(expect.arrayContaining([["cost", "keep"]]));
    const kept = await driver.host(20, [{ kind: "keep", seedId }]);
    expect(kept.host).toMatchObject({ stepFlops: stepAfter, parameters: before.parameters - 8 * (16 + 1 + 16) });
    expect(kept.host!.sites.map(({ site, width }) => [site, width])).toEqual([
      ["h1", 16],
      ["h2", 8],
      ["h3", 16],
      ["output", 4],
    ]);
    expect((await driver.host(20)).validation!.loss).toBeLessThan(lossBefore);
  });

  it("the pruned copy starts where the host stands: no step, the same loss to 1e-6; moments and counts go on", async () => {
    const driver = await trained(60);
    const gone = await deadUnits(driver);
    await trial(driver, units("h2", gone), "fine_tune");
    const { state, tensors } = driver.session.snapshot();
    expect(tensors["grown/h2/weight"]!.shape).toEqual([16, 1]);
    expect(tensors["grown/h3/weight#m"]!.shape).toEqual([1, 16]);
    expect(state.trial!.contest!.grown.cohortSteps).toEqual({ host: 80 });
    expect(state.trial!.contest!.grown.hostStep).toBe(80);
    expect(tensors["twin/h2/weight"]!.shape).toEqual([16, 16]);
  });

  it.each(["graft", "evaluate"] as const)("K2: culled after %s, the host goes on as if never tried", async (until) => {
    const driver = await trained();
    await trial(driver, units("h1", [0, 1, 2], [0.1, 0.2, 0.3]), until);
    await driver.host(20, [{ kind: "discard", seedId: "seed:h1.prune", continueFrom: "host" }]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await trained(60)).session));
  });

  it("K2: culled after the contest, the run goes on from the twin as if it had never tried", async () => {
    const driver = await trained();
    const verdict = await trial(driver, units("h1", [0, 1, 2, 3, 4, 5, 6, 7]), "fine_tune");
    const tuned = verdict.kernel?.kind === "fine_tuned" ? verdict.kernel : undefined;
    expect(tuned!.twinSteps).toBe(20);
    await driver.host(20, [{ kind: "discard", seedId: "seed:h1.prune", continueFrom: "twin" }]);
    const reference = await trained(40 + tuned!.twinSteps + 20);
    expect(fingerprint(driver.session)).toEqual(fingerprint(reference.session));
  });

  it("behind padding no unit leaves another constant than 0", async () => {
    const driver = await trained(20, {
      model: { name: "cnn", channels: [4, 4], activation: "relu", batchNorm: false },
      damage: { site: "c2", kind: "dead", live: 1, layers: 1 },
    });
    await expect(load(driver, "seed:c1.prune", units("c1", [0], [0.5]))).rejects.toThrow(/not one constant/);
    const loaded = await load(driver, "seed:c1.prune", units("c1", [0]));
    expect(loaded.kernel).toMatchObject({ kind: "loaded", staticProblems: [] });
  });

  it("gate 1 refuses a kernel whose pruned host is another one", async () => {
    const driver = await trained();
    const key = await keyFor(driver, seedId, units("h2", [0, 1]));
    const engine = await nativeEngine();
    const { artifact } = await compileKernel(engine, key, driver.session.host);
    const other = await compileKernel(engine, { ...key, prune: units("h2", [3]) }, driver.session.host);
    const forged = { ...artifact, foldedHost: other.artifact.foldedHost, parameters: 3 };
    const kernelHash = contentHash(forged);
    driver.kernels[kernelHash] = forged;
    const action: BoundaryAction = { kind: "load_kernel", seedId, kernelHash, fromSite: "h2", toSite: "h2" };
    const { kernel } = await driver.run({ kind: "load", seedId }, [action]);
    const problems = kernel?.kind === "loaded" ? kernel.staticProblems.join("\n") : "";
    expect(problems).toMatch(/parameters: expected 0, found 3/);
    expect(problems).toMatch(/pruned host: expected/);
    await driver.host(20, [{ kind: "discard", seedId, continueFrom: "host" }]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await trained(60)).session));
  });

  it("a folded bypass goes: the host that never had it comes back in shape", async () => {
    const driver = await trained(60);
    const original = driver.session.status.host;
    await driver.trial("fine_tune");
    await driver.host(20, [{ kind: "keep", seedId: bypassSeed }]);
    expect(driver.session.status.host.parameters).toBeGreaterThan(original.parameters);
    const verdict = await trial(driver, { kind: "bypass", site: "h2", seedId: bypassSeed }, "fine_tune");
    expect(verdict.kernel).toMatchObject({ kind: "fine_tuned", finite: true, stepFlops: { after: original.stepFlops } });
    const kept = await driver.host(5, [{ kind: "keep", seedId }]);
    expect(kept.host!.hash).toBe(original.hash);
    expect(Object.keys(driver.session.snapshot().tensors).filter((name) => name.includes(bypassSeed))).toEqual([]);
  });

  it.each(["load", "graft", "stabilize", "evaluate", "fine_tune"] as const)(
    "K6: saved and restored after %s it goes on bit-equal",
    async (until) => {
      const target = units("h2", [1, 2, 3], [0, 0.5, 0]);
      const [one, two] = [await trained(), await start()];
      await trial(one, target, until);
      await two.session.restore(structuredClone(one.session.snapshot()), one.kernels);
      Object.assign(two.kernels, one.kernels);
      const rest = works(seedId).slice(works(seedId).findIndex(({ kind }) => kind === until) + 1);
      for (const driver of [one, two]) {
        for (const work of rest) await driver.run(work);
        await driver.host(20, [{ kind: "keep", seedId }]);
      }
      expect(fingerprint(two.session)).toEqual(fingerprint(one.session));
      expect(two.session.status.host).toEqual(one.session.status.host);
    },
  );
});

describe("Urabrask", () => {
  it("measures a pruning like a kernel: it is calm, stable and the same on two engines", async () => {
    const driver = await trained();
    const [engine, reference] = [await nativeEngine(), await createEngine("cpu", { threads: 1 })];
    const key = await keyFor(driver, seedId, units("h2", [0, 5], [0.5, 0]));
    const { artifact } = await compileKernel(engine, key, driver.session.host);
    let ticks = 0;
    const measured = await characterizeKernel(artifact, driver.session.host, {
      engine,
      reference,
      config: spec.morphogenetic.validation,
      random: createRandom(1),
      nowMs: () => ticks++,
    });
    expect(measured).toMatchObject({ parameters: 0, deadShare: 0, firstStepSpike: 0, stability: { finite: true } });
    expect(measured.drift!.relative).toBeLessThan(1e-4);
    expect(measured.stability.lossRatio).toBeLessThan(2);
  });
});
