/** Approvals and learning's limits as pure rules. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ControlConfig } from "../../src/contracts/config.ts";
import type { ApprovalRecord, LearningChange } from "../../src/contracts/governance.ts";
import { approvalAt, approversOf, rule } from "../../src/machines/approvals.ts";
import { askToLearn, dayMs, learningStanding, type Now, rebased } from "../../src/machines/learning.ts";

const { rules } = ControlConfig.parse({
  approvals: {
    rules: [
      { commands: ["germinate"], from: ["developer"], by: ["operator"] },
      { commands: ["germinate", "stop"], from: ["developer", "operator"], by: ["admin", "operator"] },
    ],
  },
}).approvals;
const record: ApprovalRecord = {
  by: { principal: "dee", role: "developer", transport: "nats" },
  command: { kind: "stop", requestId: "s", reason: "x" },
  approvers: ["admin", "operator"],
  state: "waiting",
  createdAtMs: 0,
  expiresAtMs: 1_000,
};
const word = (verdict: "approved" | "vetoed", role: "admin" | "operator" | "developer", principal: string, nowMs = 10) =>
  ({ verdict, by: { principal, role, transport: "nats" }, reason: "y", nowMs, rememberedMs: 500 }) as const;
const outcome = (before: ApprovalRecord, given: Parameters<typeof rule>[1]) => {
  const ruling = rule(before, given);
  return ruling.kind === "ruled" ? ruling.record.state : ruling.code;
};

describe("approvals", () => {
  it("A1 the first rule that fits says who; approving itself can never be held back", () => {
    expect(approversOf(rules, "germinate", "developer")).toEqual(["operator"]);
    expect(approversOf(rules, "germinate", "operator")).toEqual(["admin", "operator"]);
    expect(approversOf(rules, "germinate", "admin")).toBeUndefined();
    expect(approversOf(rules, "pause", "developer")).toBeUndefined();
    for (const kind of ["approve", "veto", "status"]) {
      const asked = { approvals: { rules: [{ commands: [kind], from: ["operator"], by: ["admin"] }] } };
      expect(ControlConfig.safeParse(asked).success, kind).toBe(false);
    }
  });

  it("A2 a role that the rule does not name, and the one who asked, may not; they may veto their own", () => {
    expect(outcome(record, word("approved", "developer", "dan"))).toBe("forbidden");
    const own: ApprovalRecord = { ...record, by: { principal: "opa", role: "operator", transport: "nats" } };
    expect(outcome(own, word("approved", "operator", "opa"))).toBe("forbidden");
    expect(outcome(own, word("vetoed", "operator", "opa"))).toBe("vetoed");
    expect(outcome(own, word("approved", "operator", "ola"))).toBe("approved");
  });

  it("A3 is decided once, expires at its time, and passes again only while receipts are remembered", () => {
    expect(outcome(record, word("approved", "admin", "ada", 999))).toBe("approved");
    expect(outcome(record, word("approved", "admin", "ada", 1_000))).toBe("expired");
    expect(approvalAt(record, 1_000).state).toBe("expired");
    const approved = rule(record, word("approved", "admin", "ada", 10));
    if (approved.kind !== "ruled") throw new Error(approved.reason);
    expect(outcome(approved.record, word("approved", "admin", "ada", 509))).toBe("approved");
    expect(outcome(approved.record, word("approved", "admin", "ada", 510))).toBe("expired");
    expect(outcome(approved.record, word("vetoed", "admin", "ada", 20))).toBe("illegal_transition");
    const vetoed = rule(record, word("vetoed", "admin", "ada"));
    if (vetoed.kind !== "ruled") throw new Error(vetoed.reason);
    expect(outcome(vetoed.record, word("approved", "operator", "opa"))).toBe("vetoed");
  });
});

const limits = { changesPerDayMax: 3, cooldownMs: 3_600_000 };

describe("learning", () => {
  it("N1 at most so many in 24 hours, a cooldown between two, whenever it asks and however often it is restarted", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: dayMs / 4 }), fc.boolean()), { maxLength: 60 }), (asks) => {
        let madeAt = new Map<string, number>();
        const changes: LearningChange[] = [];
        let wallMs = 1e12;
        let monotonicMs = 0;
        for (const [i, [pauseMs, restarts]] of asks.entries()) {
          wallMs += pauseMs;
          monotonicMs += pauseMs;
          if (restarts) {
            madeAt = new Map();
            monotonicMs = 0;
          }
          const asked = { requestId: `c${i}`, change: "x", principal: "simic" };
          const verdict = askToLearn(changes, asked, { wallMs, monotonicMs, madeAt }, limits);
          if (verdict.kind === "refused") continue;
          changes.push(verdict.change);
          madeAt.set(asked.requestId, monotonicMs);
        }
        const times = changes.map(({ atMs }) => atMs);
        for (const [i, time] of times.entries()) {
          expect(times.filter((other) => other >= time && other < time + dayMs).length).toBeLessThanOrEqual(3);
          if (i > 0) expect(time - times[i - 1]!).toBeGreaterThanOrEqual(limits.cooldownMs);
        }
      }),
      { numRuns: 200 },
    );
  });

  const at = (wallMs: number, monotonicMs = 0, madeAt: Now["madeAt"] = new Map()): Now => ({ wallMs, monotonicMs, madeAt });
  const made = (atMs: number): LearningChange => ({ requestId: "c", change: "x", principal: "simic", atMs });
  const ask = { requestId: "d", change: "y", principal: "simic" };

  it("N2 a clock that was set back frees nothing and blocks no longer than the limits do", () => {
    const [ahead] = rebased([made(10 * dayMs)], at(dayMs));
    expect(ahead).toMatchObject({ atMs: dayMs });
    expect(askToLearn([ahead!], ask, at(dayMs), limits).kind).toBe("refused");
    expect(askToLearn([ahead!], ask, at(dayMs + limits.cooldownMs), limits).kind).toBe("granted");
    expect(rebased([made(dayMs)], at(dayMs))).toEqual([]);
  });

  it("N3 a clock that is set forward frees nothing while the process lives", () => {
    const forward = at(50 * dayMs, 1_000, new Map([["c", 0]]));
    expect(askToLearn([made(dayMs)], ask, forward, limits).kind).toBe("refused");
    expect(askToLearn([made(dayMs)], ask, at(50 * dayMs, 3_600_000, new Map([["c", 0]])), limits).kind).toBe("granted");
  });

  it("N4 the same request is the same change; the standing tells what is left, and none at a limit of 0", () => {
    expect(askToLearn([made(dayMs)], { ...ask, requestId: "c" }, at(dayMs), limits)).toMatchObject({
      kind: "granted",
      known: true,
    });
    expect(learningStanding([made(dayMs)], at(dayMs + 1_000), limits)).toMatchObject({
      changesToday: 1,
      nextAtMs: dayMs + limits.cooldownMs,
      recent: [{ requestId: "c" }],
    });
    expect(askToLearn([], ask, at(0), { changesPerDayMax: 0, cooldownMs: 0 }).kind).toBe("refused");
  });
});
