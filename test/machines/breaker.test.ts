/** The breaker against a model in plain arithmetic, and each of its rules by itself. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BreakerConfig } from "../../src/contracts/config-calls.ts";
import {
  type BreakerMachineEvent,
  type BreakerSnapshot,
  retryAfterMs,
  startBreaker,
  stepBreaker,
} from "../../src/machines/breaker.ts";

const config = BreakerConfig.parse({ failuresMax: 3, windowMs: 100, recoveryMs: 50, probesMax: 2, successesMin: 2 });
const go = (events: readonly BreakerMachineEvent[], from: BreakerSnapshot = startBreaker(config)): BreakerSnapshot =>
  events.reduce((snapshot, event) => stepBreaker(snapshot, event).snapshot, from);
const fail = (atMs: number, period = 0): BreakerMachineEvent => ({ type: "FAIL", atMs, period, reason: `down at ${atMs}` });
const succeed = (atMs: number, period: number): BreakerMachineEvent => ({ type: "SUCCEED", atMs, period });
const admit = (atMs: number): BreakerMachineEvent => ({ type: "ADMIT", atMs });
const passes = (snapshot: BreakerSnapshot, atMs: number): boolean => stepBreaker(snapshot, admit(atMs)).kind === "moved";

describe("breaker", () => {
  test("B2 opens at the last failure allowed within the window; failures that left it do not count", () => {
    expect(go([fail(0), fail(10)]).value).toBe("CLOSED");
    const open = go([fail(0), fail(10), fail(99)]);
    expect([open.value, open.context.reason]).toEqual(["OPEN", "down at 99"]);
    expect(go([fail(0), fail(10), fail(100)]).value).toBe("CLOSED");
    expect(go([fail(0), fail(10), fail(100), fail(109)]).value).toBe("OPEN");
  });

  test("B3 nothing passes before the recovery time is over, and then one does", () => {
    const open = go([fail(0), fail(0), fail(0)]);
    expect([passes(open, 0), passes(open, 49), passes(open, 50)]).toEqual([false, false, true]);
    expect([retryAfterMs(open, 10), retryAfterMs(open, 60), retryAfterMs(startBreaker(config), 0)]).toEqual([40, 0, 0]);
  });

  test("B1 half open, as many probes pass at a time as allowed; one given up makes room", () => {
    const one = go([fail(0), fail(0), fail(0), admit(50)]);
    const two = go([admit(51)], one);
    expect([one.value, passes(one, 51), passes(two, 52)]).toEqual(["HALF_OPEN", true, false]);
    const { period } = two.context;
    expect(passes(go([{ type: "CANCEL", atMs: 53, period }], two), 54)).toBe(true);
  });

  test("B5 enough probes close it with no failure remembered; one that fails opens it for the whole recovery time", () => {
    const half = go([fail(0), fail(0), fail(0), admit(50), admit(51)]);
    const { period } = half.context;
    const closed = go([succeed(52, period), succeed(53, period)], half);
    expect([closed.value, closed.context.failuresAtMs]).toEqual(["CLOSED", []]);
    const again = go([succeed(52, period), fail(60, period)], half);
    expect([again.value, passes(again, 109), passes(again, 110)]).toEqual(["OPEN", false, true]);
  });

  test("B4 the outcome of a call from an earlier period counts for nothing", () => {
    const half = go([fail(0), fail(0), fail(0), admit(50)]);
    for (const late of [fail(51), succeed(51, 0), { type: "CANCEL", atMs: 51, period: 0 } as const])
      expect(stepBreaker(half, late)).toEqual({ kind: "stayed", snapshot: half });
  });

  test("B1 to B5 hold over random histories, as a model in plain arithmetic has it", () => {
    const action = fc.record({
      kind: fc.constantFrom("admit", "succeed", "fail", "cancel"),
      waitMs: fc.integer({ min: 0, max: 60 }),
      which: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        let snapshot = startBreaker(config);
        let atMs = 0;
        /** Periods in which the calls under way were admitted. */
        const calls: number[] = [];
        const model = { state: "CLOSED", failures: [] as number[], openedAtMs: 0, period: 0, probes: 0, good: 0 };
        const change = (state: string): void => {
          Object.assign(model, { state, failures: [], probes: 0, good: 0, period: model.period + 1 });
          if (state === "OPEN") model.openedAtMs = atMs;
        };
        for (const { kind, waitMs, which } of actions) {
          atMs += waitMs;
          if (kind === "admit") {
            if (model.state === "OPEN" && atMs - model.openedAtMs >= config.recoveryMs) change("HALF_OPEN");
            const expected = model.state === "CLOSED" || (model.state === "HALF_OPEN" && model.probes < config.probesMax);
            if (expected && model.state === "HALF_OPEN") model.probes += 1;
            const step = stepBreaker(snapshot, admit(atMs));
            expect(step.kind === "moved").toBe(expected);
            snapshot = step.snapshot;
            if (expected) calls.push(snapshot.context.period);
          } else {
            const [period] = calls.splice(which % Math.max(1, calls.length), 1);
            if (period === undefined) continue;
            const type = kind === "succeed" ? "SUCCEED" : kind === "fail" ? "FAIL" : "CANCEL";
            snapshot = stepBreaker(snapshot, { type, atMs, period, reason: "x" } as BreakerMachineEvent).snapshot;
            if (period !== model.period) continue;
            if (model.state === "HALF_OPEN") {
              model.probes -= 1;
              if (kind === "fail") change("OPEN");
              else if (kind === "succeed" && ++model.good >= config.successesMin) change("CLOSED");
            } else if (kind === "fail") {
              model.failures = [...model.failures.filter((each) => atMs - each < config.windowMs), atMs];
              if (model.failures.length >= config.failuresMax) change("OPEN");
            }
          }
          expect([snapshot.value, snapshot.context.period]).toEqual([model.state, model.period]);
          expect(snapshot.context.failuresAtMs.length).toBeLessThan(config.failuresMax);
        }
      }),
      { numRuns: 300 },
    );
  });
});
