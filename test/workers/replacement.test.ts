/** A replacement in a session: nothing of the host moves before the verdict, what is kept is the same host, and what is culled leaves no trace. */
import { afterEach, describe, expect, it } from "vitest";
import type { BoundaryAction, EpochResult, Work } from "../../src/contracts/plan.ts";
import { trainingSteps } from "../../src/contracts/trial.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { createRandom } from "../../src/graph/random.ts";
import { validationGate } from "../../src/machines/gates.ts";
import { kernelTags } from "../../src/policy/kernel-tags.ts";
import { characterizeKernel } from "../../src/workers/session/characterize.ts";
import { compileKernel } from "../../src/workers/session/forge.ts";
import { Driver, fingerprint, kernelKey, nativeEngine, seedId, spec } from "./fixture.ts";

const open: Driver[] = [];
const start = async (...args: Parameters<typeof Driver.open>): Promise<Driver> => {
  const driver = await Driver.open(...args);
  open.push(driver);
  return driver;
};
afterEach(async () => {
  for (const driver of open.splice(0)) await driver.session.dispose();
});

/** h2 starts a hundred times too large. */
const overscaled = { damage: { site: "h2", kind: "initialization", live: 1, layers: 1 } } as const;
const trained = async (steps = 40, changes = {}): Promise<Driver> => {
  const driver = await start({ ...overscaled, ...changes });
  await driver.host(steps);
  return driver;
};

const own = { fromSite: "h2", toSite: "h2" };
const replacement = { kind: "replacement", hiddenWidth: 1, initialization: "he" } as const;
const keyFor = async (driver: Driver) => ({ ...(await kernelKey(driver.session, driver.spec)), request: replacement, ...own });

const load = async (driver: Driver): Promise<EpochResult> => {
  const { artifact } = await compileKernel(await nativeEngine(), await keyFor(driver), driver.session.host);
  const kernelHash = contentHash(artifact);
  driver.kernels[kernelHash] = artifact;
  return driver.run({ kind: "load", seedId }, [{ kind: "load_kernel", seedId, kernelHash, ...own }]);
};

const steps = trainingSteps(spec.morphogenetic, replacement);
const works: Work[] = [
  { kind: "train_kernel", seedId, steps },
  { kind: "graft", seedId, steps: 10, progressFrom: 0, progressTo: 1 },
  { kind: "stabilize", seedId, steps: 5 },
  { kind: "evaluate", seedId },
  { kind: "fine_tune", seedId, steps: 20 },
];
const stages = ["train_kernel", "graft", "stabilize", "evaluate", "fine_tune"] as const;

const trial = async (driver: Driver, until: Work["kind"]): Promise<EpochResult> => {
  let result = await load(driver);
  for (const work of works.slice(0, works.findIndex(({ kind }) => kind === until) + 1)) result = await driver.run(work);
  return result;
};

const keep: BoundaryAction = { kind: "keep", seedId };
const discard = (continueFrom: "host" | "twin"): BoundaryAction => ({ kind: "discard", seedId, continueFrom });

describe("a replacement in trial", () => {
  it("loads, adds no parameters, and takes three times the steps of a bypass alone", async () => {
    const loaded = await load(await trained());
    expect(loaded.kernel).toMatchObject({
      kind: "loaded",
      parameters: 0,
      staticProblems: [],
      dryRun: { shapesMatch: true, finite: true },
    });
    expect(steps).toBe(3 * spec.morphogenetic.training.steps);
  });

  it.each(stages.slice(0, 4))("K1: up to %s the host stays byte for byte", async (until) => {
    const driver = await trained();
    const before = fingerprint(driver.session);
    await trial(driver, until);
    expect(fingerprint(driver.session)).toEqual(before);
  });

  it("on its way in it learns from its own loss: blended out it ends where it ends blended in", async () => {
    const [slow, fast] = [await trained(), await trained()];
    for (const [driver, progressTo] of [
      [slow, 0.1],
      [fast, 1],
    ] as const) {
      await trial(driver, "train_kernel");
      const result = await driver.run({ kind: "graft", seedId, steps: 10, progressFrom: 0, progressTo });
      expect(result.kernel).toMatchObject({ kind: "grafted", finite: true });
    }
    const kernelOf = ({ session }: Driver) =>
      Object.entries(session.snapshot().tensors).filter(([name]) => name.startsWith("kernel/"));
    expect(kernelOf(slow)).toEqual(kernelOf(fast));
  });

  it("C6: the contest starts from the fresh tail under the host's names, at equal steps, and wins against the twin", async () => {
    const driver = await trained(60);
    const verdict = await trial(driver, "fine_tune");
    const { state, tensors } = driver.session.snapshot();
    expect(Object.keys(tensors).filter((name) => name.startsWith("grown/") && name.includes(seedId))).toEqual([]);
    expect(tensors["grown/h2/weight"]!.shape).toEqual([16, 16]);
    expect(state.trial!.contest!.grown.cohortSteps).toEqual({ host: 80 });
    expect(state.trial!.contest).toMatchObject({ grownSteps: 20, twinSteps: 20 });
    const tuned = verdict.kernel?.kind === "fine_tuned" ? verdict.kernel : undefined;
    expect(tuned!.gain!.lower).toBeGreaterThan(0.01 * tuned!.gain!.lossWithout);
    const size = (side: string): number => Math.hypot(...tensors[`${side}/h2/weight`]!.data);
    expect(size("twin") / size("grown")).toBeGreaterThan(20);
  });

  it("kept, the host is the same graph with other parameters, and trains on", async () => {
    const driver = await trained(60);
    const before = driver.session.status.host;
    await trial(driver, "fine_tune");
    const kept = await driver.host(20, [keep]);
    expect(kept.host).toEqual(before);
    expect(kept.anomalies).toEqual([]);
    expect(driver.session.status.hostStep).toBe(100);
    // Another replacement finds the same host.
    expect((await load(driver)).kernel).toMatchObject({ staticProblems: [] });
  });

  it.each(["train_kernel", "graft", "evaluate"] as const)(
    "K2: culled after %s, the host goes on as if never tried",
    async (until) => {
      const driver = await trained();
      await trial(driver, until);
      await driver.host(20, [discard("host")]);
      expect(fingerprint(driver.session)).toEqual(fingerprint((await trained(60)).session));
    },
  );

  it("K2: culled after the contest, the run goes on from the twin as if it had never tried", async () => {
    const driver = await trained();
    await trial(driver, "fine_tune");
    await driver.host(20, [discard("twin")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await trained(80)).session));
  });

  it.each(stages)("K6: saved and restored after %s it goes on bit-equal", async (until) => {
    const [one, two] = [await trained(), await start(overscaled)];
    await trial(one, until);
    await two.session.restore(structuredClone(one.session.snapshot()), one.kernels);
    Object.assign(two.kernels, one.kernels);
    for (const driver of [one, two]) {
      for (const work of works.slice(works.findIndex(({ kind }) => kind === until) + 1)) await driver.run(work);
      await driver.host(20, [keep]);
    }
    expect(fingerprint(two.session)).toEqual(fingerprint(one.session));
  });

  it("beside a frozen base it is refused: nothing of that may go", async () => {
    const driver = await trained(10, { morphogenetic: { ...spec.morphogenetic, base: "frozen" } });
    const { kernel } = await load(driver);
    expect(kernel).toMatchObject({ staticProblems: [expect.stringContaining("expected a base that learns")] });
  });

  it("gate 1 refuses a kernel whose folded host is another one", async () => {
    const driver = await trained();
    const engine = await nativeEngine();
    const { artifact } = await compileKernel(engine, await keyFor(driver), driver.session.host);
    const forged = { ...artifact, foldedHost: { ...artifact.foldedHost, name: "another" } };
    const kernelHash = contentHash(forged);
    driver.kernels[kernelHash] = forged;
    const { kernel } = await driver.run({ kind: "load", seedId }, [{ kind: "load_kernel", seedId, kernelHash, ...own }]);
    expect(kernel).toMatchObject({ staticProblems: [expect.stringContaining("folded host: expected")] });
  });
});

describe("Urabrask", () => {
  it.each([
    ["a small MLP", spec.model],
    ["a deep one, most of whose units are silent", { name: "mlp", widths: new Array(12).fill(16), activation: "relu" }],
    ["a normalised convolution", { name: "cnn", channels: [4, 4], activation: "relu", batchNorm: true }],
  ] as const)("a replacement in %s passes gate 1 and is stable", async (_, model) => {
    const site = model.name === "cnn" ? "c2" : "h2";
    const driver = await start({ model: model as typeof spec.model, damage: { ...overscaled.damage, site } });
    const [engine, reference] = [await nativeEngine(), await createEngine("cpu", { threads: 1 })];
    const key = { ...(await keyFor(driver)), fromSite: site, toSite: site };
    const { artifact } = await compileKernel(engine, key, driver.session.host);
    let ticks = 0;
    const { validation } = spec.morphogenetic;
    const measured = await characterizeKernel(artifact, driver.session.host, {
      engine,
      reference,
      config: validation,
      random: createRandom(1),
      nowMs: () => ticks++,
    });
    const kernelHash = "a".repeat(64);
    const tags = kernelTags(measured, validation);
    const found = {
      kernelHash,
      hostHash: key.hostHash,
      blueprint: replacement,
      machine: "here",
      engine: engine.name,
      tags,
      measured,
    };
    expect(validationGate(found, kernelHash, validation)).toMatchObject({ passed: true });
    expect(tags).toContain("stable");
    expect(tags).not.toContain("dead-gradient");
    expect(measured.parameters).toBe(0);
  });
});
