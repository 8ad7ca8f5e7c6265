import { afterEach, describe, expect, it } from "vitest";
import type { Work } from "../../src/contracts/plan.ts";
import { EpochResult } from "../../src/contracts/plan.ts";
import { Driver, dataset, fingerprint, seedId, spec } from "./fixture.ts";

const open: Driver[] = [];
const start = async (...args: Parameters<typeof Driver.open>): Promise<Driver> => {
  const driver = await Driver.open(...args);
  open.push(driver);
  return driver;
};
afterEach(async () => {
  for (const driver of open.splice(0)) await driver.session.dispose();
});

/** A driver whose host took exactly so many steps and never tried anything. */
const untouched = async (steps: number, changes = {}): Promise<Driver> => {
  const driver = await start(changes);
  await driver.host(steps);
  return driver;
};

describe("a host in training", () => {
  it("learns, reports results that fit their schema, and is the same for the same seed", async () => {
    const [one, two] = [await start(), await start()];
    const first = await one.host(20, [], true);
    for (let window = 0; window < 3; window++) await one.host();
    const last = await one.host();
    await two.host(100);
    expect(EpochResult.parse(first)).toEqual(first);
    expect(first.signal?.layers.map(({ site }) => site)).toEqual(["h1", "h2", "h3"]);
    expect(last.trainLoss!).toBeLessThan(first.trainLoss!);
    expect(last.validation!.samples).toBe(dataset.validation.count);
    expect(fingerprint(one.session)).toEqual(fingerprint(two.session));
  });

  it("differs for another random seed", async () => {
    const [one, two] = [await untouched(5), await untouched(5, { randomSeed: 12 })];
    expect(fingerprint(one.session)).not.toEqual(fingerprint(two.session));
  });

  it("K8: a measured signal and growth's draws leave the host's own streams alone", async () => {
    const measured = await start();
    await measured.host(10, [], true);
    await measured.host(10, [], true);
    expect(fingerprint(measured.session)).toEqual(fingerprint((await untouched(20)).session));
  });

  it.each(["h2", "h3"])("finds the damaged layer %s", async (site) => {
    const signalConfig = { ...spec.morphogenetic.signal, samples: 1024, features: 48 };
    const driver = await start({
      model: { name: "mlp", widths: [64, 64, 64], activation: "relu" },
      damage: { site, kind: "dead", live: 1, layers: 1 },
      morphogenetic: { ...spec.morphogenetic, signal: signalConfig },
    });
    const { signal } = await driver.host(60, [], true);
    const largest = signal!.layers.reduce((best, layer) => (layer.gap > best.gap ? layer : best));
    expect(largest.site).toBe(site);
    expect(driver.session.status.damagedSites).toEqual([site]);
    const later = site === "h2" ? ["h3", "output"] : ["output"];
    expect(signal!.spans.map(({ fromSite, toSite }) => [fromSite, toSite])).toEqual(later.map((toSite) => [site, toSite]));
    expect(signal!.spans.every(({ energy }) => energy > 0)).toBe(true);
  });

  it("refuses a window out of order and work for a seed that is not in trial", async () => {
    const driver = await start();
    await expect(driver.session.run({ ...driver.plan({ kind: "host", steps: 1 }), epoch: 3 }, {})).rejects.toThrow(
      /expected window 1/,
    );
    await expect(driver.run({ kind: "evaluate", seedId })).rejects.toThrow(/expected its kernel to be loaded/);
  });

  it("refuses more signal samples than there are, and damage at an unknown layer", async () => {
    const few = { ...dataset, train: { ...dataset.train, count: 100 } };
    await expect(start({}, few)).rejects.toThrow(/expected at least 256/);
    await expect(start({ damage: { site: "h9", kind: "dead", live: 1, layers: 1 } })).rejects.toThrow(/one of h1, h2, h3/);
  });

  it("K7: test samples are read once", async () => {
    const driver = await untouched(5);
    expect((await driver.session.test()).samples).toBe(dataset.test.count);
    await expect(driver.session.test()).rejects.toThrow(/once/);
  });
});

describe("a trial", () => {
  it.each(["train_kernel", "graft", "evaluate"] as const)(
    "K1: up to %s the host stays byte for byte as it was",
    async (until) => {
      const driver = await untouched(40);
      const before = fingerprint(driver.session);
      const result = await driver.trial(until);
      expect(EpochResult.parse(result)).toEqual(result);
      expect(fingerprint(driver.session)).toEqual(before);
    },
  );

  it("helps at the damage: better alone, exactly with/without, and against its twin", async () => {
    const driver = await untouched(80);
    const trained = await driver.trial("train_kernel");
    expect(trained.kernel).toMatchObject({ kind: "trained", steps: 30, finite: true });
    const gain = trained.kernel?.kind === "trained" ? trained.kernel.gain : undefined;
    expect(gain!.lower).toBeGreaterThan(0);
    expect(gain!.samples).toBe(dataset.validation.count);
  });

  it.each(["train_kernel", "graft", "evaluate"] as const)(
    "K2: culled after %s, the host goes on as if never tried",
    async (until) => {
      const driver = await untouched(40);
      await driver.trial(until);
      await driver.host(20, [driver.discard("host")]);
      const reference = await untouched(60);
      expect(fingerprint(driver.session)).toEqual(fingerprint(reference.session));
    },
  );

  it("K2: culled after FINE_TUNING, the run goes on from the twin as if it had never tried", async () => {
    const driver = await untouched(40);
    const verdict = await driver.trial("fine_tune");
    const twinSteps = verdict.kernel?.kind === "fine_tuned" ? verdict.kernel.twinSteps : 0;
    expect(twinSteps).toBeGreaterThan(20);
    await driver.host(20, [driver.discard("twin")]);
    const reference = await untouched(40 + twinSteps + 20);
    expect(driver.session.status.hostStep).toBe(reference.session.status.hostStep);
    expect(fingerprint(driver.session)).toEqual(fingerprint(reference.session));
  });

  it("kept, the host grows: its own step is the joint step, its alpha is 1, and it trains on", async () => {
    const driver = await untouched(60);
    const verdict = await driver.trial("fine_tune");
    const gain = verdict.kernel?.kind === "fine_tuned" ? verdict.kernel.gain : undefined;
    const before = driver.session.status.host;
    const kept = await driver.host(20, [{ kind: "keep", seedId }], true);
    expect(kept.host?.hash).toBe(driver.session.status.host.hash);
    expect(kept.host?.hash).not.toBe(before.hash);
    expect(kept.parameters).toBe(before.parameters + 16 * 16 + 16 + 16 * 16 + 16);
    expect(kept.hostStep).toBe(60 + 20 + 20);
    expect(kept.validation!.loss).toBeLessThan(gain!.lossWithout);
    expect(driver.table.alpha(1)).toBe(1);
    expect(kept.signal?.layers).toHaveLength(3);
    expect((await driver.host()).host).toBeUndefined();
  });

  it("the twin has equal FLOPs, within one host step", async () => {
    const driver = await untouched(40);
    await driver.trial("fine_tune");
    const { contest } = driver.session.snapshot().state.trial!;
    const step = driver.session.status.host.stepFlops;
    expect(contest!.twinFlops).toBe(contest!.twinSteps * step);
    expect(contest!.grownFlops - contest!.twinFlops).toBeGreaterThanOrEqual(0);
    expect(contest!.grownFlops - contest!.twinFlops).toBeLessThan(step);
  });

  it("writes alpha as it follows the schedule", async () => {
    const driver = await untouched(40);
    await driver.trial("train_kernel");
    expect(driver.table.alpha(1)).toBe(0);
    await driver.run({ kind: "graft", seedId, steps: 4, progressFrom: 0, progressTo: 0.5 });
    expect(driver.table.alpha(1)).toBeCloseTo(0.5, 6);
    await driver.host(5, [driver.discard("host")]);
    expect(driver.table.alpha(1)).toBe(0);
  });

  it("a kernel for another host fails gate 1 with its reasons, and the host trains on", async () => {
    const [driver, other] = [
      await untouched(40),
      await start({ model: { name: "mlp", widths: [16, 12, 16], activation: "relu" } }),
    ];
    const kernelHash = await other.compile();
    driver.kernels[kernelHash] = other.kernels[kernelHash]!;
    const action = { kind: "load_kernel", seedId, kernelHash, fromSite: "h2", toSite: "h3" } as const;
    const { kernel } = await driver.run({ kind: "load", seedId }, [action]);
    const problems = kernel?.kind === "loaded" ? kernel.staticProblems : [];
    expect(problems.join("\n")).toMatch(/hostHash/);
    expect(problems.join("\n")).toMatch(/host parameter h2\/weight/);
    expect(kernel).not.toHaveProperty("dryRun");
    await driver.host(20, [driver.discard("host")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(60)).session));
  });

  it("a kernel that nobody handed over is a problem, and one that is cached needs no artifact", async () => {
    const driver = await untouched(40);
    const missing = { kind: "load_kernel", seedId, kernelHash: "0".repeat(64), fromSite: "h2", toSite: "h3" } as const;
    const failed = await driver.run({ kind: "load", seedId }, [missing]);
    expect(failed.kernel).toMatchObject({ staticProblems: [expect.stringMatching(/expected its artifact/)] });
    await driver.load();
    const kernelHash = Object.keys(driver.kernels)[0]!;
    delete driver.kernels[kernelHash];
    const again = await driver.run({ kind: "load", seedId }, [driver.discard("host"), { ...missing, kernelHash }]);
    expect(again.kernel).toMatchObject({ kind: "loaded", cached: true, staticProblems: [] });
  });
});

describe("the budget", () => {
  const lives: readonly (readonly [string, (driver: Driver) => Promise<unknown>])[] = [
    ["a host alone", async (driver) => driver.host(1000, [], true)],
    ["a trial", (driver) => driver.trial("fine_tune")],
  ];
  it.each(lives)("K4: %s never exceeds it, and a trial that does not fit is not measured", async (_, live) => {
    for (const hostSteps of [30, 75, 140]) {
      const driver = await start({ hostSteps });
      await driver.host(20);
      await live(driver);
      const { flops, flopsMax } = driver.session.status;
      expect(flopsMax).toBe(hostSteps * driver.session.status.host.stepFlops);
      expect(flops.total).toBeLessThanOrEqual(flopsMax);
      expect(flops.host + flops.kernel + flops.trial + flops.signal + flops.gate).toBe(flops.total);
    }
  });

  it("K4: a host alone uses it to the last step, and says so", async () => {
    const driver = await start({ hostSteps: 33 });
    expect((await driver.host(20)).budgetUsed).toBe(false);
    expect(await driver.host(20)).toMatchObject({ steps: 13, budgetUsed: true, hostStep: 33 });
    expect((await driver.host(20)).steps).toBe(0);
  });

  it("a verdict that does not fit is absent", async () => {
    const driver = await start({ hostSteps: 130 });
    await driver.host(20);
    const { kernel } = await driver.trial("fine_tune");
    expect(kernel).toEqual({ kind: "fine_tuned", finite: true, grownSteps: 0, twinSteps: 0 });
    await driver.host(5, [driver.discard("twin")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(25, { hostSteps: 130 })).session));
  });
});

describe("a checkpoint", () => {
  const works: readonly Work["kind"][] = ["host", "load", "train_kernel", "graft", "stabilize", "evaluate", "fine_tune"];
  const follow = async (driver: Driver): Promise<object> => {
    const { trial } = driver.session.snapshot().state;
    if (trial?.contest !== undefined) await driver.host(10, [{ kind: "keep", seedId }], true);
    else if (trial === undefined) await driver.host(10, [], true);
    else {
      await driver.run({ kind: "graft", seedId, steps: 6, progressFrom: 0.5, progressTo: 1 });
      await driver.run({ kind: "fine_tune", seedId, steps: 10 });
      await driver.host(10, [{ kind: "keep", seedId }], true);
    }
    const { state, tensors } = driver.session.snapshot();
    return { ...state, lastResult: { ...state.lastResult, durationMs: 0 }, tensors };
  };

  it.each(works)("K6: taken after %s, a fresh session goes on bit-equal", async (until) => {
    const driver = await untouched(40);
    if (until === "load") await driver.load();
    else if (until !== "host") await driver.trial(until);
    const snapshot = driver.session.snapshot();
    const resumed = await start();
    Object.assign(resumed.kernels, driver.kernels);
    await resumed.session.restore(snapshot, driver.kernels);
    expect(resumed.session.status).toEqual(driver.session.status);
    expect(await follow(resumed)).toEqual(await follow(driver));
  });

  it("K6: also of a host that has grown", async () => {
    const driver = await untouched(40);
    await driver.trial("fine_tune");
    await driver.host(10, [{ kind: "keep", seedId }]);
    const resumed = await start();
    await resumed.session.restore(driver.session.snapshot(), driver.kernels);
    expect(await follow(resumed)).toEqual(await follow(driver));
  });

  it("does not move with the session, and is refused for another spec or without its kernel", async () => {
    const driver = await untouched(20);
    await driver.load();
    const snapshot = driver.session.snapshot();
    const frozen = structuredClone(snapshot);
    await driver.host(10, [driver.discard("host")]);
    expect(snapshot).toEqual(frozen);
    await expect((await start({ randomSeed: 5 })).session.restore(snapshot, driver.kernels)).rejects.toThrow(
      /another randomSeed/,
    );
    await expect((await start()).session.restore(snapshot, {})).rejects.toThrow(/expected its artifact/);
    const damaged = { ...snapshot, tensors: { ...snapshot.tensors } };
    delete damaged.tensors["host/h1/weight"];
    await expect((await start()).session.restore(damaged, driver.kernels)).rejects.toThrow(/host\/h1\/weight/);
  });
});

describe("a window that the stop flag ends", () => {
  const stopAfter = async (driver: Driver, work: Work, steps: number) => {
    const plan = driver.plan(work);
    const learnerSteps = driver.table;
    // The flag is raised from within, as a command would: by whoever sees the step counter pass.
    let stopped = false;
    Object.defineProperty(learnerSteps, "windowStep", {
      configurable: true,
      set: (value: number) => {
        if (value >= steps && !stopped) {
          stopped = true;
          driver.table.stopRequested = true;
        }
      },
    });
    const result = await driver.session.run(plan, driver.kernels);
    driver.table.stopRequested = false;
    return { plan, result };
  };

  it.each<Work>([
    { kind: "host", steps: 20 },
    { kind: "train_kernel", seedId, steps: 20 },
    { kind: "graft", seedId, steps: 20, progressFrom: 0, progressTo: 1 },
    { kind: "stabilize", seedId, steps: 20 },
    { kind: "fine_tune", seedId, steps: 20 },
  ])("K5: $kind stops after a whole step and continues bit-equal, also in a fresh session", async (work) => {
    const prepare = async () => {
      const driver = await untouched(20);
      if (work.kind !== "host") await driver.load();
      return driver;
    };
    const [driver, reference] = [await prepare(), await prepare()];
    const { plan, result } = await stopAfter(driver, work, 7);
    expect(result).toMatchObject({ interrupted: true, steps: 7, epoch: plan.epoch });
    expect(EpochResult.parse(result)).toEqual(result);
    expect(driver.session.status.epoch).toBe(plan.epoch - 1);

    const resumed = await start();
    await resumed.session.restore(driver.session.snapshot(), driver.kernels);
    const whole = await reference.session.run(plan, reference.kernels);
    for (const { session } of [driver, resumed]) {
      const continued = await session.run(plan, driver.kernels);
      expect({ ...continued, durationMs: 0 }).toEqual({ ...whole, durationMs: 0 });
      expect(session.snapshot().tensors).toEqual(reference.session.snapshot().tensors);
    }
  });

  it("K5: another plan closes it, and an unfinished contest leaves the host as it was", async () => {
    const driver = await untouched(20);
    await driver.load();
    await stopAfter(driver, { kind: "fine_tune", seedId, steps: 20 }, 7);
    await driver.host(10, [driver.discard("twin")]);
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(30)).session));
  });
});

describe("rollback", () => {
  it("K3: a loss that is not finite is an anomaly at once, and rolling back restores the last good host bit for bit", async () => {
    // Plain SGD with a learning rate that cannot work explodes within a few steps.
    const optimizer = { kind: "sgd", learningRate: 1e30, momentum: 0.9, weightDecay: 0, clipNorm: 0 } as const;
    const driver = await start({ optimizer, warmupSteps: 0 });
    const before = fingerprint(driver.session);
    const bad = await driver.host();
    expect(bad.anomalies[0]?.kind).toMatch(/^non_finite/);
    expect(bad.steps).toBeLessThan(20);
    expect(bad.validation).toBeUndefined();
    expect(EpochResult.parse(bad)).toEqual(bad);
    expect(fingerprint(driver.session)).not.toEqual(before);
    const spent = driver.session.status.flops.total;

    const resumed = await start({ optimizer, warmupSteps: 0 });
    await resumed.session.restore(driver.session.snapshot(), {});
    for (const { session } of [driver, resumed]) {
      const plan = {
        ...driver.plan({ kind: "load", seedId }),
        epoch: 2,
        before: [{ kind: "rollback" as const, reason: "anomaly" }],
      };
      await session.run(plan, {});
      expect(fingerprint(session)).toEqual(before);
      expect(session.status.flops.total).toBe(spent);
    }
  });

  it("K3: in the middle of a trial it takes the trial away and leaves the host as it was frozen", async () => {
    const driver = await untouched(40);
    await driver.trial("fine_tune");
    await driver.host(20, [{ kind: "rollback", seedId, reason: "test" }]);
    expect(driver.session.snapshot().state.trial).toBeUndefined();
    expect(fingerprint(driver.session)).toEqual(fingerprint((await untouched(60)).session));
  });

  it("a kernel that explodes is told as not finite, and the host is untouched", async () => {
    const morphogenetic = { ...spec.morphogenetic, kernelLearningRateScale: 1e35 };
    const driver = await untouched(20, { morphogenetic });
    const before = fingerprint(driver.session);
    const { kernel } = await driver.trial("train_kernel");
    expect(kernel).toMatchObject({ kind: "trained", finite: false });
    expect(kernel).not.toHaveProperty("gain");
    expect(fingerprint(driver.session)).toEqual(before);
  });
});
