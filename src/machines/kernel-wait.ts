/** When the kernel of a germinated seed is due, and what of it is outstanding then. Pure. */
import type { KernelTags } from "../contracts/characterization.ts";
import type { CompilationOutcome } from "../contracts/compilation.ts";
import type { BoundaryReply } from "../contracts/plan.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import { seedSnapshot } from "./kasmina-state.ts";
import { seedStateOf, type Trial } from "./seed-context.ts";

/** What the forge has told of kernels by now. */
export interface Forged {
  readonly compilations: readonly CompilationOutcome[];
  /** What Urabrask measured of those kernels. */
  readonly characterizations: readonly KernelTags[];
}

export type WaitReply = Extract<BoundaryReply, { kind: "wait" }>;

/** Wait before an open boundary asks for its kernel again: a fraction of a window, and many times what a boundary costs. */
const askAgainMs = 50;

/** Whether the boundary after window `epoch` takes the kernel: `kernelLeadEpochs` windows after its germination, at least one. */
export const kernelIsDue = ({ setup }: KasminaRunState, { startedAtEpoch }: Trial, epoch: number): boolean =>
  epoch >= startedAtEpoch + Math.max(1, setup.config.kernelLeadEpochs);

/** Whether an outcome is of the seed in trial. */
export const isAwaited = ({ setup, activeSeedId }: KasminaRunState, { runId, seedId }: CompilationOutcome): boolean =>
  runId === setup.runId && seedId === activeSeedId;

/** What a boundary waits for after all that was told has been taken; undefined when the run goes on. */
export const outstandingKernel = (
  state: KasminaRunState,
  epoch: number,
  { compilations }: Pick<Forged, "compilations">,
): WaitReply | undefined => {
  const { activeSeedId: seedId } = state;
  if (seedId === null) return undefined;
  const { context } = seedSnapshot(state, seedId);
  const { trial } = context;
  if (seedStateOf(context) !== "GERMINATED" || trial === null || !kernelIsDue(state, trial, epoch)) return undefined;
  const compiled = compilations.some((outcome) => outcome.kind === "ready" && isAwaited(state, outcome));
  return { kind: "wait", seedId, outstanding: compiled ? "characterization" : "compilation", askAgainMs };
};
