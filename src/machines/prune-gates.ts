/**
 * The two gates that a pruning passes in place of the screen and the verdict: it need not be better, it must not be worse and must save
 * FLOPs. G1 and G2 of the gates hold here too.
 */
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { KernelMeasurement, PairedGain } from "../contracts/measure.ts";
import { isNonInferior, type StepFlopsChange } from "../contracts/pruning.ts";
import { type Evidence, type GateOutcome, gainEvidence, measuredAs, shown } from "./gates.ts";

interface Measured {
  readonly gain?: PairedGain | undefined;
  readonly stepFlops?: StepFlopsChange | undefined;
}

/** Not inferior by more than `lossMax` of the loss, with at least the wanted confidence, and cheaper. */
const nonInferiorityGate = (
  what: string,
  { gain, stepFlops }: Measured,
  confidence: number,
  { lossMax }: MorphogeneticConfig["pruning"],
): GateOutcome => {
  if (gain === undefined || stepFlops === undefined)
    return {
      passed: false,
      measured: false,
      reason: `${what}: the loss or the FLOPs without the parts were not measured`,
      evidence: {},
    };
  const { before, after } = stepFlops;
  const evidence: Evidence = { ...gainEvidence(gain), lossMax, stepFlopsBefore: before, stepFlopsAfter: after };
  const told = { measured: true, evidence };
  if (gain.confidence < confidence - 1e-9)
    return {
      ...told,
      passed: false,
      reason: `${what}: measured with confidence ${shown(gain.confidence)}, ${shown(confidence)} is needed`,
    };
  const { holds, reason } = isNonInferior(gain, lossMax, stepFlops);
  return { ...told, passed: holds, reason: `${what}: ${reason}` };
};

/** EVALUATING: the frozen host without the parts against the host. */
export const pruneScreenGate = (measurement: KernelMeasurement | undefined, config: MorphogeneticConfig): GateOutcome =>
  nonInferiorityGate(
    "screen (without the parts against with)",
    measuredAs(measurement, "evaluated") ?? {},
    config.evaluation.confidence,
    config.pruning,
  );

/** Gate 3 for a pruning: the pruned host against its twin after as many steps on the same batches, which cost it less. */
export const pruneVerdictGate = (
  measurement: KernelMeasurement | undefined,
  grownSteps: number,
  twinSteps: number,
  config: MorphogeneticConfig,
): GateOutcome => {
  const tuned: Measured = measuredAs(measurement, "fine_tuned") ?? {};
  const { confidence, steps } = config.fineTuning;
  const outcome = nonInferiorityGate("gate 3 (pruned against twin)", tuned, confidence, config.pruning);
  const evidence: Evidence = { ...outcome.evidence, grownSteps, twinSteps };
  const fail = (reason: string): GateOutcome => ({ passed: false, measured: true, reason, evidence });
  if (!outcome.measured) return outcome;
  if (grownSteps < steps) return fail(`gate 3: ${grownSteps} of ${steps} steps done`);
  if (twinSteps < grownSteps)
    return fail(`gate 3: the twin had ${twinSteps} steps, the pruned host ${grownSteps}: not a fair comparison`);
  return { ...outcome, evidence };
};
