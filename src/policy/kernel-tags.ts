/** The words for what Urabrask measured, relative to the host on the same machine. Pure; what was not measured gets no word. */
import type { KernelCharacterization } from "../contracts/characterization.ts";
import type { ValidationConfig } from "../contracts/config-validation.ts";

/** Time of a kernel step over the host's own, and FLOPs of the grown host's forward pass over the host's. */
const fastMax = 0.8;
const slowMin = 1.5;
const lightMax = 1.1;
const heavyMin = 1.5;
/** 99th percentile over median. */
const jitterMin = 5;
/** Part of the limit below which a value is calm. */
const calmShare = 0.1;

const either = (value: number | undefined, [low, high]: readonly [number, number], [below, above]: readonly [string, string]) =>
  value === undefined || !Number.isFinite(value) ? [] : value <= low ? [below] : value > high ? [above] : [];

/** Each tag stands for a measured number; no number, no tag. */
export const kernelTags = (measured: KernelCharacterization, config: ValidationConfig): string[] => {
  const { latency, flops, drift, deadShare, firstStepSpike, stability } = measured;
  const step = latency.kernelStep.medianMs / latency.hostStep.medianMs;
  const forward = flops.grownEvaluate / flops.hostEvaluate;
  const { lossRatio, finite } = stability;
  const stable = finite && lossRatio !== undefined && lossRatio <= config.lossRatioMax;
  return [
    ...either(step, [fastMax, slowMin], ["fast", "slow"]),
    ...either(forward, [lightMax, heavyMin], ["light", "heavy"]),
    ...(latency.kernelStep.p99Ms > jitterMin * latency.kernelStep.medianMs ? ["jittery"] : []),
    ...either(drift?.relative, [calmShare * config.driftMax, config.driftMax], ["low-drift", "drifting"]),
    ...either(deadShare, [calmShare * config.deadShareMax, config.deadShareMax], ["live-gradient", "dead-gradient"]),
    ...either(firstStepSpike, [calmShare * config.spikeMax, config.spikeMax], ["smooth", "spiky"]),
    ...(stable ? ["stable"] : ["unstable"]),
  ];
};
