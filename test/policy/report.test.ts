/** The report of an arm comes from its event log alone. */
import { describe, expect, test } from "vitest";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { ReportArm } from "../../src/contracts/report.ts";
import type { PayloadOf, SubjectName } from "../../src/contracts/subjects.ts";
import { buildReportArm } from "../../src/policy/report.ts";
import { host, laneResult, runId } from "../machines/fixtures.ts";
import { envelope, fieldReport, transition } from "../store/support.ts";

let count = 0;
const told = <S extends SubjectName>(subject: S, payload: PayloadOf<S>): Envelope => envelope(`e${count++}`, payload, subject);

const started = told("system.events.run", {
  kind: "started",
  runId,
  arm: "grown",
  dataset: "mnist",
  engine: "native",
  host,
  flopsMax: 1e9,
  epochSteps: 10,
  hostSteps: 100,
});
const window = (epoch: number) =>
  told("system.events.epoch", {
    runId,
    arm: "grown",
    result: laneResult({ runId, epoch, before: [], work: { kind: "host", steps: 10 }, measureSignal: epoch === 2 }, undefined, {
      change: { durationMs: 100, hostStep: epoch * 10, validation: { loss: 1 / epoch, accuracy: 0.5, samples: 100 } },
    }),
    flopsMax: 1e9,
    elapsedMs: epoch * 1000,
  });
const finished = told("system.events.run", {
  kind: "finished",
  runId,
  arm: "grown",
  outcome: "done",
  reason: "the run's FLOPs are used up",
  testAccuracy: 0.9,
  damage: { sites: ["h1"], kind: "dead", live: 1, layers: 1 },
});
const germinated = told("system.events.seed", transition(1, "DORMANT", "GERMINATED"));
const command = told("system.events.command", {
  command: { kind: "germinate", requestId: "q", seedId: "seed:h1", toSite: "h3", reason: "by hand", runId },
  sender: "operator",
  receipt: { kind: "accepted", requestId: "q", runId, appliesAtEpoch: 2, detail: "" },
});

describe("buildReportArm", () => {
  test("nothing without the run's start; with it alone a run that was cut short", () => {
    expect(buildReportArm([window(1)], "log")).toBeUndefined();
    const { arm } = buildReportArm([started], "log")!;
    expect(ReportArm.parse(arm)).toMatchObject({ outcome: "stopped", reason: "the log ends before the run does", seeds: [] });
  });

  test("the last window's account, the last validation, the steps a second, the signals", () => {
    const { arm } = buildReportArm([started, window(1), window(2), finished], "log")!;
    expect(ReportArm.parse(arm)).toMatchObject({
      outcome: "done",
      testAccuracy: 0.9,
      validationLoss: 0.5,
      hostSteps: 20,
      seconds: 2,
      stepsPerSecond: 100,
      rollbacks: 0,
      triggers: 0,
    });
    expect(arm.signals.map(({ epoch, site }) => [epoch, site])).toEqual([
      [2, "h1"],
      [2, "h2"],
      [2, "h3"],
    ]);
    expect(arm.damageFound).toBeUndefined();
  });

  test("a seed's span and reason come from the command while its trial is on, from the field report once it ended", () => {
    const open = buildReportArm([started, command, germinated], "log")!.arm;
    expect(open.seeds).toMatchObject([{ id: "seed:h1", outcome: "GERMINATED", span: { from: "h1", to: "h3" } }]);
    const ended = [command, germinated, told("system.events.seed", transition(2, "GERMINATED", "DORMANT"))];
    const report = told("innovation.field_reports", {
      ...fieldReport(runId),
      measuredGain: { mean: 0.2, lower: 0.1, upper: 0.3, confidence: 0.99, samples: 100, lossWithout: 1, lossWith: 0.8 },
    });
    const closed = buildReportArm([started, ...ended, report, finished], "log")!.arm;
    expect(closed.seeds).toMatchObject([
      { outcome: "DORMANT", span: { from: "h1", to: "h2" }, measuredGain: 0.2, interval: { lower: 0.1, upper: 0.3 } },
    ]);
    expect([closed.triggers, closed.damageFound]).toEqual([1, true]);
  });

  test("a span that covers the first damaged layer finds it; one that starts behind it does not", () => {
    const damagedAt = (...sites: string[]): Envelope =>
      told("system.events.run", {
        kind: "finished",
        runId,
        arm: "grown",
        outcome: "done",
        reason: "",
        damage: { sites, kind: "dead", live: 1, layers: sites.length },
      });
    const found = (...sites: string[]) =>
      buildReportArm([started, command, germinated, damagedAt(...sites)], "log")!.arm.damageFound;
    expect(found("h2", "h3")).toBe(true); // the span is h1 → h3
    expect(found("h1")).toBe(true);
    expect(found("output")).toBe(false);
    const behind = told("system.events.seed", { ...transition(1, "DORMANT", "GERMINATED"), seedId: "seed:h2" });
    expect(buildReportArm([started, behind, damagedAt("h1")], "log")!.arm.damageFound).toBe(false);
    expect(buildReportArm([started, behind, damagedAt("h1", "h2")], "log")!.arm.damageFound).toBe(true);
  });

  test("rollbacks are counted and the last checkpoint named; a line that does not fit is an error", () => {
    const rolledBack = told("system.events.run", { kind: "rolled_back", runId, epoch: 1, reason: "spike", rollbacks: 1 });
    const saved = (epoch: number) => told("system.events.run", { kind: "checkpoint", runId, epoch, file: `c/${epoch}` });
    const { arm } = buildReportArm([started, saved(1), rolledBack, rolledBack, saved(2)], "log")!;
    expect([arm.rollbacks, arm.checkpoint]).toEqual([2, "c/2"]);
    expect(() => buildReportArm([started, envelope("x", { kind: "finished" }, "system.events.run")], "log")).toThrow();
  });
});
