/** Rounds of a contest under the limit of trials' FLOPs, the configuration's and the one that is set while the run goes on. */
import { describe, expect, test } from "vitest";
import type { Script } from "./driver.ts";
import { drive, germinate, ways } from "./driver.ts";
import { config, measurements, setup } from "./fixtures.ts";

describe("another round of a contest is held to the trials' limit as it stands", () => {
  const { failed } = measurements.fine_tuned;
  // More than all that a trial of this host needs before its contest.
  const roundFlops = 20_000_000;
  /** Commands in the windows before which they were accepted; the windows that the contest took. */
  const rounds = (commands: Script["commands"], flopsFractionMax?: number) => {
    const budget = flopsFractionMax === undefined ? config.budget : { ...config.budget, flopsFractionMax };
    // The lane has room for every round: what trials may use is not its business.
    const round = (count: number) => ({
      change: { kernel: { ...failed, grownSteps: 10 * count, twinSteps: 11 * count, roundFits: true, roundFlops } },
    });
    const { plans, transitions } = drive(12, {
      commands: { 1: [germinate], ...commands },
      windows: { 8: round(1), 9: round(2), 10: round(3), 11: round(4) },
      setup: { ...setup, config: { ...config, budget } },
    });
    expect(ways(transitions).join()).toMatch(/CULLED/);
    return plans.filter(({ work }) => work.kind === "fine_tune").length;
  };
  const limit = (max: number) => ({ kind: "limit", requestId: `l${max}`, resource: "flops", max, reason: "less" }) as const;
  // Five windows of a trial at 3,000 FLOPs a step come before the first reading.
  const usedAtFirst = 3_000 * (10 + 10 + 20 + 10);

  test("without one, to the configuration's share", () => {
    expect(rounds({})).toBe(4);
    expect(rounds({}, (usedAtFirst + roundFlops) / setup.flopsMax)).toBe(2);
    expect(rounds({}, (usedAtFirst + roundFlops - 1) / setup.flopsMax)).toBe(1);
  });

  test("lowered while the contest runs, also in the very window that is judged", () => {
    expect(rounds({ 4: [limit(usedAtFirst + roundFlops)] })).toBe(2);
    expect(rounds({ 4: [limit(usedAtFirst + roundFlops - 1)] })).toBe(1);
    expect(rounds({ 8: [limit(usedAtFirst)] })).toBe(1);
    expect(rounds({ 9: [limit(usedAtFirst)] })).toBe(2);
  });

  test("raised above the configuration's share, there is another round; a veto of the limit leaves things as they were", () => {
    const share = (usedAtFirst + roundFlops) / setup.flopsMax;
    expect(rounds({ 9: [limit(setup.flopsMax)] }, share)).toBe(4);
    const veto = { kind: "veto", requestId: "v", target: `l${setup.flopsMax}`, reason: "no" } as const;
    expect(rounds({ 9: [limit(setup.flopsMax), veto] }, share)).toBe(2);
  });
});
