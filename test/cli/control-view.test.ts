/** Budgets, escalations, approvals and learning's standing as people read them. */
import { expect, test } from "vitest";
import { formatAnswer } from "../../src/cli/view/format-control.ts";

const requestId = "q";

test("a budget is a table of its resources; what is not limited is not guessed", () => {
  const lines = formatAnswer({
    kind: "budget",
    requestId,
    runId: "r-1",
    standing: { limits: { parameters: 1000 }, used: { parameters: 200 }, reserved: { "seed:h2": { parameters: 100 } } },
    left: { parameters: 700 },
  });
  expect(lines[0]).toBe("budget of run r-1");
  expect(lines[2]!.split(/\s{2,}/)).toEqual(["parameters", expect.stringMatching(/^1/), "200", "100", "700"]);
  expect(lines[4]).toMatch(/^seconds/);
  expect(lines[4]).not.toMatch(/\d{2}/);
});

test("what waits names who may approve and until when; what was decided, by whom", () => {
  const approval = {
    requestId: "g",
    kind: "germinate",
    command: "{}",
    principal: "developer",
    role: "developer",
    approvers: ["admin", "operator"],
    createdAtMs: 0,
    expiresAtMs: 1_000,
  };
  const lines = formatAnswer({
    kind: "approvals",
    requestId,
    approvals: [
      { ...approval, state: "waiting" },
      { ...approval, requestId: "h", state: "vetoed", decidedBy: "ada", reason: "no" },
    ],
  });
  expect(lines[1]).toBe("g from developer: waits for admin or operator until 1970-01-01T00:00:01.000Z; {}");
  expect(lines[2]).toBe("h from developer: vetoed by ada (no); {}");
  expect(
    formatAnswer({ kind: "held", requestId: "g", expiresAtMs: 1_000, approvers: ["admin"], detail: "germinate waits" }),
  ).toEqual(["held: germinate waits; admin may approve it until 1970-01-01T00:00:01.000Z"]);
});

test("escalations and learning", () => {
  expect(
    formatAnswer({
      kind: "escalations",
      requestId,
      runId: "r-1",
      escalations: [{ seedId: "seed:h2", sinceEpoch: 3, reason: "split", windowsLeft: 2, otherwise: "cull" }],
    }),
  ).toEqual(["1 open escalations in run r-1", "seed:h2, since window 3: split; 2 windows left, then cull"]);
  const learning = {
    changesToday: 1,
    changesPerDayMax: 3,
    nextAtMs: 2_000,
    recent: [{ requestId: "c", change: "policy 2", principal: "admin", atMs: 1_000 }],
  };
  expect(formatAnswer({ kind: "governance", requestId, learning })).toEqual([
    "learning: 1 of 3 changes today",
    "the next change may be asked for from 1970-01-01T00:00:02.000Z on",
    "1970-01-01T00:00:01.000Z c from admin: policy 2",
  ]);
});
