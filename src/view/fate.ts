/**
 * What became of a command after its receipt: held, approved by whom, accepted for which window, and what it did. Pure.
 *
 * F1 Only what was told is shown: an effect is one that the run's own events tell.
 */
import type { ViewCommand, ViewRun, ViewState } from "../contracts/view.ts";
import { findRun, findSeed } from "./reduce.ts";

export interface FateStep {
  readonly label: string;
  readonly tone: "good" | "warn" | "bad" | "";
  readonly detail: string;
  /** The seed or the run that it is to be seen at. */
  readonly link?: { readonly kind: "seed" | "run"; readonly id: string };
}

const runOf = (state: ViewState, { runId }: ViewCommand): ViewRun | undefined => findRun(state, runId ?? state.currentRunId);

/** F1. Undefined while nothing tells of it. */
const effectOf = (command: ViewCommand, state: ViewState): FateStep | undefined => {
  const run = runOf(state, command);
  const { kind, seedId, target, requestId, appliesAtEpoch } = command;
  if (run === undefined || appliesAtEpoch === null) return undefined;
  const seen = (detail: string, link?: FateStep["link"]): FateStep => ({
    label: "in effect",
    tone: "good",
    detail,
    ...(link === undefined ? {} : { link }),
  });
  if (kind === "germinate" && seedId !== null) {
    const seed = findSeed(run, seedId);
    if (seed?.trial?.requestId !== requestId) return undefined;
    return seen(`${seedId} is ${seed.state} since window ${seed.sinceEpoch}`, { kind: "seed", id: seedId });
  }
  if (kind === "cull" || kind === "rollback" || kind === "release" || kind === "resolve" || kind === "transition") {
    const seed = seedId === null ? undefined : findSeed(run, seedId);
    const step = seed?.history.find(({ epoch, to }) => epoch >= appliesAtEpoch && (kind !== "cull" || to !== "GERMINATED"));
    if (seed === undefined || step === undefined) return undefined;
    return seen(`${seed.seedId} became ${step.to} in window ${step.epoch}`, { kind: "seed", id: seed.seedId });
  }
  if (kind === "pin" && target !== null && run.holds.pins.includes(target)) return seen(`${target} is pinned`);
  if (kind === "checkpoint") {
    const written = run.checkpoints.find(({ epoch }) => epoch >= appliesAtEpoch - 1);
    return written === undefined ? undefined : seen(`written after window ${written.epoch}`);
  }
  if (kind === "stop") return run.outcome === "running" ? undefined : seen(`the run is ${run.outcome}`);
  return run.epoch >= appliesAtEpoch ? seen(`since window ${appliesAtEpoch}`) : undefined;
};

/** The name of a run that waits for its turn, as its receipt tells it. */
const runNameIn = ({ kind, detail }: ViewCommand): string | undefined =>
  kind === "start" ? /^(r-[\w-]+) waits/.exec(detail)?.[1] : undefined;

const startedBy = (state: ViewState, name: string): ViewRun | undefined =>
  state.runs.find(({ runId }) => runId.startsWith(`${name}-`));

/** From the first to the last that is known. */
export const fateOf = (command: ViewCommand, state: ViewState): readonly FateStep[] => {
  const steps: FateStep[] = [];
  const words = state.commands.filter(
    ({ kind, target, state: word }) => (kind === "approve" || kind === "veto") && target === command.requestId && word === "done",
  );
  if (command.state === "held" || command.expiresAtMs !== null || words.length > 0)
    steps.push({ label: "held", tone: "warn", detail: command.state === "held" ? command.detail : "it waited for approval" });
  for (const { kind, sender } of words)
    steps.push(
      kind === "approve"
        ? { label: `approved by ${sender}`, tone: "good", detail: "the Gate let it pass" }
        : { label: `vetoed by ${sender}`, tone: "bad", detail: command.detail },
    );
  if (command.state === "refused") {
    if (command.code !== "vetoed") steps.push({ label: "refused", tone: "bad", detail: command.detail });
    return steps;
  }
  if (command.state === "held") return steps;
  const name = runNameIn(command);
  if (name !== undefined) {
    const run = startedBy(state, name);
    steps.push({ label: "queued", tone: "warn", detail: command.detail });
    if (run !== undefined)
      steps.push({
        label: "started",
        tone: "good",
        detail: `${run.runId} is ${run.outcome}`,
        link: { kind: "run", id: run.runId },
      });
    return steps;
  }
  if (command.state === "done") return [...steps, { label: "done", tone: "good", detail: command.detail }];
  steps.push({
    label: command.appliesAtEpoch === null ? "accepted" : `accepted for window ${command.appliesAtEpoch}`,
    tone: "good",
    detail: command.detail,
  });
  const effect = effectOf(command, state);
  return effect === undefined ? steps : [...steps, effect];
};
