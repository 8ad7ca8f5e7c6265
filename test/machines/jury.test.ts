import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JuryConfig } from "../../src/contracts/config-jury.ts";
import { readingConfidence } from "../../src/contracts/config-morphogenetic.ts";
import type { Judgement, JudgeName, PairedGain } from "../../src/contracts/measure.ts";
import { judgeNames } from "../../src/contracts/measure.ts";
import { verdictOf, weighJury } from "../../src/machines/jury.ts";
import { startSeed, stepSeed } from "../../src/machines/seed-machine.ts";
import { config, germinate, judged, kernelReady, measurements, seedInput, split, unanimous, window } from "./fixtures.ts";

const jury = JuryConfig.parse({});
const votes = (...each: readonly [JudgeName, Judgement["vote"]][]): Judgement[] => each.map(([name, vote]) => judged(name, vote));
const unmeasured = (judge: JudgeName): Judgement => ({ judge, vote: "abstain", bound: 0 });
const decided = (told: readonly Judgement[], over: Partial<JuryConfig> = {}) => weighJury(told, { ...jury, ...over }).decision;

describe("weighJury", () => {
  test("shares decide: all, three quarters, three fifths, a half", () => {
    expect(decided(unanimous)).toBe("keep");
    expect(decided(votes(["loss", "keep"], ["accuracy", "cull"], ["calibration", "abstain"], ["cost", "abstain"]))).toBe("keep");
    expect(decided(split)).toBe("split");
    expect(decided(votes(["loss", "keep"], ["accuracy", "cull"], ["calibration", "cull"], ["cost", "cull"]))).toBe("cull");
  });

  test("J2 what was measured must reach the quorum; an abstention counts for it, a missing measurement does not", () => {
    const alone = [judged("loss", "keep"), unmeasured("accuracy"), unmeasured("calibration"), unmeasured("cost")];
    expect(decided(alone)).toBe("keep");
    expect(decided(alone, { quorum: 0.51 })).toBe("cull");
    expect(decided(votes(["loss", "keep"], ["accuracy", "abstain"], ["calibration", "abstain"]), { quorum: 0.8 })).toBe("keep");
    const nan: Judgement = { ...judged("accuracy", "keep"), bound: Number.NaN };
    expect(weighJury([judged("loss", "keep"), nan], { ...jury, quorum: 0.6 }).decision).toBe("cull");
    expect(decided([])).toBe("cull");
  });

  test("a judge that is told twice has one vote; weights of nothing leave the loss alone", () => {
    expect(
      decided([...votes(["loss", "keep"], ["accuracy", "cull"]), judged("accuracy", "cull"), judged("accuracy", "cull")]),
    ).toBe("keep");
    const none = { weights: { loss: 0, accuracy: 0, calibration: 0, cost: 0 } };
    expect(decided(unanimous, none)).toBe("keep");
    expect(decided(votes(["loss", "cull"], ["cost", "keep"]), none)).toBe("cull");
  });

  test("one more vote to keep never turns a keep into something else", () => {
    const vote = fc.constantFrom<Judgement["vote"]>("keep", "cull", "abstain");
    const rank = { cull: 0, split: 1, keep: 2 };
    fc.assert(
      fc.property(fc.tuple(vote, vote, vote, vote), fc.integer({ min: 0, max: 3 }), (all, index) => {
        const told = judgeNames.map((name, i) => judged(name, all[i]!));
        const better = told.map((each, i) => (i === index ? judged(each.judge, "keep") : each));
        expect(rank[decided(better)]).toBeGreaterThanOrEqual(rank[decided(told)]);
        const { evidence, reason } = weighJury(told, jury);
        expect(Object.keys(evidence)).toEqual(expect.arrayContaining(judgeNames.map((name) => `vote.${name}`)));
        expect(reason).not.toBe("");
      }),
    );
  });
});

describe("verdictOf", () => {
  const contested = (
    told: readonly Judgement[] | undefined,
    escalation: Parameters<typeof verdictOf>[0]["escalation"] = null,
  ) => {
    const { judgements: _, ...rest } = measurements.fine_tuned.passed;
    const measurement = told === undefined ? rest : { ...rest, judgements: [...told] };
    return { measurement, grownSteps: 10, twinSteps: 11, rounds: 1, gainBefore: null, escalation };
  };
  const open = (windows: number, verdict?: "keep" | "cull") => ({
    sinceEpoch: 7,
    windows,
    resolution: verdict === undefined ? null : { verdict, reason: "seen" },
  });

  test("J1 the loss vetoes, whoever else says keep, the operator included", () => {
    const lost = { ...contested(unanimous, open(0, "keep")), measurement: measurements.fine_tuned.failed };
    expect(verdictOf(lost, config)).toMatchObject({ decision: "cull", passed: false });
    const missing = { ...contested(unanimous, open(0, "keep")), measurement: measurements.fine_tuned.missing };
    expect(verdictOf(missing, config)).toMatchObject({ decision: "cull", measured: false });
    expect(verdictOf(contested(undefined), config)).toMatchObject({ decision: "cull", measured: false });
  });

  test("J3 a split waits, then the operator or the policy decides", () => {
    expect(verdictOf(contested(split), config)).toMatchObject({ decision: "split", passed: false });
    expect(verdictOf(contested(split, open(0, "keep")), config)).toMatchObject({ decision: "keep", by: "operator" });
    expect(verdictOf(contested(split, open(0, "cull")), config)).toMatchObject({ decision: "cull", by: "operator" });
    expect(verdictOf(contested(split, open(1)), config)).toMatchObject({ decision: "cull", by: "policy" });
    const keeping = { ...config, jury: { ...jury, escalationPolicy: "keep" as const, escalationEpochsMax: 0 } };
    expect(verdictOf(contested(split), keeping)).toMatchObject({ decision: "keep", by: "policy" });
    // More evidence settles it without anybody.
    expect(verdictOf(contested(unanimous, open(1)), config)).toMatchObject({ decision: "keep", by: "evidence" });
  });

  describe("J4 a contest of several rounds", () => {
    const { gain } = measurements.fine_tuned.passed;
    const gainOf = (mean: number, halfWidth: number): PairedGain => ({
      ...gain,
      mean,
      lower: mean - halfWidth,
      upper: mean + halfWidth,
    });
    const read = (rounds: number, now: PairedGain, before: PairedGain | null, more: object = {}): ReturnType<typeof verdictOf> =>
      verdictOf(
        {
          ...contested(unanimous),
          measurement: { ...measurements.fine_tuned.passed, gain: now, judgements: [...unanimous], roundFits: true, ...more },
          rounds,
          gainBefore: before,
        },
        config,
      );
    const [won, open, lost] = [gainOf(0.5, 0.01), gainOf(0, 0.1), gainOf(-0.5, 0.01)];

    test("a first round that wins is final, one that does not is followed by another", () => {
      expect(read(1, won, null).decision).toBe("keep");
      expect(read(1, open, null)).toMatchObject({ decision: "undecided", passed: false });
      // A host that still learns quickly shows a repair late.
      expect(read(1, lost, null).decision).toBe("undecided");
      expect(read(1, lost, null).reason).toMatch(/round 1 of at most 4, another follows/);
    });

    test("a later round needs the word of the one before", () => {
      expect(read(2, won, open).decision).toBe("undecided");
      expect(read(2, won, gainOf(0.01, 0.1)).decision).toBe("keep");
      expect(read(4, won, open)).toMatchObject({ decision: "cull", reason: expect.stringMatching(/the round before read 0/) });
    });

    test("it ends where it is hopeless, rounds are used up, or the budget has no room", () => {
      expect(read(2, lost, lost).decision).toBe("cull");
      expect(read(2, gainOf(-0.4, 0.01), lost).decision).toBe("undecided");
      expect(read(4, open, open).decision).toBe("cull");
      expect(read(1, open, null, { roundFits: false }).decision).toBe("cull");
      expect(read(1, open, null, { roundFits: undefined }).decision).toBe("cull");
      expect(read(1, open, null, { gain: undefined })).toMatchObject({ decision: "cull", measured: false });
    });

    test("each reading is held to its share of the confidence", () => {
      expect(readingConfidence(config)).toBeCloseTo(1 - 0.01 / 4, 12);
      const loose = { ...gain, confidence: 0.99 };
      expect(read(4, loose, won)).toMatchObject({
        decision: "cull",
        reason: expect.stringMatching(/measured with confidence 0.99/),
      });
    });

    test("a pruning is read once", () => {
      const contest = { ...contested(unanimous), prune: { kind: "units" as const, site: "h1", units: [0], constants: [] } };
      const measurement = { ...measurements.fine_tuned.passed, gain: lost, stepFlops: { before: 2, after: 1 }, roundFits: true };
      expect(verdictOf({ ...contest, measurement }, config).decision).toBe("cull");
    });
  });

  test("a frozen base needs no steps of the twin", () => {
    const frozen = { ...config, base: "frozen" as const };
    const still = { ...contested(unanimous), twinSteps: 0 };
    expect(verdictOf(still, frozen).decision).toBe("keep");
    expect(verdictOf(still, config)).toMatchObject({ decision: "cull", reason: expect.stringMatching(/not a fair comparison/) });
  });
});

describe("an escalation in the machine", () => {
  const patient = { ...config, jury: { ...jury, escalationEpochsMax: 2 } };
  const steps = (events: Parameters<typeof stepSeed>[1][]) =>
    events.reduce((snapshot, event) => stepSeed(snapshot, event).snapshot, startSeed({ ...seedInput, config: patient }));
  const { loaded, trained, grafted, stabilized, evaluated, fine_tuned } = measurements;
  const tuning = [
    germinate(1),
    kernelReady(2),
    window(3, loaded.passed),
    window(4, trained.passed),
    window(5, grafted.passed),
    window(6, stabilized.passed),
    window(7, evaluated.passed),
  ];
  const splitAt = (epoch: number, windows: number) =>
    window(epoch, { ...fine_tuned.passed, grownSteps: 10 * windows, twinSteps: 11 * windows, judgements: split });
  const resolve = { type: "RESOLVE", epoch: 9, verdict: "keep", reason: "seen" } as const;

  test("counts its windows, holds an answer until the next verdict, and takes the last answer", () => {
    const opened = steps([...tuning, splitAt(8, 1)]);
    expect(opened.value).toBe("FINE_TUNING");
    expect(opened.context.trial?.escalation).toEqual({ sinceEpoch: 8, windows: 0, resolution: null });
    const second = stepSeed(opened, splitAt(9, 2)).snapshot;
    expect(second.context.trial).toMatchObject({ grownSteps: 20, twinSteps: 22, escalation: { windows: 1 } });
    expect(stepSeed(second, splitAt(10, 3)).snapshot.value).toBe("CULLED");
    const answered = stepSeed(opened, resolve);
    expect(answered.outcome).toMatchObject({ kind: "stayed", reason: "the operator resolves: keep, seen" });
    expect(stepSeed(answered.snapshot, splitAt(9, 2)).snapshot.value).toBe("FOSSILIZED");
    const changed = stepSeed(answered.snapshot, { ...resolve, verdict: "cull" }).snapshot;
    expect(stepSeed(changed, splitAt(9, 2)).snapshot.value).toBe("CULLED");
    // The answer does not outlive the veto of the loss, nor an anomaly.
    expect(stepSeed(answered.snapshot, window(9, fine_tuned.failed)).snapshot.value).toBe("CULLED");
    expect(stepSeed(answered.snapshot, window(9, { ...fine_tuned.passed, finite: false })).snapshot.value).toBe("ROLLED_BACK");
    expect(stepSeed(answered.snapshot, window(9, undefined, { interrupted: true, steps: 3 })).snapshot.value).toBe("FINE_TUNING");
    expect(stepSeed(answered.snapshot, window(9, undefined)).snapshot.value).toBe("CULLED");
  });

  test("an undecided contest takes another round and remembers the gain before", () => {
    const open = (epoch: number, round: number) =>
      window(epoch, { ...fine_tuned.failed, grownSteps: 10 * round, twinSteps: 11 * round, roundFits: true });
    const first = stepSeed(steps(tuning), open(8, 1));
    expect(first.outcome).toMatchObject({ kind: "stayed", reason: expect.stringMatching(/round 1 of at most 4/) });
    expect(first.snapshot.context.trial).toMatchObject({ rounds: 1, gainBefore: null, gain: fine_tuned.failed.gain });
    // The screen's gain is of another comparison and does not count as a round's.
    const second = stepSeed(first.snapshot, open(9, 2)).snapshot;
    expect(second.context.trial).toMatchObject({ rounds: 2, gainBefore: fine_tuned.failed.gain, grownSteps: 20 });
    const won = window(10, { ...fine_tuned.passed, grownSteps: 30, twinSteps: 33, roundFits: true });
    expect(stepSeed(second, won).snapshot.value).toBe("FOSSILIZED");
    const last = stepSeed(stepSeed(second, open(10, 3)).snapshot, open(11, 4)).snapshot;
    expect(last.value).toBe("CULLED");
  });

  test("without one there is nothing to resolve", () => {
    expect(stepSeed(steps(tuning), resolve).outcome).toMatchObject({ kind: "refused", reason: "no escalation is open" });
  });
});
