/** What the run store's records become in the ledger. */
import type { KasminaControlCommand } from "../contracts/commands.ts";
import type { LedgerDraft, LedgerSubject, RefusedCommands } from "../contracts/ledger.ts";
import type { BoundaryRecord, CommandRecord, RunOutcome, RunStore } from "./run-store.ts";

/** Whoever opens and ends runs. */
const node = "node";
/** Whoever decides at a boundary. */
const execution = "kasmina";

const subjectOf = (command: KasminaControlCommand, runId: string | undefined): LedgerSubject => {
  const site = "prune" in command ? command.prune?.site : "site" in command ? command.site : undefined;
  const seedId = "seedId" in command ? command.seedId : undefined;
  const run = runId ?? command.runId;
  return {
    ...(run === undefined ? {} : { runId: run }),
    ...(seedId === undefined ? {} : { seedId }),
    ...(site === undefined ? {} : { site }),
  };
};

export const startDraft = (runId: string, arm: string): LedgerDraft => ({
  actor: node,
  subject: { runId },
  kind: "run_started",
  payload: { arm },
});

export const finishDraft = (runId: string, { kind, reason }: RunOutcome): LedgerDraft => ({
  actor: node,
  subject: { runId },
  kind: "run_finished",
  payload: { outcome: kind, reason },
});

export const commandDraft = ({
  command,
  receipt,
  sender,
  origin,
  runId,
  paused,
}: Omit<CommandRecord, "pending">): LedgerDraft => ({
  actor: sender,
  subject: subjectOf(command, runId),
  kind: "command",
  payload: { command, receipt, ...(origin === undefined ? {} : { origin }), ...(paused === undefined ? {} : { paused }) },
});

export const refusalsDraft = (payload: RefusedCommands): LedgerDraft => ({
  actor: payload.principal,
  subject: {},
  kind: "refusals",
  payload,
});

type Told = Pick<BoundaryRecord, "runId" | "transitions" | "budget">;

const transitionDrafts = ({ runId, transitions }: Pick<Told, "runId" | "transitions">): LedgerDraft[] =>
  transitions.map((payload) => ({
    actor: execution,
    subject: { runId, seedId: payload.seedId },
    kind: "transition",
    payload,
  }));

const budgetDrafts = ({ runId, budget }: Pick<Told, "runId" | "budget">): LedgerDraft[] =>
  budget.map((payload) => ({
    actor: execution,
    subject: { runId, ...("seedId" in payload ? { seedId: payload.seedId } : {}) },
    kind: "budget",
    payload,
  }));

/** `applied` are the commands that waited for this boundary. */
export const boundaryDrafts = (record: BoundaryRecord, applied: readonly KasminaControlCommand[]): readonly LedgerDraft[] => {
  const { runId, refusals, escalations } = record;
  const decisions = applied.map((command): LedgerDraft => {
    const { requestId, kind } = command;
    const refusal = refusals.find((each) => each.requestId === requestId);
    const reason = refusal?.reason ?? ("reason" in command ? command.reason : "");
    return {
      actor: execution,
      subject: subjectOf(command, runId),
      kind: "decision",
      payload:
        refusal === undefined
          ? { requestId, command: kind, outcome: "applied", reason }
          : { requestId, command: kind, outcome: "refused", code: refusal.code, reason },
    };
  });
  const asked = escalations.map(
    (payload): LedgerDraft => ({
      actor: execution,
      subject: { runId, seedId: payload.seedId },
      kind: "escalation",
      payload,
    }),
  );
  return [...decisions, ...transitionDrafts(record), ...budgetDrafts(record), ...asked];
};

/** The checkpoint's transitions and budget are told anew: from here on they are what counts. */
export const rewindDrafts = ({
  runId,
  epoch,
  transitions,
  budget,
}: Parameters<RunStore["rewindRun"]>[0]): readonly LedgerDraft[] => [
  { actor: node, subject: { runId }, kind: "rewind", payload: { epoch, transitions: transitions.length } },
  ...transitionDrafts({ runId, transitions }),
  ...budgetDrafts({ runId, budget: budget === undefined ? [] : [{ move: "open", standing: budget }] }),
];
