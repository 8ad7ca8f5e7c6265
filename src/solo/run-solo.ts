/**
 * One run in this thread, without bus and actors: the same session, the same boundary decisions and the same policy as a node's,
 * called in turn. Experiments and a user's own program run hosts this way.
 *
 * S1 Nothing waits for the clock: a kernel is compiled and measured at the boundary that asks for it, so that equal options give equal runs.
 * S2 An abort ends the run after the step that is under way; what was trained so far is returned.
 */
import type { CompiledKernelArtifact, FieldReport } from "../contracts/assets.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { Decision, KasminaControlCommand } from "../contracts/commands.ts";
import type { CompilationOutcome, CompilationRequest } from "../contracts/compilation.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { ContractError } from "../contracts/errors.ts";
import type { Host, Tensor } from "../contracts/graph.ts";
import type { SeedTransition } from "../contracts/lifecycle.ts";
import type { FlopsAccount, Validation } from "../contracts/measure.ts";
import type { EpochPlan, EpochResult, HostSummary, SessionSpec } from "../contracts/plan.ts";
import { SeedStateTable } from "../contracts/seed-state.ts";
import type { Engine } from "../engine/engine.ts";
import { contentHash } from "../graph/hash.ts";
import { createRandom } from "../graph/random.ts";
import { acceptCommand, createRunState, decideBoundary } from "../machines/boundary.ts";
import type { Calibration } from "../policy/calibration.ts";
import { decide, emptyPolicy, learn } from "../policy/decide.ts";
import { kernelTags } from "../policy/kernel-tags.ts";
import { emptyPruning, learnPruning, proposePruning } from "../policy/prune.ts";
import type { ImportedHost } from "../workers/lane.ts";
import { characterizeKernel } from "../workers/session/characterize.ts";
import { compileKernel } from "../workers/session/forge.ts";
import { Session } from "../workers/session/session.ts";

export interface SoloOptions {
  readonly spec: SessionSpec;
  readonly dataset: DatasetBuffers;
  readonly engine: Engine;
  /** Another engine, whose logits every kernel's are held against before it may be taken. */
  readonly reference: Engine;
  /** False: the host trains alone. */
  readonly growth: boolean;
  /** The host and its weights when `spec.model` names a file. */
  readonly imported?: ImportedHost;
  /** Milliseconds that only grow; for the time of a dry run and of windows. */
  readonly nowMs: () => number;
  readonly signal?: AbortSignal;
  readonly onWindow?: (result: EpochResult) => void;
  readonly onTransition?: (transition: SeedTransition) => void;
  readonly onDecision?: (decision: Omit<Decision, "latencyMs">) => void;
  /** An operator at the boundary: what it returns is judged like any command of a node's operator. */
  readonly operator?: (at: OperatorView) => KasminaControlCommand | undefined;
  /** Other constants of the policy than those that ship; for what sets them. */
  readonly calibration?: Calibration;
}

/** What an operator sees of the run after a window. */
export interface OperatorView {
  readonly epoch: number;
  readonly hostStep: number;
  readonly host: HostSummary;
}

export interface SoloOutcome {
  readonly outcome: "done" | "stopped";
  readonly reason: string;
  readonly results: readonly EpochResult[];
  readonly transitions: readonly SeedTransition[];
  readonly decisions: readonly Omit<Decision, "latencyMs">[];
  /** One for each trial that ended, forecast beside measurement. */
  readonly fieldReports: readonly FieldReport[];
  readonly damagedSites: readonly string[];
  readonly hostAtStart: HostSummary;
  readonly hostAtEnd: HostSummary;
  readonly flops: FlopsAccount;
  readonly flopsMax: number;
  readonly hostSteps: number;
  /** On test samples, read once; absent when the run was stopped. */
  readonly test: Validation | undefined;
  readonly host: Host;
  /** The host's parameters as they ended, optimizer state left out. */
  readonly parameters: Readonly<Record<string, Tensor>>;
}

/** What Tezzeret and Urabrask make of a request, in turn. */
interface Forged {
  readonly compilation: CompilationOutcome;
  readonly characterization: KernelTags;
}

const machine = "this thread";
const validationSeed = 1;

const forgeFor =
  ({ engine, reference, spec, nowMs }: SoloOptions, session: Session, kernels: Record<string, CompiledKernelArtifact>) =>
  async ({ key, seedId, runId }: CompilationRequest): Promise<Forged> => {
    const { host } = session;
    const { artifact } = await compileKernel(engine, key, host);
    const kernelHash = contentHash(artifact);
    kernels[kernelHash] = artifact;
    const { blueprintHash, parameters } = artifact;
    const config = spec.morphogenetic.validation;
    const random = createRandom(validationSeed);
    const measured = await characterizeKernel(artifact, host, { engine, reference, config, random, nowMs });
    const named = { kernelHash, machine, engine: key.engine, hostHash: key.hostHash, blueprint: key.request };
    const keyHash = contentHash(key);
    return {
      compilation: {
        kind: "ready",
        taskId: "",
        runId,
        seedId,
        keyHash,
        kernelHash,
        blueprintHash,
        parameters,
        flops: {},
        compileMs: 0,
      },
      characterization: { ...named, tags: kernelTags(measured, config), measured },
    };
  };

/** The parameters of a host among everything that a snapshot keeps. */
const parametersOf = (session: Session): Record<string, Tensor> => {
  const { tensors } = session.snapshot();
  return Object.fromEntries(
    session.host.graph.parameters.flatMap(({ name }) => {
      const tensor = tensors[`host/${name}`];
      return tensor === undefined ? [] : [[name, tensor]];
    }),
  );
};

/** From the first step to the last that the budget allows. Throws what the session throws: InputError for a spec or data that do not fit. */
export const runSolo = async (options: SoloOptions): Promise<SoloOutcome> => {
  const { spec, dataset, engine, growth, imported, nowMs, signal, calibration } = options;
  const { runId, morphogenetic, batchSize, optimizer, epochSteps } = spec;
  const table = new SeedStateTable(0);
  const request = { spec, dataset, table, seedIds: [], ...(imported === undefined ? {} : { imported }) };
  const session = await Session.open(request, { engine, nowMs, tell: () => undefined });
  const stop = (): void => {
    table.stopRequested = true; // S2
  };
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted === true) stop();
  try {
    const hostAtStart = session.status.host;
    const validationBatches = Math.ceil(dataset.validation.count / batchSize);
    const kernel = { engine: engine.name, engineVersion: engine.version, optimizer, batchSize };
    const setup = { runId, arm: "solo", growth, config: morphogenetic, epochSteps, flopsMax: session.status.flopsMax };
    let state = createRunState({ ...setup, validationBatches, kernel, askAgainMs: 1 }, hostAtStart);
    const policySetup = { config: morphogenetic, validationBatches, ...(calibration === undefined ? {} : { calibration }) };
    let policy = emptyPolicy;
    let pruning = emptyPruning;
    let result: EpochResult | undefined;
    let forged: readonly Forged[] = [];
    let reason = "stopped";
    const kernels: Record<string, CompiledKernelArtifact> = {};
    const forge = forgeFor(options, session, kernels);
    const results: EpochResult[] = [];
    const transitions: SeedTransition[] = [];
    const decisions: Omit<Decision, "latencyMs">[] = [];
    const fieldReports: FieldReport[] = [];

    const nextPlan = async (): Promise<EpochPlan | undefined> => {
      const { epoch, host } = session.status;
      const compilations = forged.map(({ compilation }) => compilation);
      const characterizations = forged.map(({ characterization }) => characterization);
      const decided = decideBoundary(state, { nowEpoch: epoch, host, result, compilations, characterizations });
      if (decided.kind !== "decided") throw new ContractError(`boundary ${epoch}: expected a decision, found ${decided.kind}`);
      state = decided.state;
      // S1. A kernel waits for its boundary: it is handed in again until another is asked for.
      if (decided.submissions.length > 0) forged = await Promise.all(decided.submissions.map(forge));
      for (const transition of decided.transitions) {
        transitions.push(transition);
        options.onTransition?.(transition);
      }
      for (const report of decided.fieldReports) {
        policy = learn(policy, report, morphogenetic);
        pruning = learnPruning(pruning, report);
        fieldReports.push(report);
      }
      if (decided.health !== undefined) {
        const made = decide(policy, decided.health, policySetup);
        policy = made.state;
        decisions.push(made.decision);
        options.onDecision?.(made.decision);
        if (made.command !== undefined) state = acceptCommand(state, made.command).state;
      }
      if (decided.parts !== undefined) {
        const made = proposePruning(pruning, decided.parts, morphogenetic);
        pruning = made.state;
        const accepted = made.command && acceptCommand(state, made.command);
        state = accepted?.state ?? state;
        // A germination of the same window comes first.
        const refusal = accepted?.receipt.kind === "refused" ? accepted.receipt.reason : undefined;
        const decision: typeof made.decision =
          refusal === undefined
            ? made.decision
            : { ...made.decision, outcome: "refused", reason: `${made.decision.reason}; ${refusal}` };
        decisions.push(decision);
        options.onDecision?.(decision);
      }
      const { hostStep } = session.status;
      const asked = options.operator?.({ epoch, hostStep, host });
      if (asked !== undefined) state = acceptCommand(state, asked).state;
      if (decided.reply.kind === "stop") reason = decided.reply.reason;
      return decided.reply.kind === "run" ? decided.reply.plan : undefined;
    };

    for (let plan = await nextPlan(); plan !== undefined && signal?.aborted !== true; plan = await nextPlan()) {
      result = await session.run(plan, kernels);
      results.push(result);
      options.onWindow?.(result);
      if (result.interrupted) break;
    }
    const stopped = signal?.aborted === true;
    const { flops, flopsMax, hostStep, damagedSites, host: hostAtEnd } = session.status;
    return {
      outcome: stopped ? "stopped" : "done",
      reason: stopped ? "interrupted" : reason,
      results,
      transitions,
      decisions,
      fieldReports,
      damagedSites,
      hostAtStart,
      hostAtEnd,
      flops,
      flopsMax,
      hostSteps: hostStep,
      test: stopped ? undefined : await session.test(),
      host: session.host,
      parameters: parametersOf(session),
    };
  } finally {
    signal?.removeEventListener("abort", stop);
    await session.dispose();
  }
};
