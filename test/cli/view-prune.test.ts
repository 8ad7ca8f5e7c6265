/** What a person sees of a pruning: Emrakul by her own name, and her accepted commands once. */
import { describe, expect, test } from "vitest";
import { createColors } from "../../src/cli/view/colors.ts";
import { formatMessage } from "../../src/cli/view/format-message.ts";
import type { Decision } from "../../src/contracts/commands.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";

const options = {
  colors: createColors(false),
  morphogenetic: MorphogeneticConfig.parse({}),
  task: "classification",
  verbose: false,
} as const;
const none = new Map();

const decided = (change: Partial<Decision>): string[] => {
  const payload: Decision = {
    runId: "r-1",
    epoch: 8,
    rule: "the rule",
    outcome: "wait",
    reason: "for the test",
    latencyMs: 1,
    ...change,
  };
  return formatMessage({ subject: "system.events.decision", payload }, none, none, options);
};

describe("a pruning in the terminal", () => {
  test("Emrakul's decision has her name and the site; Tamiyo's has hers", () => {
    const pruned = decided({ by: "emrakul", outcome: "prune", site: "h2", reason: "8 units of h2" });
    expect(pruned).toEqual([expect.stringMatching(/ Emrakul prune h2: 8 units of h2 \(rule the rule, 1\.00 ms\)$/)]);
    expect(decided({ by: "emrakul", outcome: "refused" })[0]).toMatch(/ Emrakul refused: /);
    expect(decided({ outcome: "refused" })[0]).toMatch(/ Tamiyo refused: /);
  });

  test("her accepted command is told by her decision, an operator's and a refused one by themselves", () => {
    const told = (sender: string, kind: "accepted" | "refused"): string[] => {
      const requestId = "p1";
      const command = { kind: "germinate", requestId, seedId: "seed:h2.prune", reason: "for the test" } as const;
      const receipt =
        kind === "accepted"
          ? ({ kind, requestId, runId: "r-1", appliesAtEpoch: 9, detail: "germinate" } as const)
          : ({ kind, requestId, code: "lock_held", reason: "seed:h1 holds the lock" } as const);
      return formatMessage({ subject: "system.events.command", payload: { command, sender, receipt } }, none, none, options);
    };
    expect(told("emrakul", "accepted")).toEqual([]);
    expect(told("emrakul", "refused")).toHaveLength(1);
    expect(told("operator", "accepted")).toHaveLength(1);
  });
});
