/**
 * Nissa, observability: writes every event of a run to its log and shows it to whoever watches.
 *
 * N1 A durable event is acknowledged only after it is in the log.
 * N2 A log that cannot be written, on a full disk for example, is tried again until it can: the stream keeps the events meanwhile.
 * N3 An event that the log already holds is not shown again.
 * N4 A question is answered from what this node measured; what was not measured is left out.
 */
import type { MessageContext } from "../bus/bus.ts";
import type { Envelope } from "../contracts/envelope.ts";
import { schemaVersion } from "../contracts/envelope.ts";
import { describeError } from "../contracts/errors.ts";
import type { Performance } from "../contracts/performance.ts";
import { delay } from "../contracts/ports.ts";
import { type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, startActor } from "./shell.ts";

/** Where Nissa writes: one log per run, and one for what belongs to no run. */
export interface EventSink {
  /** False when the log holds an event of this id already. */
  append(runId: string | undefined, envelope: Envelope): Promise<boolean>;
}

export interface NissaPorts {
  readonly sink: EventSink;
  /** Shown in the order of arrival; must not throw and must not wait. */
  readonly watch: (envelope: Envelope) => void;
  /** How this node does. */
  readonly performance: () => Performance;
}

/** Wait before a log is written again. */
const retryMs = 1_000;

const listensTo = subjectNames.filter(
  (name) => (subjects[name].listeners as readonly string[]).includes("nissa") && !("reply" in subjects[name]),
);

export const startNissa = (ports: ActorPorts, { sink, watch, performance }: NissaPorts): Promise<RunningChild> =>
  startActor("nissa", ports, async ({ on, answer, clock, log, signal }) => {
    const append = async (runId: string | undefined, envelope: Envelope): Promise<boolean> => {
      for (;;) {
        try {
          return await sink.append(runId, envelope);
        } catch (error) {
          log.error("an event could not be logged", { runId, subject: envelope.subject, reason: describeError(error) });
          await delay(clock, retryMs, signal); // N2
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
        const durable = "stream" in subjects[subject];
        if (durable && !(await append(runIdOf(payload), envelope))) return; // N1, N3
        watch(envelope);
      };
    for (const subject of listensTo) await on(subject, handle(subject));
    await answer("query.performance", () => performance()); // N4
  });

/** The run that an event belongs to. A command and its receipt say it each in their own place. */
const runIdOf = (payload: unknown): string | undefined => {
  if (!isRecord(payload)) return undefined;
  const { runId, command, receipt } = payload;
  if (typeof runId === "string") return runId;
  if (!isRecord(command) || !isRecord(receipt) || receipt.code === "unknown_run") return undefined;
  return typeof command.runId === "string" ? command.runId : undefined;
};

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
