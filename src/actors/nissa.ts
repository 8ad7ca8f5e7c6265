/**
 * Nissa, observability: writes every event of a run to its log and shows it to whoever watches.
 *
 * N1 A durable event is acknowledged only after it is in the log.
 * N2 A log that cannot be written, on a full disk for example, is tried again until it can: the stream keeps the events meanwhile.
 * N3 An event that the log already holds is not shown again.
 * N4 A question is answered from what this node measured; what was not measured is left out. No such question waits for the log.
 * N5 A decision is kept for questions before its event is acknowledged.
 */
import type { MessageContext } from "../bus/bus.ts";
import type { CommandReceipt } from "../contracts/commands.ts";
import { Decision } from "../contracts/decision.ts";
import type { Envelope } from "../contracts/envelope.ts";
import { schemaVersion } from "../contracts/envelope.ts";
import { describeError } from "../contracts/errors.ts";
import { type Alert, alertsMax, type Health } from "../contracts/observed.ts";
import type { Performance } from "../contracts/performance.ts";
import { delay } from "../contracts/ports.ts";
import { runIdOf } from "../contracts/run-of.ts";
import { type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";
import { type AlertChange, applyChange, changesOf, inOrder, type Told } from "../machines/alerts.ts";
import { createRunStandings, type RunStandings } from "../machines/run-standing.ts";
import type { DecisionStore } from "../store/decision-store.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, startActor } from "./shell.ts";

/** Where Nissa writes: one log per run, and one for what belongs to no run. */
export interface EventSink {
  /** False when the log holds an event of this id already. */
  append(runId: string | undefined, envelope: Envelope): Promise<boolean>;
}

/** What Nissa has seen; it outlives her. */
export interface NissaMemory {
  alerts: readonly Alert[];
  readonly runs: RunStandings;
}

export const createNissaMemory = (): NissaMemory => ({ alerts: [], runs: createRunStandings() });

export interface NissaPorts {
  readonly sink: EventSink;
  /** Shown in the order of arrival; must not throw and must not wait. */
  readonly watch: (envelope: Envelope) => void;
  /** How this node does. */
  readonly performance: () => Performance;
  /** Whether it is ready. */
  readonly health: () => Health;
  readonly decisions: DecisionStore;
  readonly memory: NissaMemory;
}

/** Wait before a log is written again. */
const retryMs = 1_000;
/** What an alert of the log's disk is about. */
const eventLog = "event log";
const reasonMax = 1000;

const listensTo = subjectNames.filter(
  (name) => (subjects[name].listeners as readonly string[]).includes("nissa") && !("reply" in subjects[name]),
);

export const startNissa = (
  ports: ActorPorts,
  { sink, watch, performance, health, decisions, memory }: NissaPorts,
): Promise<RunningChild> =>
  startActor("nissa", ports, async ({ on, answer, clock, log, signal }) => {
    const note = (change: AlertChange): void => {
      memory.alerts = applyChange(memory.alerts, change, clock.nowMs(), alertsMax);
    };
    /** N2 */
    const written = async <T>(
      write: () => T | Promise<T>,
      about: { readonly runId: string | undefined; readonly subject: string },
    ) => {
      for (;;) {
        try {
          const result = await write();
          note({ kind: "clear", about: eventLog, kinds: ["disk"] });
          return result;
        } catch (error) {
          const reason = describeError(error).slice(0, reasonMax);
          log.error("an event could not be logged", { ...about, reason });
          note({ kind: "raise", alert: { kind: "disk", severity: "critical", about: eventLog, reason } });
          await delay(clock, retryMs, signal);
        }
      }
    };
    const handle =
      (subject: SubjectName) =>
      async (payload: unknown, context: MessageContext): Promise<void> => {
        const envelope: Envelope = {
          id: context.id,
          subject,
          sender: context.sender,
          sentAtMs: context.sentAtMs,
          traceId: context.traceId,
          schemaVersion,
          payload,
        };
        const decision = subject === "system.events.decision" ? Decision.safeParse(payload).data : undefined;
        const runId = runIdOf(payload);
        const about = { runId, subject };
        if (decision !== undefined) await written(() => decisions.add(context.id, decision), about); // N5
        const durable = "stream" in subjects[subject];
        if (durable && !(await written(() => sink.append(runId, envelope), about))) return; // N1, N3
        // The bus has checked the payload against the subject's schema.
        const told = { subject, payload } as Told;
        for (const change of changesOf(told)) note(change);
        memory.runs.note(told);
        watch(envelope);
      };
    for (const subject of listensTo) await on(subject, handle(subject));
    await answer("control.nissa.admitted", ({ command }): CommandReceipt => {
      const { requestId } = command;
      if (command.kind !== "decisions")
        return { kind: "refused", requestId, code: "invalid", reason: `${command.kind} is not answered by who watches` };
      const { runId, sinceEpoch, limit } = command;
      return {
        kind: "decisions",
        requestId,
        decisions: [...decisions.list({ runId, sinceEpoch, limit })],
        kept: decisions.count(runId),
      };
    });
    const beside = { beside: () => true }; // N4
    await answer("query.performance", () => performance(), beside);
    await answer("query.health", () => health(), beside);
    await answer("query.observed", () => ({ atMs: clock.nowMs(), runs: memory.runs.list() }), beside);
    await answer(
      "query.alerts",
      ({ activeOnly }) => {
        const active = memory.alerts.filter(({ untilMs }) => untilMs === undefined);
        return { atMs: clock.nowMs(), active: active.length, alerts: inOrder(activeOnly ? active : memory.alerts) };
      },
      beside,
    );
  });
