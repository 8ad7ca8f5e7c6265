/**
 * The jury at a trial's end: independent judges with weights, a quorum, and what happens when they are split. Pure.
 *
 * J1 The loss judge is gate 3 and vetoes: without it nothing is kept, whatever the others say, the operator included.
 * J2 A judge that measured nothing is missing from the quorum; below the quorum the seed is culled.
 * J3 A split asks the operator while windows are left; then the policy decides.
 * J4 A contest that gate 3 does not pass goes on for another round while rounds and budget are left and the last one did not make it
 *    hopeless; in a later round gate 3 counts only where the round before spoke for the seed too, because one reading may be luck.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { JuryConfig } from "../contracts/config-jury.ts";
import type { Judgement, KernelMeasurement, PairedGain } from "../contracts/measure.ts";
import type { PruneTarget } from "../contracts/pruning.ts";
import type { Evidence, GateOutcome } from "./gates.ts";
import { measuredAs, shown, verdictGate } from "./gates.ts";
import { pruneVerdictGate } from "./prune-gates.ts";

export interface JuryOutcome {
  readonly decision: "keep" | "cull" | "split";
  readonly reason: string;
  readonly evidence: Evidence;
}

/** A judge that says nothing of its own has said nothing: one vote each, the first counts. */
const oneEach = (judgements: readonly Judgement[]): readonly Judgement[] =>
  judgements.filter(({ judge }, index) => judgements.findIndex((each) => each.judge === judge) === index);

const isMeasured = ({ measured, bound }: Judgement): boolean =>
  measured !== undefined && [measured.mean, measured.lower, measured.upper, bound].every(Number.isFinite);

const weightOf = (judgements: readonly Judgement[], { weights }: JuryConfig): number =>
  judgements.reduce((sum, { judge }) => sum + weights[judge], 0);

const voteText = ({ judge, vote, measured }: Judgement): string =>
  measured === undefined ? `${judge} not measured` : `${judge} ${vote} (${shown(measured.lower)} to ${shown(measured.upper)})`;

const juryEvidence = (judgements: readonly Judgement[]): Evidence =>
  Object.fromEntries(
    judgements.flatMap(({ judge, vote, measured }) => [
      [`vote.${judge}`, measured === undefined ? "not measured" : vote],
      ...(measured === undefined ? [] : [[`mean.${judge}`, measured.mean]]),
    ]),
  );

/** Weighs the votes. Abstentions count for the quorum and not for the share. */
export const weighJury = (told: readonly Judgement[], config: JuryConfig): JuryOutcome => {
  const judgements = oneEach(told);
  const measured = judgements.filter(isMeasured);
  const total = Object.values(config.weights).reduce((sum, weight) => sum + weight, 0);
  const present = total === 0 ? 1 : weightOf(measured, config) / total;
  const side = (vote: Judgement["vote"]): number =>
    weightOf(
      measured.filter((each) => each.vote === vote),
      config,
    );
  const [keep, cull] = [side("keep"), side("cull")];
  const lossKeeps = measured.some(({ judge, vote }) => judge === "loss" && vote === "keep");
  const share = keep + cull === 0 ? Number(lossKeeps) : keep / (keep + cull);
  const evidence: Evidence = { ...juryEvidence(judgements), quorum: present, keepShare: share };
  const votes = judgements.map(voteText).join(", ");
  // J2
  if (!(present >= config.quorum))
    return {
      decision: "cull",
      reason: `jury: ${shown(present)} of the weight was measured, ${shown(config.quorum)} is the quorum (${votes})`,
      evidence,
    };
  const reason = `jury: ${shown(share)} of the votes to keep (${votes})`;
  if (share >= config.keepMin) return { decision: "keep", reason, evidence };
  return { decision: share <= config.cullMax ? "cull" : "split", reason, evidence };
};

/** An open question to the operator. */
export interface Escalation {
  readonly sinceEpoch: number;
  /** Further contest windows that were measured since. */
  readonly windows: number;
  readonly resolution: { readonly verdict: "keep" | "cull"; readonly reason: string } | null;
}

export interface Contested {
  readonly measurement: KernelMeasurement | undefined;
  readonly grownSteps: number;
  readonly twinSteps: number;
  /** Readings of this contest, this one included. */
  readonly rounds: number;
  /** Of the reading before this one. */
  readonly gainBefore: PairedGain | null;
  /** As it stands after this window; null while the jury was never split. */
  readonly escalation: Escalation | null;
  /** Present where the contest is of a pruning. */
  readonly prune?: PruneTarget;
}

export interface Verdict extends GateOutcome {
  readonly decision: "keep" | "cull" | "split" | "undecided";
  /** Who decided: the votes, the operator, or the policy because nobody answered. */
  readonly by: "evidence" | "operator" | "policy";
}

/** J4, for growth. A pruning is read once, and an escalation goes on by its own rule. */
const confirmed = (gate: GateOutcome, { gainBefore, prune }: Contested): GateOutcome =>
  !gate.passed || prune !== undefined || gainBefore === null || gainBefore.mean > 0
    ? gate
    : { ...gate, passed: false, reason: `${gate.reason}; but the round before read ${shown(gainBefore.mean)}` };

/** J4: whether another round may still turn what gate 3 says. */
const goesOn = ({ measurement, rounds, gainBefore, escalation, prune }: Contested, config: MorphogeneticConfig): boolean => {
  const { roundsMax, gainMin } = config.fineTuning;
  const tuned = measuredAs(measurement, "fine_tuned");
  if (tuned?.gain === undefined || tuned.roundFits !== true) return false;
  if (prune !== undefined || escalation !== null || rounds >= roundsMax) return false;
  const { mean, upper, lossWithout } = tuned.gain;
  return gainBefore === null || upper >= gainMin * lossWithout || mean > gainBefore.mean;
};

/** What a contest's window leads to. `passed` is a keep. */
export const verdictOf = (contested: Contested, config: MorphogeneticConfig): Verdict => {
  const { measurement, grownSteps, twinSteps, escalation } = contested;
  const gateThree = contested.prune === undefined ? verdictGate : pruneVerdictGate;
  const gate = confirmed(gateThree(measurement, grownSteps, twinSteps, config), contested);
  if (!gate.passed && gate.measured && goesOn(contested, config)) {
    const reason = `${gate.reason}; round ${contested.rounds} of at most ${config.fineTuning.roundsMax}, another follows`;
    return { ...gate, reason, decision: "undecided", by: "evidence" };
  }
  if (!gate.passed) return { ...gate, decision: "cull", by: "evidence" }; // J1
  const judgements = measuredAs(measurement, "fine_tuned")?.judgements;
  if (judgements === undefined) {
    const reason = "gate 3: what the jury looks at was not measured";
    return { ...gate, passed: false, measured: false, reason, decision: "cull", by: "evidence" };
  }
  const jury = weighJury(judgements, config.jury);
  const evidence = { ...gate.evidence, ...jury.evidence };
  const decided = (decision: "keep" | "cull", by: Verdict["by"], why: string): Verdict => ({
    passed: decision === "keep",
    measured: true,
    decision,
    by,
    reason: `${gate.reason}; ${jury.reason}${why}`,
    evidence: by === "evidence" ? evidence : { ...evidence, settledBy: by },
  });
  const resolution = escalation?.resolution ?? null;
  if (resolution !== null) return decided(resolution.verdict, "operator", `; the operator: ${resolution.reason}`);
  if (jury.decision !== "split") return decided(jury.decision, "evidence", "");
  const windows = escalation?.windows ?? 0;
  const { escalationEpochsMax, escalationPolicy } = config.jury;
  // J3
  if (windows >= escalationEpochsMax) {
    const waited = `nobody answered in ${windows} windows, at most ${escalationEpochsMax}`;
    return decided(escalationPolicy, "policy", `; ${waited}: ${escalationPolicy} by policy`);
  }
  return {
    passed: false,
    measured: true,
    decision: "split",
    by: "evidence",
    reason: `${jury.reason}: the jury is split, the operator is asked`,
    evidence,
  };
};
