import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FieldReport } from "../../src/contracts/assets.ts";
import { Decision, KasminaControlCommand } from "../../src/contracts/commands.ts";
import type { HealthSignal } from "../../src/contracts/telemetry.ts";
import { bypassParameters, healthOfLayer, hiddenWidthOf, sitesOfSpan, trialCost } from "../../src/contracts/trial.ts";
import { calibration } from "../../src/policy/calibration.ts";
import type { PolicyState } from "../../src/policy/decide.ts";
import { chooseTarget, confidenceOf, decide, emptyPolicy, learn } from "../../src/policy/decide.ts";
import { learnFailure, noPenalties, penaltiesMax, penaltyAt, reportsSeenMax } from "../../src/policy/embargo.ts";
import { forecastGain } from "../../src/policy/forecast.ts";
import { healthTrend } from "../../src/policy/health.ts";
import { emptyTrigger, observe, recentChecksMax, streakOf, trendOf } from "../../src/policy/trigger.ts";
import { host } from "../machines/fixtures.ts";
import { config, gapAtOne, layer, setup, signal } from "./fixtures.ts";

const { trigger } = config;
const bad = { h1: 0.001, h2: 0.2, h3: 0.002 };

describe("health", () => {
  const healthAt = (gap: number) => healthOfLayer(layer("h1", gap), trigger);

  test("no gap is 1, a severity of 1 is healthMax, more is less, never outside 0 to 1", () => {
    expect(healthAt(0)).toBe(1);
    expect(healthAt(gapAtOne)).toBeCloseTo(trigger.healthMax, 9);
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true }), (a, b) => {
        const [low, high] = [healthAt(Math.min(a, b)) ?? -1, healthAt(Math.max(a, b)) ?? -1];
        expect(high).toBeLessThanOrEqual(low);
        expect(high).toBeGreaterThanOrEqual(0);
        expect(low).toBeLessThanOrEqual(1);
      }),
      { seed: 3 },
    );
  });

  test("what was not measured, or is no number, has no health", () => {
    expect(healthOfLayer(undefined, trigger)).toBeUndefined();
    for (const gap of [Number.NaN, Number.POSITIVE_INFINITY]) expect(healthAt(gap)).toBeUndefined();
    expect(healthOfLayer(layer("h1", 0.2, { gapError: Number.NaN }), trigger)).toBeUndefined();
  });

  test("the trend is the least-squares slope over what was measured", () => {
    const line = [0, 1, 2, 5].map((epoch) => ({ epoch, health: 1 - 0.1 * epoch }));
    const trend = healthTrend([...line, { epoch: 6, health: undefined }]);
    expect(trend?.slope).toBeCloseTo(-0.1, 12);
    expect(trend).toMatchObject({ samples: 4, last: 0.5 });
    expect(healthTrend(line.slice(0, 1))).toBeUndefined();
  });
});

describe("trigger", () => {
  const seen = (...signals: HealthSignal[]) => signals.reduce((state, each) => observe(state, each, trigger), emptyTrigger);
  const length = (...signals: HealthSignal[]) => streakOf(seen(...signals), trigger)?.length;

  test("T1 T2 successive checks that name the same layer count; any break starts anew", () => {
    expect(length(signal(1, bad))).toBe(1);
    expect(length(signal(1, bad), signal(2, bad))).toBe(2);
    expect(length(signal(1, { ...bad, h3: 0.3 }), signal(2, bad))).toBe(1);
    expect(length(signal(1, bad), signal(2, { ...bad, h2: 0.01 }), signal(3, bad))).toBe(1);
    expect(length(signal(1, bad), signal(2, { h1: undefined, h2: undefined }), signal(3, bad))).toBe(1);
    expect(length(signal(1, bad, { host: { ...host, hash: "e".repeat(64) } }), signal(2, bad))).toBe(1);
    expect(length(signal(1, bad), signal(2, { h1: undefined, h2: undefined }))).toBeUndefined();
  });

  test("T2 a gap exactly at the threshold is no candidate", () => {
    expect(length(signal(1, { h2: gapAtOne - 1e-9 }))).toBeUndefined();
    expect(length(signal(1, { h2: gapAtOne * 1.001 }))).toBe(1);
  });

  test("T1 a site whose seeds are all used up is not named", () => {
    const used = signal(1, bad);
    const seeds = used.seeds.map((seed) => (seed.site === "h2" ? { ...seed, state: "FOSSILIZED" as const } : seed));
    expect(length({ ...used, seeds })).toBeUndefined();
  });

  test("T3 a window seen before changes nothing, and the checks are bounded", () => {
    const once = seen(signal(4, bad));
    expect(observe(once, signal(4, bad), trigger)).toBe(once);
    expect(observe(once, signal(3, bad), trigger)).toBe(once);
    const many = seen(...Array.from({ length: recentChecksMax + 1 }, (_, n) => signal(n + 1, bad)));
    expect(many.checks).toHaveLength(recentChecksMax);
    expect(streakOf(many, trigger)?.length).toBe(recentChecksMax);
    expect(trendOf(many, "h2")?.slope).toBe(0);
  });
});

describe("forecast and cost", () => {
  test("the gain is log-linear in gap and loss, inside its interval, and a gap below the floor counts as the floor", () => {
    const { logGainPerLogGap, logGainPerLogLoss, gapFloor, lossTypical } = calibration.forecast;
    const at = (gap: number, validationLoss?: number) =>
      forecastGain({ gap, ...(validationLoss === undefined ? {} : { validationLoss }) }, calibration.forecast);
    expect(Math.log(at(0.2, 1).lossGain / at(0.1, 1).lossGain)).toBeCloseTo(logGainPerLogGap * Math.log(2), 12);
    expect(Math.log(at(0.2, 2).lossGain / at(0.2, 1).lossGain)).toBeCloseTo(logGainPerLogLoss * Math.log(2), 12);
    expect(at(0.1).lossGainLower).toBeLessThan(at(0.1).lossGain);
    expect(at(0.1).lossGainUpper).toBeGreaterThan(at(0.1).lossGain);
    expect(at(-1)).toEqual(at(gapFloor));
    expect(at(0.1)).toEqual(at(0.1, lossTypical));
  });

  test("parameters of a dense bypass by hand, and auto width is the widest layer of the span", () => {
    expect(bypassParameters(host, "h2", "output", { kind: "dense", hiddenWidth: 5, initialization: "zero" })).toBe(
      8 * 5 + 5 + 5 * 4 + 4,
    );
    expect(hiddenWidthOf(host, "h2", "output", "auto")).toBe(12);
    expect(hiddenWidthOf(host, "h3", "output", "auto")).toBe(8);
    expect(hiddenWidthOf(host, "h2", "output", 7)).toBe(7);
    expect(sitesOfSpan(host, "h3", "h1")).toEqual([]);
  });

  test("a trial costs more with every step and every validation batch, and nothing is said of a span that is not there", () => {
    const request = { kind: "dense" as const, hiddenWidth: 5, initialization: "zero" as const };
    const span = { fromSite: "h2", toSite: "output" };
    const flops = (batches: number, by = config) => trialCost(host, span, request, batches, by).flops;
    const longer = { ...config, training: { ...config.training, steps: config.training.steps + 1 } };
    expect(flops(3)).toBeGreaterThan(flops(2));
    expect(flops(2, longer)).toBeGreaterThan(flops(2));
    expect(trialCost(host, { ...span, toSite: "h9" }, request, 2, config)).toEqual({ parameters: 0, flops: 0 });
  });
});

const report = (epoch: number, hiddenWidth = 12, outcome: FieldReport["outcome"] = "CULLED"): FieldReport => ({
  runId: "r-1",
  seedId: "seed:h2",
  site: "h2",
  fromSite: "h2",
  toSite: "output",
  blueprint: { kind: "dense", hiddenWidth, initialization: "zero" },
  outcome,
  reason: "failed",
  history: [{ state: outcome, epoch, reason: "failed" }],
  trialFlops: 1,
});

describe("penalties", () => {
  const request = { kind: "dense" as const, hiddenWidth: 12, initialization: "zero" as const };

  test("P1 a failure counts against its blueprint alone and fades by the window", () => {
    const once = learnFailure(noPenalties, report(10), config.embargo);
    expect(penaltyAt(once, request, 10, config.embargo)).toBeCloseTo(0.2, 12);
    expect(penaltyAt(once, request, 12, config.embargo)).toBeCloseTo(0.2 * 0.81, 12);
    expect(penaltyAt(once, { ...request, hiddenWidth: 13 }, 10, config.embargo)).toBe(0);
    const twice = learnFailure(once, report(12), config.embargo);
    expect(penaltyAt(twice, request, 12, config.embargo)).toBeCloseTo(0.2 * 0.81 + 0.2, 12);
    expect(penaltyAt(once, request, 5, config.embargo)).toBeCloseTo(0.2, 12);
  });

  test("P2 the same report counts once, a kept seed not at all, and memory is bounded", () => {
    const once = learnFailure(noPenalties, report(10), config.embargo);
    expect(learnFailure(once, report(10), config.embargo)).toBe(once);
    expect(learnFailure(once, report(11, 12, "FOSSILIZED"), config.embargo)).toBe(once);
    let state = noPenalties;
    for (let n = 1; n <= reportsSeenMax + 1; n += 1) state = learnFailure(state, report(n, n), config.embargo);
    expect(Object.keys(state.penalties)).toHaveLength(penaltiesMax);
    expect(state.seen).toHaveLength(reportsSeenMax);
  });
});

describe("decide", () => {
  const twice = (second: HealthSignal, from: PolicyState = emptyPolicy, by = setup) => {
    const first = decide(from, signal(second.epoch - 1, bad), by);
    return decide(first.state, second, by);
  };
  const check = (decision: Omit<Decision, "latencyMs">) => Decision.parse({ ...decision, latencyMs: 0 });

  test("M1 one check waits with confidence below 0.7, however large the gap", () => {
    for (const gap of [0.2, 0.3, 10]) {
      const { decision, command } = decide(emptyPolicy, signal(1, { h2: gap }), setup);
      expect(command).toBeUndefined();
      expect(check(decision)).toMatchObject({ outcome: "wait", site: "h2" });
      expect(decision.confidence).toBeLessThan(0.7);
    }
  });

  test("two checks germinate the dormant seed with the span of the largest energy, with grounds and forecast", () => {
    const { decision, command, state } = twice(signal(2, bad));
    expect(check(decision)).toMatchObject({ outcome: "germinate", site: "h2", toSite: "output", requestId: "r-1:2:seed:h2" });
    expect(KasminaControlCommand.parse(command)).toEqual(command);
    expect(command).toMatchObject({
      seedId: "seed:h2",
      toSite: "output",
      blueprint: { kind: "dense", hiddenWidth: 12, initialization: "zero" },
    });
    expect(command?.adaptation?.confidence).toBeGreaterThan(0.7);
    expect(command?.adaptation?.forecast.lossGain).toBeGreaterThan(0);
    // M3
    const again = decide(state, signal(2, bad), setup);
    expect([again.decision.outcome, again.command, again.state.sent]).toEqual(["wait", undefined, state.sent]);
  });

  test("just above the threshold twice is enough", () => {
    const slight = { h2: gapAtOne * 1.01 };
    const first = decide(emptyPolicy, signal(1, slight), setup);
    expect(decide(first.state, signal(2, slight), setup).decision.outcome).toBe("germinate");
  });

  test("M2 healthy or unmeasured hosts get a reason and no command", () => {
    const healthy = decide(emptyPolicy, signal(1, { h1: 0.004 }), setup);
    expect(healthy.decision).toMatchObject({
      outcome: "wait",
      reason: expect.stringContaining("worst is h1 with severity 0.014 and gap 0.004"),
    });
    const blind = twice(signal(2, { h1: undefined, h2: undefined }));
    expect([blind.decision.reason, blind.command]).toEqual([
      expect.stringMatching(/^no layer was measured in this window although it was due: the FLOPs that are left .* have no room/),
      undefined,
    ]);
    const used = decide(
      emptyPolicy,
      { ...signal(1, bad), seeds: signal(1, bad).seeds.map((seed) => ({ ...seed, state: "FOSSILIZED" as const })) },
      setup,
    );
    expect([used.decision.reason, used.command]).toEqual([
      expect.stringMatching(/^no layer that was measured may be named/),
      undefined,
    ]);
    const off = decide(emptyPolicy, signal(1, bad), { ...setup, config: { ...config, enabled: false } });
    expect([off.decision.outcome, off.command]).toEqual(["wait", undefined]);
  });

  test("two layers that cannot be told apart are probed once, then the streak decides", () => {
    const wide = { gapError: 0.02 };
    const twins = (epoch: number, h3: number): HealthSignal => {
      const plain = signal(epoch, { h2: 0.3, h3 });
      const seeds = plain.seeds.map((seed) => ({ ...seed, layer: layer(seed.site, seed.layer?.gap ?? 0, wide) }));
      return { ...plain, seeds };
    };
    const first = decide(emptyPolicy, twins(1, 0.29), setup);
    expect(check(first.decision)).toMatchObject({ outcome: "probe", site: "h2", reason: expect.stringContaining("h3") });
    expect(first.command).toBeUndefined();
    expect(decide(first.state, twins(2, 0.29), setup).decision.outcome).toBe("germinate");
    expect(decide(emptyPolicy, twins(1, 0.1), setup).decision.outcome).toBe("wait");
    const never = { ...setup, config: { ...config, signal: { ...config.signal, probeBatches: 1 } } };
    expect(decide(emptyPolicy, twins(1, 0.29), never).decision.outcome).toBe("wait");
  });

  test("an excluded site is never named, the next worst is", () => {
    const excluding = { ...setup, config: { ...config, trigger: { ...trigger, exclude: ["h2"] } } };
    expect(twice(signal(2, bad), emptyPolicy, excluding).decision.outcome).toBe("wait");
    const both = { h2: 0.4, h3: 0.3 };
    const first = decide(emptyPolicy, signal(1, both), excluding);
    expect(decide(first.state, signal(2, both), excluding).command?.seedId).toBe("seed:h3");
  });

  describe("placement", () => {
    const placed = (placement: "random" | "always") => ({ ...setup, config: { ...config, placement } });

    test("random waits for the signal, then takes a site that depends on run and window alone", () => {
      const by = placed("random");
      expect(decide(emptyPolicy, signal(1, bad), by).command).toBeUndefined();
      const sites = new Set<string>();
      for (let epoch = 2; epoch < 40; epoch += 1) {
        const command = twice(signal(epoch, bad), emptyPolicy, by).command;
        expect(twice(signal(epoch, bad), emptyPolicy, by).command).toEqual(command);
        if (command !== undefined) sites.add(command.seedId);
      }
      expect([...sites].sort()).toEqual(["seed:h1", "seed:h2", "seed:h3"]);
      const calm = { h1: 0.001, h2: 0.002 };
      const quiet = decide(decide(emptyPolicy, signal(1, calm), by).state, signal(2, calm), by);
      expect(quiet.command).toBeUndefined();
    });

    test("always grows at the largest gap of every check, however small", () => {
      const { command, decision } = decide(emptyPolicy, signal(1, { h1: 0.001, h2: 0.002, h3: -0.1 }), placed("always"));
      expect(command?.seedId).toBe("seed:h2");
      expect(decision.rule).toContain("largest gap of every check");
    });
  });

  const noOne = { ...setup, config: { ...config, adaptationsPerEpochMax: 0 } };
  const noParameters = { ...setup, config: { ...config, budget: { ...config.budget, parametersMax: 10 } } };
  const noTarget = { ...host, sites: host.sites.map((site) => ({ ...site, legalTargets: [] })) };
  test.each([
    ["the lock is held", signal(2, bad, { activeSeedId: "seed:h1" }), setup, "seed:h1 holds the grafting lock"],
    ["no seed is dormant", signal(2, bad, {}, { state: "CULLED" }), setup, "no dormant seed is left at h2"],
    ["adaptations are used up", signal(2, bad), noOne, "0 adaptations in this window, at most 0"],
    ["parameters are used up", signal(2, bad), noParameters, "at most 10 may be added"],
    ["FLOPs are used up", signal(2, bad, { flopsLeft: 1 }), setup, "1 are left for trials"],
    ["FLOPs are not known", signal(2, bad, { flopsLeft: Number.NaN }), setup, "NaN are left for trials"],
  ])("M1 refused when %s", (_name, second, by, reason) => {
    const { decision, command } = twice(second, emptyPolicy, by);
    expect(command).toBeUndefined();
    expect(check(decision)).toMatchObject({ outcome: "refused", reason: expect.stringContaining(reason) });
  });

  test("a site under embargo is not named, and does not hide the next worst", () => {
    const resting = (epoch: number, by: Readonly<Record<string, number>>) => {
      const plain = signal(epoch, by);
      return { ...plain, seeds: plain.seeds.map((seed) => (seed.site === "h2" ? { ...seed, embargoEpochs: 3 } : seed)) };
    };
    const alone = decide(emptyPolicy, resting(1, { h2: 0.3 }), setup).decision;
    expect(check(alone)).toMatchObject({ outcome: "wait", reason: expect.stringContaining("under embargo") });
    const both = { h2: 0.4, h3: 0.3 };
    const first = decide(emptyPolicy, resting(1, both), setup);
    expect(decide(first.state, resting(2, both), setup).command?.seedId).toBe("seed:h3");
  });

  test("refused when no bypass is legal", () => {
    const first = decide(emptyPolicy, signal(1, bad, { host: noTarget }), setup);
    expect(first.decision).toMatchObject({ outcome: "refused", reason: expect.stringContaining("no bypass from h2 is legal") });
  });

  test("a penalty holds a weak case back and lets a strong one pass", () => {
    const failed = learn(emptyPolicy, report(1), config);
    const weak = { h2: gapAtOne * 1.1 };
    const first = decide(failed, signal(1, weak), setup);
    const second = decide(first.state, signal(2, weak), setup);
    expect(second.decision).toMatchObject({
      outcome: "wait",
      reason: expect.stringContaining("after a penalty of 0.18 on dense 12"),
    });
    const strong = { ...bad, h2: 0.45 };
    const before = decide(failed, signal(1, strong), setup);
    expect(decide(before.state, signal(2, strong), setup).decision.outcome).toBe("germinate");
  });

  test("confidence grows with the severity, falls with the penalty and stays in 0 to 1", () => {
    const streak = { site: "h2", length: 2, gapLast: 1, gapMin: 1, health: 0 };
    const at = (severityMin: number, penalty = 0) =>
      confidenceOf({ ...streak, severityMin }, penalty, trigger, calibration.confidence);
    expect(at(1)).toBeCloseTo(1 / (1 + Math.exp(-calibration.confidence.logOddsAtOne)), 12);
    expect(at(1)).toBeGreaterThan(trigger.confidenceMin);
    expect(at(4)).toBeGreaterThan(at(2));
    expect(at(4, 0.2)).toBeCloseTo(at(4) - 0.2, 12);
    expect(at(1, 1)).toBe(0);
  });

  test("the target: largest energy, ties to the nearest, illegal ones never, the logits when nothing was measured", () => {
    const span = (toSite: string, energy: number) => ({ fromSite: "h1", toSite, energy });
    expect(chooseTarget(host, "h1", [span("output", 1), span("h2", 1)])?.toSite).toBe("h2");
    expect(chooseTarget(host, "h1", [span("h1", 9), span("h3", 1), span("h2", Number.NaN)])?.toSite).toBe("h3");
    expect(chooseTarget(host, "h1", [{ fromSite: "h2", toSite: "h3", energy: 5 }])?.toSite).toBe("output");
    expect(chooseTarget(host, "output", [])).toBeUndefined();
  });
});
