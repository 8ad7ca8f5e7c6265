/** What a person sees of a run. */
import { describe, expect, test } from "vitest";
import { createColors, wantsColor } from "../../src/cli/view/colors.ts";
import { fitted, formatLive } from "../../src/cli/view/format-live.ts";
import { formatArmTable, formatReport, recoveredShare } from "../../src/cli/view/format-report.ts";
import { formatMeasurement, formatWay } from "../../src/cli/view/format-seed.ts";
import { formatEvidence, formatSeverityBar, formatSignal, formatSparkline } from "../../src/cli/view/format-signal.ts";
import { formatRunStatus } from "../../src/cli/view/format-status.ts";
import {
  formatBar,
  formatCount,
  formatLoss,
  formatPercent,
  formatScore,
  formatSeconds,
  formatSigned,
} from "../../src/cli/view/format-values.ts";
import { parseMessage } from "../../src/cli/view/message.ts";
import { applyMessage, historyMax, type RunStates } from "../../src/cli/view/run-state.ts";
import { createJsonView, createTerminalView, redrawHzMax } from "../../src/cli/view/terminal.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { collect } from "./context.ts";
import { decision, envelope, epoch, host, progress, report, signal, wholeRun } from "./samples.ts";

const plain = createColors(false);
/** Constants of its own: a better calibration changes no line here. */
const morphogenetic = MorphogeneticConfig.parse({
  signal: { warmupSteps: 200 },
  trigger: { gapMin: 0.03, gapShareMin: 0.3, boundErrors: 1.645, dimensionsMax: 3, weightGainMax: 10, checks: 2 },
  kernelLeadEpochs: 2,
});
const { trigger } = morphogenetic;
const shown = { colors: plain, morphogenetic, task: "classification" } as const;
const escapeCharacter = String.fromCharCode(27);

const showAll = (messages: readonly Envelope[], verbose = false): string => {
  const { stream, text } = collect();
  const view = createTerminalView({ stream, clock: createSimulatedClock(), ...shown, verbose });
  for (const message of messages) view.onMessage(message);
  view.close();
  return text();
};

describe("values", () => {
  test("what was not measured is a dash", () => {
    expect([
      formatCount(undefined),
      formatLoss(Number.NaN),
      formatPercent(undefined),
      formatSigned(undefined),
      formatSeconds(undefined),
    ]).toEqual(Array(5).fill("–"));
  });

  test("numbers have a unit", () => {
    expect([formatCount(999), formatCount(59_210), formatCount(2.2e10), formatCount(1.5e15)]).toEqual([
      "999",
      "59.2 k",
      "22.0 G",
      "1.50 P",
    ]);
    expect([formatSeconds(12.34), formatSeconds(185), formatPercent(0.9312, 2), formatSigned(-0.5)]).toEqual([
      "12.3 s",
      "3 min 05 s",
      "93.12 %",
      "−0.5000",
    ]);
    expect([formatBar(0.5, 4), formatBar(2, 4), formatBar(Number.NaN, 4)]).toEqual(["██░░", "████", "░░░░"]);
  });

  test("the severity's bar marks the threshold and never leaves its width", () => {
    expect(formatSeverityBar(0)).toBe("········│···········");
    expect(formatSeverityBar(1)).toBe("████████│···········");
    expect(formatSeverityBar(2)).toBe("████████│███████····");
    expect(formatSeverityBar(130)).toBe("████████│██████████▶");
    expect([formatSeverityBar(undefined), formatSeverityBar(Number.NaN)]).toEqual(Array(2).fill("········│···········"));
    expect(formatSparkline([undefined, 0, 1, 5])).toBe("▁▁▅█");
  });

  test("a layer is marked by what decides, not by its gap alone", () => {
    const known = { explainedIn: 0.5, explainedOut: 0.4, gap: 0.1, gapError: 0.02 };
    const layers = [
      // A gap far above `gapMin`, but less than `gapShareMin` of what the input explains.
      { site: "h1", ...known },
      { site: "h2", ...known, gap: 0, dimensionsIn: 16, dimensionsOut: 1 },
    ];
    const [first, second] = formatSignal(
      { samples: 1, errorPower: 1, trainLoss: 1, layers, spans: [] },
      trigger,
      new Map(),
      plain,
    );
    expect(first).toBe("h1 ████····│··········· severity  0.45, gap 0.1000 ± 0.0200  ");
    expect(second).toMatch(/^h2 █{8}│█{10}▶ severity {2}4.00, gap 0.0000 ± 0.0200, dimensions 16 → 1 .*holds the error back$/);
    expect(formatEvidence({ site: "h3", ...known, weightGain: 98.76 }, trigger)).toBe("gap 0.1000 ± 0.0200, weights × 98.8");
  });

  test("a regression is scored by R²", () => {
    expect([formatScore(0.5, "classification"), formatScore(0.5, "regression"), formatScore(undefined, "regression")]).toEqual([
      "50.00 %",
      "R² 0.5000",
      "–",
    ]);
    const last = wholeRun().at(-1)!;
    const { stream, text } = collect();
    const view = createTerminalView({ ...shown, task: "regression", stream, clock: createSimulatedClock(), verbose: false });
    view.onMessage(last);
    expect(text()).toContain("test R² 0.9312");
  });

  test("a run that ends before a trial can begin says so at once", () => {
    const [started] = wholeRun();
    const payload = started!.payload as object;
    const told = (over: object): string => showAll([{ ...started!, payload: { ...payload, ...over } }]);
    const needed = 200 + (2 + 2) * 98;
    expect(told({ hostSteps: needed })).toContain(`too short to grow: a trial begins after step ${needed} at the earliest`);
    expect(told({ hostSteps: needed + 1 })).not.toContain("too short");
    expect(told({ hostSteps: 10, arm: "no-growth" })).not.toContain("too short");
  });
});

describe("a run in a pipe", () => {
  test("tells everything once, as plain lines", () => {
    expect(showAll(wholeRun())).toMatchSnapshot();
  });

  test("T1: a message delivered twice is shown once", () => {
    const messages = wholeRun();
    expect(showAll(messages.flatMap((message) => [message, message]))).toBe(showAll(messages));
  });

  test("T3: no escape sequence", () => {
    expect(showAll(wholeRun(), true)).not.toContain(escapeCharacter);
  });

  test("waiting for the same reason is told once, and each time with --verbose", () => {
    const waits = [decision("no layer above 1", "wait"), decision("no layer above 1", "wait"), decision("embargo on h2", "wait")];
    expect(showAll(waits).trimEnd().split("\n")).toHaveLength(2);
    expect(showAll(waits, true).trimEnd().split("\n")).toHaveLength(3);
  });

  test("a wait for a kernel is told with its seconds and what is outstanding", () => {
    const wait = { kind: "waiting" as const, runId: "r-1", epoch: 4, seedId: "seed:h1", waitedMs: 3_230 };
    const told = (["compilation", "characterization"] as const).map((outstanding) =>
      envelope("system.events.run", { ...wait, outstanding }),
    );
    expect(showAll(told).trimEnd().split("\n")).toEqual([
      expect.stringMatching(/ waiting for the kernel of seed:h1, 3\.2 s: it is being compiled$/),
      expect.stringMatching(/ waiting for the kernel of seed:h1, 3\.2 s: it is being measured$/),
    ]);
  });

  test("T5: a message that cannot be read is left out, and told with --verbose", () => {
    const broken = { ...progress(1), payload: { nothing: true } };
    expect(showAll([broken])).toBe("");
    expect(showAll([broken, { ...broken, id: "other", subject: "no.such" }], true)).toMatch(
      /could not be read: telemetry.run.progress: .*\n.*unknown subject no.such/,
    );
  });

  test("a measurement that is absent fails its gate in words", () => {
    expect(formatMeasurement({ kind: "evaluated" }, plain)).toBe("counterfactual not measured: fails its gate");
    expect(formatMeasurement({ kind: "fine_tuned", finite: true, grownSteps: 1, twinSteps: 1 }, plain)).toBe(
      "verdict not measured: fails its gate",
    );
  });

  test("the seed's way", () => {
    expect(formatWay("TRAINING", plain)).toBe("dormant ▸ germinated ▸ loading ▸ [TRAINING] ▸ 5 to go");
    expect(formatWay("CULLED", plain)).toBe("[CULLED]");
    expect(formatWay("FOSSILIZED", plain)).toMatch(/▸ \[FOSSILIZED\]$/);
  });
});

describe("a run in a terminal", () => {
  const watch = () => {
    const clock = createSimulatedClock();
    const { stream, text } = collect(100);
    return { clock, text, view: createTerminalView({ ...shown, stream, clock, colors: createColors(true), verbose: false }) };
  };

  test("T2: many messages are one redraw", async () => {
    const { clock, text, view } = watch();
    for (let step = 0; step < 1000; step++) view.onMessage(progress(step));
    expect(text()).toBe("");
    expect(clock.pending()).toBe(1);
    await clock.advance(1000 / redrawHzMax);
    expect(text().match(/host \d+\/98/g)).toEqual(["host 999/98"]);
    expect(clock.pending()).toBe(0);
    view.close();
    view.close();
    await clock.advance(1000);
    expect(text()).not.toMatch(/\n\n/);
  });

  test("the live lines show budget, signal and seed of the arms that train", () => {
    const states = wholeRun()
      .slice(0, 6)
      .reduce<RunStates>((known, one) => {
        const parsed = parseMessage(one);
        return parsed.kind === "message" ? applyMessage(known, parsed.message) : known;
      }, new Map());
    expect(formatLive(states, { ...shown, trigger, columns: 120, rows: 30 })).toMatchSnapshot();
    expect(
      formatLive(states, { ...shown, trigger, columns: 40, rows: 3 })
        .split("\n")
        .map((line) => line.length),
    ).toEqual([40, 38]);
  });

  test("a finished arm is drawn no more", () => {
    const states = wholeRun().reduce<RunStates>((known, one) => {
      const parsed = parseMessage(one);
      return parsed.kind === "message" ? applyMessage(known, parsed.message) : known;
    }, new Map());
    expect(formatLive(states, { ...shown, trigger, columns: 120, rows: 30 })).toBe("");
  });

  test("V1: a history of measurements is bounded", () => {
    let states: RunStates = new Map();
    for (let number = 1; number <= historyMax + 1; number++) {
      const parsed = parseMessage(epoch(number, { signal }));
      if (parsed.kind === "message") states = applyMessage(states, parsed.message);
    }
    expect(states.get("r-1-grown")?.layers.get("h2")).toHaveLength(historyMax);
  });

  test("a line that is too long is cut without half an escape sequence", () => {
    const line = createColors(true).red("x".repeat(50));
    expect(fitted(line, 10)).toBe(`${"x".repeat(9)}…`);
    expect(fitted(line, 50)).toBe(line);
  });
});

describe("the end", () => {
  test("the report's table and where everything lies", () => {
    expect(formatReport(report, "report.json", plain, "classification").join("\n")).toMatchSnapshot();
  });

  test("what was won back needs all three arms and a damage that cost something", () => {
    expect(recoveredShare(report)).toBeCloseTo((0.93 - 0.65) / (0.97 - 0.65), 12);
    expect(recoveredShare({ ...report, arms: report.arms.slice(0, 2) })).toBeUndefined();
    expect(recoveredShare({ ...report, arms: report.arms.map((arm) => ({ ...arm, testAccuracy: 0.9 })) })).toBeUndefined();
  });

  test("an arm that failed says so and keeps its dashes", () => {
    const [first] = report.arms;
    const { testAccuracy: _, ...rest } = first!;
    const text = formatArmTable([{ ...rest, outcome: "failed" }], "classification");
    expect(text).toMatch(/no-growth \(failed\).*–/);
  });

  test("a run's status lists seeds at work first", () => {
    const seed = { site: "h1", sinceEpoch: 0, reason: "new", embargoUntilEpoch: 0, alpha: 0 };
    const lines = formatRunStatus({
      runId: "r-1",
      arm: "grown",
      epoch: 4,
      paused: true,
      host,
      seeds: [
        { ...seed, seedId: "seed:h1", state: "DORMANT" },
        { ...seed, seedId: "seed:h2", state: "TRAINING", health: 0.1 },
      ],
      seedCount: 5,
    });
    expect(lines[0]).toBe("run r-1 (grown) at window 4, paused: mlp-784-64-64-64-10, 59.2 k parameters");
    expect(lines.findIndex((line) => line.includes("seed:h2"))).toBeLessThan(lines.findIndex((line) => line.includes("seed:h1")));
    expect(lines.at(-1)).toBe("and 3 more seeds");
  });
});

describe("--json", () => {
  test("T4: every line is JSON; the last is the report", () => {
    const { stream, text } = collect();
    const view = createJsonView(stream);
    const messages = wholeRun();
    for (const message of [...messages, ...messages]) view.onMessage(message);
    view.note("engine native");
    view.finish(report, "report.json");
    view.close();
    const lines = text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string; subject?: string });
    expect(lines).toHaveLength(messages.length + 2);
    expect(lines[0]).toMatchObject({ kind: "message", subject: "system.events.run" });
    expect(lines.at(-1)).toEqual({ kind: "report", file: "report.json", report });
  });
});

describe("colour", () => {
  const ask = (isTerminal: boolean, refused: boolean, environment: Record<string, string>) =>
    wantsColor({ isTerminal, refused, environment });
  test("NO_COLOR and --no-color win; a terminal has it", () => {
    expect([
      ask(true, false, {}),
      ask(false, false, {}),
      ask(true, false, { NO_COLOR: "1" }),
      ask(true, true, { FORCE_COLOR: "1" }),
    ]).toEqual([true, false, false, false]);
    expect([
      ask(false, false, { FORCE_COLOR: "1" }),
      ask(true, false, { FORCE_COLOR: "0" }),
      ask(true, false, { TERM: "dumb" }),
    ]).toEqual([true, false, false]);
  });

  test("a message on a subject without lines leaves none", () => {
    expect(
      showAll([
        envelope("telemetry.seed.health", { runId: "r", epoch: 1, hostStep: 1, seeds: [], spans: [], host, flopsLeft: 1 }),
      ]),
    ).toBe("");
  });
});
