/** How questions to the operator and what Urabrask measured look in the terminal. */
import { describe, expect, it } from "vitest";
import { createColors } from "../../src/cli/view/colors.ts";
import { formatMessage } from "../../src/cli/view/format-message.ts";
import type { ViewMessage } from "../../src/cli/view/message.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import { characterized, split } from "../machines/fixtures.ts";

const lines = (message: ViewMessage, verbose = false): string[] =>
  formatMessage(message, new Map(), new Map(), {
    colors: createColors(false),
    morphogenetic: MorphogeneticConfig.parse({}),
    task: "classification",
    verbose,
  });
const at = { runId: "r-1", seedId: "seed:h2", epoch: 7 };

describe("an escalation", () => {
  it("shows the votes and how to answer, then who settled it", () => {
    const told = lines({
      subject: "system.events.escalation",
      payload: { kind: "opened", ...at, reason: "the jury is split", judgements: split, windowsLeft: 1, otherwise: "cull" },
    });
    expect(told.join("\n")).toContain("the jury is split");
    expect(told.join("\n")).toMatch(/jury loss keep \(.*\), accuracy cull/);
    expect(told.join("\n")).toContain("esper ctl resolve --seed seed:h2 --verdict keep|cull");
    expect(
      lines({
        subject: "system.events.escalation",
        payload: { kind: "settled", ...at, reason: "the operator: seen", verdict: "keep", by: "operator" },
      }),
    ).toEqual([expect.stringMatching(/seed:h2 settled by operator: keep; the operator: seen$/)]);
  });
});

describe("a characterisation", () => {
  const message = (payload: typeof characterized): ViewMessage => ({
    subject: "validation.kernel.characterized",
    payload: { taskId: "task-1", runId: "r-1", seedId: "seed:h2", characterized: payload },
  });

  it("shows the tags, the numbers when asked for, and a problem as one", () => {
    expect(lines(message(characterized))).toEqual([expect.stringMatching(/kernel aaaaaaaaaaaa of seed:h2: stable$/)]);
    expect(lines(message(characterized), true)[1]).toMatch(/step 1\.00 ms \(99 %: 2\.00\), the host's own 1\.00 ms/);
    const { measured: _, ...bare } = characterized;
    expect(lines(message({ ...bare, problem: "the forge lane was lost" }))).toEqual([
      expect.stringMatching(/could not be measured: the forge lane was lost$/),
    ]);
  });
});

describe("a breaker", () => {
  it("is told with both states and the reason", () => {
    const payload = { name: "lane.forge", from: "CLOSED", to: "OPEN", reason: "the forge lane was lost", atMs: 1 } as const;
    expect(lines({ subject: "system.events.breaker", payload })).toEqual([
      "breaker    lane.forge CLOSED → OPEN: the forge lane was lost",
    ]);
  });
});
