/** What a run orders of the forges, signed, and how it judges what comes back: by the very predicates that it ordered with. */
import type { KernelTags } from "../contracts/characterization.ts";
import type { CompilationOutcome, CompilationRequest } from "../contracts/compilation.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { CapabilityClaims, CharacterizeTask, CompileTask } from "../contracts/work.ts";
import { type Order, type OrderTerms, orderCharacterization, orderCompilation } from "../machines/task-orders.ts";
import { type Acceptance, judgeResult, measurementsOfCharacterization, measurementsOfKernel } from "../policy/acceptance.ts";
import { hashJson } from "../store/json.ts";
import { kernelKeyHash } from "../store/library.ts";

export interface OrderPorts {
  readonly terms: OrderTerms;
  /** Signs what a task may do in the library. */
  readonly mint: (claims: CapabilityClaims) => string;
}

type Ready = Extract<CompilationOutcome, { kind: "ready" }>;

export interface Orders {
  compilation(wanted: CompilationRequest, nowMs: number): CompileTask;
  characterization(wanted: CompilationRequest, kernel: Ready, nowMs: number): CharacterizeTask;
  /** The outcome, or a failure with the predicate that it does not keep to. */
  judgeKernel(wanted: CompilationRequest, outcome: CompilationOutcome): CompilationOutcome;
  judgeCharacterization(wanted: CompilationRequest, kernel: Ready, tags: KernelTags): Acceptance;
}

export const createOrders = (
  { terms, mint }: OrderPorts,
  { compileTimeoutMs, validation }: Pick<MorphogeneticConfig, "compileTimeoutMs" | "validation">,
): Orders => {
  const ofKernel = (wanted: CompilationRequest, nowMs: number): Order<CompileTask> => {
    const hashes = { key: kernelKeyHash(wanted.key), request: hashJson(wanted.key.request, "blueprint request") };
    return orderCompilation(wanted, hashes, terms, { nowMs, wallMsMax: compileTimeoutMs });
  };
  const ofTags = (wanted: CompilationRequest, kernel: Ready, nowMs: number): Order<CharacterizeTask> =>
    orderCharacterization(wanted, kernel, validation, terms, nowMs);
  return {
    compilation: (wanted, nowMs) => {
      const { task, claims } = ofKernel(wanted, nowMs);
      return { ...task, token: mint(claims) };
    },
    characterization: (wanted, kernel, nowMs) => {
      const { task, claims } = ofTags(wanted, kernel, nowMs);
      return { ...task, token: mint(claims) };
    },
    judgeKernel: (wanted, outcome) => {
      if (outcome.kind === "failed") return outcome;
      const { taskId, runId, seedId, keyHash } = outcome;
      const accepted = judgeResult(ofKernel(wanted, 0).task.acceptance, measurementsOfKernel(outcome));
      return accepted.kind === "accepted" ? outcome : { kind: "failed", taskId, runId, seedId, keyHash, reason: accepted.reason };
    },
    judgeCharacterization: (wanted, kernel, { measured }) =>
      judgeResult(ofTags(wanted, kernel, 0).task.acceptance, measurementsOfCharacterization(measured)),
  };
};
