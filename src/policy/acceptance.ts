/** Judges the result of a task by the predicates that were ordered with it. Pure. A metric that was not measured fails. */
import type { KernelCharacterization } from "../contracts/characterization.ts";
import type { CompilationOutcome } from "../contracts/compilation.ts";
import type { AcceptancePredicate, TaskMetric } from "../contracts/work.ts";

/** What a result holds; what it does not hold was not measured. */
export type TaskMeasurements = Readonly<Partial<Record<TaskMetric, number>>>;

export type Acceptance = { readonly kind: "accepted" } | { readonly kind: "refused"; readonly reason: string };

const holds: Readonly<Record<AcceptancePredicate["op"], (measured: number, value: number) => boolean>> = {
  "<=": (measured, value) => measured <= value,
  ">=": (measured, value) => measured >= value,
  "==": (measured, value) => measured === value,
};

/** Every predicate must hold; the first that does not is the reason. */
export const judgeResult = (predicates: readonly AcceptancePredicate[], measured: TaskMeasurements): Acceptance => {
  for (const { metric, op, value } of predicates) {
    const found = measured[metric];
    if (found === undefined || !Number.isFinite(found))
      return { kind: "refused", reason: `acceptance: expected ${metric} ${op} ${value}, it was not measured` };
    if (!holds[op](found, value))
      return { kind: "refused", reason: `acceptance: expected ${metric} ${op} ${value}, found ${found}` };
  }
  return { kind: "accepted" };
};

export const measurementsOfKernel = ({
  compileMs,
  parameters,
}: Extract<CompilationOutcome, { kind: "ready" }>): TaskMeasurements => ({ compileMs, parameters });

export const measurementsOfCharacterization = (measured: KernelCharacterization | undefined): TaskMeasurements => {
  if (measured === undefined) return {};
  const { latency, memoryBytes, parameters, drift, deadShare, firstStepSpike, stability } = measured;
  return {
    parameters,
    memoryBytes,
    "latency.kernelStep.medianMs": latency.kernelStep.medianMs,
    "latency.grownEvaluate.medianMs": latency.grownEvaluate.medianMs,
    "stability.steps": stability.steps,
    ...(stability.lossRatio === undefined ? {} : { "stability.lossRatio": stability.lossRatio }),
    ...(drift === undefined ? {} : { "drift.relative": drift.relative }),
    ...(deadShare === undefined ? {} : { deadShare }),
    ...(firstStepSpike === undefined ? {} : { firstStepSpike }),
  };
};
