/** Acceptance predicates: every one must hold, and what was not measured holds nothing. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AcceptancePredicate, taskMetrics } from "../../src/contracts/work.ts";
import { judgeResult, measurementsOfCharacterization, measurementsOfKernel } from "../../src/policy/acceptance.ts";
import { tags } from "../store/support.ts";

const metric = fc.constantFrom(...taskMetrics);
const value = fc.double({ noNaN: true, noDefaultInfinity: true });
const predicate: fc.Arbitrary<AcceptancePredicate> = fc.record({ metric, op: fc.constantFrom("<=", ">=", "=="), value });
const measurements = fc.dictionary(metric, value);

const byHand = {
  "<=": (a: number, b: number) => a <= b,
  ">=": (a: number, b: number) => a >= b,
  "==": (a: number, b: number) => a === b,
};

describe("acceptance", () => {
  it("holds exactly when every predicate holds on a measured number", () => {
    fc.assert(
      fc.property(fc.array(predicate, { maxLength: 8 }), measurements, (predicates, measured) => {
        const every = predicates.every(({ metric, op, value }) => {
          const found = measured[metric];
          return found !== undefined && byHand[op](found, value);
        });
        expect(judgeResult(predicates, measured).kind).toBe(every ? "accepted" : "refused");
      }),
    );
  });

  it("a metric that was not measured, or is no number, fails whatever is asked of it", () => {
    fc.assert(
      fc.property(predicate, fc.constantFrom(undefined, Number.NaN, Number.POSITIVE_INFINITY), (asked, found) => {
        const measured = found === undefined ? {} : { [asked.metric]: found };
        expect(judgeResult([asked], measured)).toEqual({ kind: "refused", reason: expect.stringMatching(/was not measured/) });
      }),
    );
  });

  it("names the predicate, and what was found", () => {
    const asked = [{ metric: "compileMs", op: "<=", value: 100 }] as const;
    const reason = "acceptance: expected compileMs <= 100, found 101";
    expect(judgeResult(asked, { compileMs: 101 })).toEqual({ kind: "refused", reason });
  });

  it("reads what Tezzeret and Urabrask tell; without a measurement there is nothing", () => {
    const ready = {
      kind: "ready",
      taskId: "t",
      runId: "r-1",
      seedId: "seed:h1",
      keyHash: "a".repeat(64),
      kernelHash: "b".repeat(64),
      blueprintHash: "c".repeat(64),
      parameters: 7,
      flops: {},
      compileMs: 3,
    } as const;
    expect(measurementsOfKernel(ready)).toEqual({ parameters: 7, compileMs: 3 });
    const { measured } = tags();
    expect(measurementsOfCharacterization(measured)).toMatchObject({
      memoryBytes: measured?.memoryBytes,
      "stability.steps": measured?.stability.steps,
      "latency.kernelStep.medianMs": measured?.latency.kernelStep.medianMs,
    });
    expect(measurementsOfCharacterization(undefined)).toEqual({});
  });
});
