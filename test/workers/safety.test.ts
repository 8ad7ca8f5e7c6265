/** What a session does when a trial goes wrong, when the jury wants more, and when the base may not change. Bit for bit. */
import { afterEach, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/contracts/graph.ts";
import type { Work } from "../../src/contracts/plan.ts";
import { EpochResult } from "../../src/contracts/plan.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { Driver, fingerprint, nativeEngine, seedId, spec } from "./fixture.ts";

const open: Driver[] = [];
const start = async (...args: Parameters<typeof Driver.open>): Promise<Driver> => {
  const driver = await Driver.open(...args);
  open.push(driver);
  return driver;
};
afterEach(async () => {
  for (const driver of open.splice(0)) await driver.session.dispose();
});
const untouched = async (steps: number, ...args: Parameters<typeof Driver.open>): Promise<Driver> => {
  const driver = await start(...args);
  await driver.host(steps);
  return driver;
};

type Fault = "throws" | "not finite" | "spikes";

/** An engine whose programs of a kernel can be made to fail; those of the host never do. */
const faultyEngine = async () => {
  const inner = await nativeEngine();
  const fault: { isKernel: boolean; kind: Fault | undefined; afterRuns: number } = {
    isKernel: false,
    kind: undefined,
    afterRuns: 0,
  };
  const spoil = (loss: Tensor): Tensor => ({
    ...loss,
    data: Float32Array.from(loss.data, (value) => (fault.kind === "spikes" ? 1000 * value : Number.NaN)),
  });
  const engine: Engine = {
    name: inner.name,
    version: inner.version,
    compile: (program) => inner.compile(program),
    load: async (compiled) => {
      const program = await inner.load(compiled);
      const { isKernel } = fault;
      return {
        inputs: program.inputs,
        outputs: program.outputs,
        memoryBytes: program.memoryBytes,
        dispose: () => program.dispose(),
        run: async (feeds, options) => {
          const active = isKernel && fault.kind !== undefined && fault.afterRuns-- <= 0;
          if (active && fault.kind === "throws") throw new Error("the device is gone");
          const outputs = await program.run(feeds, options);
          if (!active) return outputs;
          return Object.fromEntries(
            Object.entries(outputs).map(([name, tensor]) => [name, /^loss/.test(name) ? spoil(tensor) : tensor]),
          );
        },
      };
    },
    dispose: async () => undefined,
  };
  return { engine, fault };
};

const works: Readonly<Record<"train_kernel" | "graft" | "stabilize" | "evaluate" | "fine_tune", Work>> = {
  train_kernel: { kind: "train_kernel", seedId, steps: 30 },
  graft: { kind: "graft", seedId, steps: 20, progressFrom: 0, progressTo: 1 },
  stabilize: { kind: "stabilize", seedId, steps: 15 },
  evaluate: { kind: "evaluate", seedId },
  fine_tune: { kind: "fine_tune", seedId, steps: 20 },
};
const anomalyOf = { throws: "kernel_failed", "not finite": "non_finite_loss", spikes: "loss_spike" } as const;

const cases = (["throws", "not finite", "spikes"] as const).flatMap((kind) =>
  (Object.keys(works) as (keyof typeof works)[])
    // A screen has no steps to watch: what is not finite there is not measured, and fails its gate.
    .filter((work) => kind === "throws" || work !== "evaluate")
    .map((work) => ({ kind, work })),
);

describe("a fault in a trial is rolled back as if nothing had ever been tried", () => {
  it.each(cases)("K5 $work $kind", async ({ kind, work }) => {
    const { engine, fault } = await faultyEngine();
    const driver = await untouched(40, {}, undefined, engine);
    fault.isKernel = true;
    await driver.load();
    for (const each of Object.values(works).slice(0, Object.keys(works).indexOf(work))) await driver.run(each);
    fault.kind = kind;
    fault.afterRuns = work === "evaluate" ? 1 : 10;
    const result = await driver.run(works[work]);
    fault.kind = undefined;
    expect(EpochResult.parse(result)).toEqual(result);
    expect(result.anomalies.map((anomaly) => anomaly.kind)).toEqual([anomalyOf[kind]]);
    expect(result.kernel).toBeUndefined();
    if (kind === "throws") expect(result.anomalies[0]?.detail).toContain("the device is gone");
    const spent = driver.session.status.flops.total;
    await driver.host(20, [{ kind: "rollback", seedId, reason: "test" }]);
    expect(driver.session.status.flops.total).toBeGreaterThan(spent);
    expect(driver.session.snapshot().state.trial).toBeUndefined();
    expect(driver.table.alpha(1)).toBe(0);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(60)).session));
  });

  it("K5 a dry run that throws fails gate 1 with its words, and the host trains on", async () => {
    const { engine, fault } = await faultyEngine();
    const driver = await untouched(40, {}, undefined, engine);
    fault.isKernel = true;
    fault.kind = "throws";
    const { kernel } = await driver.load();
    fault.kind = undefined;
    expect(kernel).toMatchObject({ kind: "loaded", staticProblems: [expect.stringContaining("the device is gone")] });
    expect(kernel).not.toHaveProperty("dryRun");
    await driver.host(20, [driver.discard("host")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(60)).session));
  });

  it("an error of the host's own program is no kernel's fault and is thrown", async () => {
    const { engine, fault } = await faultyEngine();
    fault.isKernel = true;
    const driver = await start({}, undefined, engine);
    fault.kind = "throws";
    await expect(driver.host(5)).rejects.toThrow("the device is gone");
    fault.kind = undefined;
  });
});

describe("the verdict's evidence", () => {
  it("four judges look at the same samples", async () => {
    const driver = await untouched(60);
    const { kernel } = await driver.trial("fine_tune");
    if (kernel?.kind !== "fine_tuned" || kernel.gain === undefined) throw new Error("expected a verdict");
    const { gain, judgements } = kernel;
    expect(judgements?.map(({ judge }) => judge)).toEqual(["loss", "accuracy", "calibration", "cost"]);
    const [loss, accuracy, calibration, cost] = judgements!;
    expect(loss?.measured).toMatchObject({ mean: gain.mean, lower: gain.lower });
    expect(loss?.bound).toBeCloseTo(0.01 * gain.lossWithout, 12);
    for (const each of [accuracy, calibration]) {
      expect(Math.abs(each!.measured!.mean)).toBeLessThanOrEqual(1);
      expect(each!.measured!.lower).toBeLessThanOrEqual(each!.measured!.upper);
    }
    expect(cost?.measured?.mean).toBeCloseTo(gain.mean / gain.lossWithout, 12);
    expect(cost!.bound).toBeGreaterThan(0);
  });

  it("C3 a second window goes on with both sides; culled then, the run is as if it had never tried", async () => {
    const driver = await untouched(40);
    const first = await driver.trial("fine_tune");
    const second = await driver.run(works.fine_tune);
    if (first.kernel?.kind !== "fine_tuned" || second.kernel?.kind !== "fine_tuned") throw new Error("expected verdicts");
    const { twinSteps } = first.kernel;
    expect(second.kernel).toMatchObject({ finite: true, grownSteps: 40, twinSteps: 2 * twinSteps });
    expect(second.kernel.judgements).toHaveLength(4);
    await driver.host(20, [driver.discard("twin")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(40 + 2 * twinSteps + 20)).session));
  });

  it("C4 a second window that the budget has no room for measures nothing, and the twin of the first stays", async () => {
    const probe = await untouched(40);
    const { kernel } = await probe.trial("fine_tune");
    const { stepFlops } = probe.session.status.host;
    const { total } = probe.session.status.flops;
    const driver = await untouched(40, { flopsMax: total + 30 * stepFlops });
    await driver.trial("fine_tune");
    const second = await driver.run(works.fine_tune);
    const twinSteps = kernel?.kind === "fine_tuned" ? kernel.twinSteps : 0;
    expect(second.kernel).toEqual({ kind: "fine_tuned", finite: true, grownSteps: 20, twinSteps });
    await driver.host(10, [driver.discard("twin")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(40 + twinSteps + 10)).session));
  });
});

describe("a frozen base", () => {
  const frozen = { morphogenetic: { ...spec.morphogenetic, base: "frozen" as const } };
  /** The base's own parameters, bit for bit. */
  const baseOf = (driver: Driver, names: readonly string[]): Record<string, string> => {
    const { tensors } = driver.session.snapshot();
    return Object.fromEntries(
      names.map((name) => [name, contentHash({ bytes: Buffer.from(tensors[`host/${name}`]!.data.buffer).toString("base64") })]),
    );
  };
  const namesOf = (driver: Driver): string[] => driver.session.host.graph.parameters.map(({ name }) => name);

  it("H4 never changes, from the first window to the last: watched, tried, kept, tried again, culled", async () => {
    const driver = await start(frozen);
    const names = namesOf(driver);
    const before = baseOf(driver, names);
    const watched = await driver.host(20, [], true);
    expect(EpochResult.parse(watched)).toEqual(watched);
    expect(watched).toMatchObject({ hostStep: 0, steps: 20, anomalies: [] });
    expect(watched.trainLoss).toBeGreaterThan(0);
    expect(baseOf(driver, names)).toEqual(before);

    const verdict = await driver.trial("fine_tune");
    expect(verdict.kernel).toMatchObject({ kind: "fine_tuned", finite: true, grownSteps: 20, twinSteps: 0 });
    const gain = verdict.kernel?.kind === "fine_tuned" ? verdict.kernel.gain : undefined;
    // The twin is the base itself.
    expect(gain?.lossWithout).toBeCloseTo(watched.validation!.loss, 6);
    expect(gain!.lower).toBeGreaterThan(0);
    expect(baseOf(driver, names)).toEqual(before);

    const kept = await driver.host(20, [{ kind: "keep", seedId }], true);
    expect(kept.validation!.loss).toBeCloseTo(gain!.lossWith, 6);
    const adapter = namesOf(driver).filter((name) => !names.includes(name));
    expect(adapter.length).toBeGreaterThan(0);
    const learned = baseOf(driver, adapter);
    for (let window = 0; window < 3; window++) await driver.host();
    expect(baseOf(driver, names)).toEqual(before);
    expect(baseOf(driver, adapter)).toEqual(learned);
    expect(driver.session.status.hostStep).toBe(0);
  });

  it("switched off, everything is as it was, the logits included", async () => {
    const [driver, reference] = [await start(frozen), await start(frozen)];
    await driver.host(20);
    await driver.trial("fine_tune");
    const after = await driver.host(20, [driver.discard("twin")]);
    await reference.host(20);
    const plain = await reference.host(20);
    expect(fingerprint(driver.session)).toEqual(fingerprint(reference.session));
    expect(after.validation).toEqual(plain.validation);
    expect(after.trainLoss).toBe(plain.trainLoss);
  });

  it("a window costs forward passes, is the same after a restore, and the run comes to its end", async () => {
    const driver = await start({ ...frozen, hostSteps: 20 });
    const { forwardFlops, stepFlops } = driver.session.status.host;
    const first = await driver.host(10);
    expect(first.flops.host).toBe(10 * forwardFlops);
    const resumed = await start({ ...frozen, hostSteps: 20 });
    await resumed.session.restore(driver.session.snapshot(), {});
    expect(await resumed.host(10)).toMatchObject({ trainLoss: (await driver.host(10)).trainLoss });
    let last = first;
    for (let window = 0; window < 20 && !last.budgetUsed; window++) last = await driver.host(10);
    expect(last.budgetUsed).toBe(true);
    expect(last.flops.total).toBeGreaterThan(20 * stepFlops - stepFlops);
    expect(last.flops.total).toBeLessThanOrEqual(20 * stepFlops);
  });
});
