/** What Kasmina does about what she missed, when a kernel is taken, and how often the signal is measured. */
import { describe, expect, test } from "vitest";
import { createRunState, decideBoundary, type KasminaRunState } from "../../src/machines/boundary.ts";
import { recover, unansweredCompilation } from "../../src/machines/recovery.ts";
import { drive, germinate } from "./driver.ts";
import { characterized, config, host, laneResult, ready, setup, signal } from "./fixtures.ts";

const started = (): KasminaRunState => {
  const decided = decideBoundary(createRunState(setup, host), {
    nowEpoch: 0,
    host,
    compilations: [],
    characterizations: [characterized],
  });
  if (decided.kind !== "decided") throw new Error(decided.kind);
  return decided.state;
};

describe("recover", () => {
  const state = started();
  const plan = state.plan!;
  const hostResult = (epoch: number) => laneResult({ ...plan, epoch, measureSignal: false }, undefined);

  test("a lane that trained host windows by itself is taken up where it stands", () => {
    const result = hostResult(4);
    const recovery = recover(state, { nowEpoch: 4, result });
    if (recovery.kind !== "ahead") throw new Error(recovery.kind);
    expect(recovery.state.plan).toMatchObject({ epoch: 4, work: { kind: "host" }, measureSignal: false });
    const decided = decideBoundary(recovery.state, {
      nowEpoch: 4,
      host,
      result,
      compilations: [],
      characterizations: [characterized],
    });
    expect(decided).toMatchObject({ kind: "decided", reply: { kind: "run", plan: { epoch: 5 } } });
  });

  test("in step: the planned window, the same question again, a plan that owes the lane something", () => {
    expect(recover(state, { nowEpoch: plan.epoch, result: hostResult(plan.epoch) }).kind).toBe("in_step");
    expect(recover(state, { nowEpoch: 0 }).kind).toBe("in_step");
    const owing: KasminaRunState = { ...state, plan: { ...plan, before: [{ kind: "rollback", reason: "x" }] } };
    expect(recover(owing, { nowEpoch: 4, result: hostResult(4) }).kind).toBe("in_step");
  });

  test("a kernel's loading that was never heard of is planned again for the next window", () => {
    const loading: KasminaRunState = { ...state, plan: { ...plan, work: { kind: "load", seedId: "seed:h2" } } };
    const recovery = recover(loading, { nowEpoch: plan.epoch, result: hostResult(plan.epoch) });
    expect(recovery).toMatchObject({
      kind: "postponed",
      plan: { epoch: plan.epoch + 1, work: { kind: "load", seedId: "seed:h2" } },
      state: { epoch: plan.epoch },
    });
  });

  test("a stop that was not heard is said again", () => {
    const stopped: KasminaRunState = { ...state, plan: null, stopReason: "seen enough" };
    expect(recover(stopped, { nowEpoch: 1, result: hostResult(1) })).toEqual({ kind: "stopped", reason: "seen enough" });
  });
});

describe("unansweredCompilation", () => {
  test("names the compilation that the seed waits for, the same each time; none before and none after", () => {
    const run = drive(4, { commands: { 1: [germinate] }, setup: { ...setup, config: { ...config, kernelLeadEpochs: 50 } } });
    const asked = run.boundaries.flatMap(({ submissions }) => submissions);
    expect(asked).toHaveLength(1);
    expect(unansweredCompilation(run.boundaries[0]!.state)).toBeUndefined();
    for (const { state } of run.boundaries.slice(1)) expect(unansweredCompilation(state)).toEqual(asked[0]);
    const loaded = drive(4, { commands: { 1: [germinate] } });
    expect(unansweredCompilation(loaded.boundaries.at(-1)!.state)).toBeUndefined();
  });
});

describe("B6 the kernel waits for its window", () => {
  test.each([0, 1, 3, 5])("a kernel that is ready at once is taken %i windows after the germination", (kernelLeadEpochs) => {
    const lead = { ...setup, config: { ...config, kernelLeadEpochs } };
    let state = createRunState(lead, host);
    let result = undefined as ReturnType<typeof laneResult> | undefined;
    const seen: Record<string, number> = {};
    for (let epoch = 0; epoch < 10; epoch += 1) {
      if (epoch === 1) state = { ...state, pending: [germinate], germinations: 1 };
      const decided = decideBoundary(state, {
        nowEpoch: epoch,
        host,
        result,
        compilations: epoch >= 1 ? [ready()] : [],
        characterizations: [characterized],
      });
      if (decided.kind !== "decided" || decided.reply.kind !== "run") throw new Error(JSON.stringify(decided));
      for (const { to } of decided.transitions) seen[to] ??= epoch;
      state = decided.state;
      result = laneResult(decided.reply.plan, result);
    }
    expect(seen["GERMINATED"]).toBe(1);
    // With no lead the kernel comes at the first boundary after the germination.
    expect(seen["LOADING"]).toBe(1 + Math.max(1, kernelLeadEpochs));
  });
});

describe("the signal's cadence", () => {
  /** `windows`: what one measurement costs, in windows of the host. */
  const run = (everyEpochs: number, warmupSteps: number, gapAt: (epoch: number) => number, windows = 0): number[] => {
    let state = createRunState({ ...setup, config: { ...config, signal: { ...config.signal, everyEpochs, warmupSteps } } }, host);
    let result = undefined as ReturnType<typeof laneResult> | undefined;
    const measured: number[] = [];
    for (let epoch = 0; epoch < 16; epoch += 1) {
      const decided = decideBoundary(state, {
        nowEpoch: epoch,
        host,
        result,
        compilations: [],
        characterizations: [characterized],
      });
      if (decided.kind !== "decided" || decided.reply.kind !== "run") throw new Error(JSON.stringify(decided));
      const { plan } = decided.reply;
      state = decided.state;
      if (plan.measureSignal) measured.push(plan.epoch);
      const change = plan.measureSignal ? { signal: signal({ h1: gapAt(plan.epoch), h2: 0, h3: 0 }) } : {};
      const plain = laneResult(plan, result, { change });
      const cost = plan.measureSignal ? windows * (plain.flops.total - (result?.flops.total ?? 0)) : 0;
      result = { ...plain, flops: { ...plain.flops, signal: plain.flops.signal + cost, total: plain.flops.total + cost } };
    }
    return measured;
  };

  test("as soon as the warm-up is over, then every so many windows while no layer is named", () => {
    expect(run(4, 20, () => 0)).toEqual([2, 6, 10, 14]);
    expect(run(4, 60, () => 0)).toEqual([6, 10, 14]);
  });

  test("less often where that would cost more than its share", () => {
    expect(run(4, 20, () => 0, 0.12)).toEqual([2, 6, 10, 14]);
    // A quarter of a window over a share of 4 %: seven windows have to be done before the next.
    expect(run(4, 20, () => 0, 0.25)).toEqual([2, 10]);
    expect(run(4, 20, () => 0, 100)).toEqual([2]);
  });

  test("in the window after one that named a candidate, until the checks are done, and back to the cadence then", () => {
    expect(run(4, 20, (epoch) => (epoch === 6 ? 0.5 : 0))).toEqual([2, 6, 7, 11, 15]);
    expect(run(4, 20, () => 0.5)).toEqual([2, 3, 7, 8, 12, 13]);
    expect(run(4, 20, () => 0.5, 100)).toEqual([2, 3]);
  });

  test("never for an arm without growth", () => {
    let state = createRunState({ ...setup, growth: false }, host);
    for (let epoch = 0; epoch < 8; epoch += 1) {
      const decided = decideBoundary(state, { nowEpoch: epoch, host, compilations: [], characterizations: [characterized] });
      if (decided.kind !== "decided" || decided.reply.kind !== "run") throw new Error(JSON.stringify(decided));
      expect(decided.reply.plan.measureSignal).toBe(false);
      state = decided.state;
    }
  });
});
