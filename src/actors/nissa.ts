/**
 * Nissa, observability: writes every event of a run to its log and shows it to whoever watches.
 *
 * N1 A durable event is acknowledged only after it is in the log.
 * N2 An event that the log already holds is not shown again.
 */
import type { MessageContext } from "../bus/bus.ts";
import type { Envelope } from "../contracts/envelope.ts";
import { schemaVersion } from "../contracts/envelope.ts";
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
}

const listensTo = subjectNames.filter((name) => (subjects[name].listeners as readonly string[]).includes("nissa"));

export const startNissa = (ports: ActorPorts, { sink, watch }: NissaPorts): Promise<RunningChild> =>
  startActor("nissa", ports, async ({ on }) => {
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
        if (durable && !(await sink.append(runIdOf(payload), envelope))) return; // N1, N2
        watch(envelope);
      };
    for (const subject of listensTo) await on(subject, handle(subject));
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
