/**
 * The tasks that a run orders: a kernel to be made, and that kernel to be measured. Pure; equal orders have equal ids.
 *
 * K1 A task's capability opens what its goal needs and nothing else, and no longer than its deadline.
 */
import type { CompilationOutcome, CompilationRequest } from "../contracts/compilation.ts";
import type { ValidationConfig } from "../contracts/config-validation.ts";
import type { AcceptancePredicate, CapabilityClaims, CharacterizeTask, CompileTask } from "../contracts/work.ts";

/** What the one who orders asks of every forge. */
export interface OrderTerms {
  readonly machineTags: readonly string[];
  readonly assignee?: string | undefined;
  readonly latencyMsMax?: number | undefined;
  readonly memoryBytesMax?: number | undefined;
  /** Size of an asset in the library. */
  readonly bytesMax: number;
  readonly tokenMsMax: number;
}

/** A task before its capability is signed. */
export interface Order<T extends CompileTask | CharacterizeTask> {
  readonly task: Omit<T, "token">;
  readonly claims: CapabilityClaims;
}

/** The digits of a hash that make an id distinct enough to tell one order of a run from another. */
const shown = (hash: string): string => hash.slice(0, 24);

const sourceOf = (runId: string, seedId: string): string => `run ${runId} ${seedId}`.slice(0, 256);

const constraintsOf = (
  { machineTags, latencyMsMax, memoryBytesMax }: OrderTerms,
  engine: CompileTask["constraints"]["engine"],
  engineVersion: string,
): CompileTask["constraints"] => ({
  engine,
  engineVersion,
  machineTags: [...machineTags],
  ...(latencyMsMax === undefined ? {} : { latencyMsMax }),
  ...(memoryBytesMax === undefined ? {} : { memoryBytesMax }),
});

const timesOf = (nowMs: number, wallMsMax: number, { tokenMsMax }: OrderTerms) => {
  const deadlineAtMs = nowMs + Math.min(wallMsMax, tokenMsMax);
  return { deadlineAtMs, times: { issuedAtMs: nowMs, expiresAtMs: deadlineAtMs } }; // K1
};

export const orderCompilation = (
  { runId, seedId, key, cause }: CompilationRequest,
  hashes: { readonly key: string; readonly request: string },
  terms: OrderTerms,
  { nowMs, wallMsMax }: { readonly nowMs: number; readonly wallMsMax: number },
): Order<CompileTask> => {
  const { bytesMax, assignee } = terms;
  const { deadlineAtMs, times } = timesOf(nowMs, wallMsMax, terms);
  const id = `compile-${shown(hashes.key)}`;
  const inputs = [key.hostHash];
  return {
    task: {
      id,
      goal: { kind: "compile", key, keyHash: hashes.key },
      constraints: constraintsOf(terms, key.engine, key.engineVersion),
      context: { runId, seedId, inputs },
      acceptance: [{ metric: "compileMs", op: "<=", value: wallMsMax }],
      budget: { wallMsMax, bytesMax },
      ...(assignee === undefined ? {} : { assignee }),
      deadlineAtMs,
    },
    claims: {
      version: 1,
      taskId: id,
      source: sourceOf(runId, seedId),
      ...(cause === undefined ? {} : { cause }),
      subjects: ["library.asset.get", "library.asset.put", "library.kernel.find"],
      reads: inputs,
      writes: [
        { kind: "kernel", keyHash: hashes.key },
        { kind: "blueprint", requestHash: hashes.request },
      ],
      bytesMax,
      ...times,
    },
  };
};

export const orderCharacterization = (
  { runId, seedId, key }: CompilationRequest,
  { kernelHash, keyHash }: Extract<CompilationOutcome, { kind: "ready" }>,
  validation: ValidationConfig,
  terms: OrderTerms,
  nowMs: number,
): Order<CharacterizeTask> => {
  const { bytesMax, assignee, latencyMsMax, memoryBytesMax } = terms;
  const wallMsMax = validation.timeoutMs;
  const { deadlineAtMs, times } = timesOf(nowMs, wallMsMax, terms);
  const id = `characterize-${shown(kernelHash)}`;
  const inputs = [kernelHash, key.hostHash];
  const atMost = (metric: AcceptancePredicate["metric"], value: number | undefined): AcceptancePredicate[] =>
    value === undefined ? [] : [{ metric, op: "<=", value }];
  return {
    task: {
      id,
      goal: { kind: "characterize", kernelHash, validation },
      constraints: constraintsOf(terms, key.engine, key.engineVersion),
      context: { runId, seedId, inputs },
      acceptance: [
        { metric: "stability.steps", op: ">=", value: validation.steps },
        ...atMost("latency.kernelStep.medianMs", latencyMsMax),
        ...atMost("memoryBytes", memoryBytesMax),
      ],
      budget: { wallMsMax, bytesMax },
      ...(assignee === undefined ? {} : { assignee }),
      deadlineAtMs,
    },
    claims: {
      version: 1,
      taskId: id,
      source: sourceOf(runId, seedId),
      subjects: ["library.asset.get", "library.tags.find", "library.tags.put"],
      // The kernel is opened as the one that the library has for the key, not as what a forge calls it.
      reads: [key.hostHash],
      writes: [{ kind: "tags", keyHash }],
      bytesMax,
      ...times,
    },
  };
};
