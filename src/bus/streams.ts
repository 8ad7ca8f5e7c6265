/** What JetStream keeps, for how long, and which durable consumers there are: all of it follows from the subject table. Pure. */
import { type ActorName, actorNames, type Principal, type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";

export const streamNames = ["EVENTS", "COMPILATION", "REPORTS", "DEAD_LETTERS"] as const;
export type StreamName = (typeof streamNames)[number];

export interface StreamSpec {
  readonly name: StreamName;
  readonly subjects: readonly string[];
  /**
   * `limits` keeps messages until the bounds push them out. `work-queue` keeps one until its only listening actor has
   * acknowledged it; several nodes that host this actor share the work.
   */
  readonly retention: "limits" | "work-queue";
  /** What happens at the bound: the oldest goes, or the sender is told that the stream is full. */
  readonly whenFull: "drop-oldest" | "refuse";
  readonly bytesMax: number;
  readonly ageMsMax: number;
  /** The same message id within this time is stored once. */
  readonly duplicateWindowMs: number;
}

export interface ConsumerSpec {
  readonly stream: StreamName;
  readonly actor: ActorName;
  readonly subject: SubjectName;
  readonly durable: string;
}

const dayMs = 86_400_000;

/** Share of the storage, age and rule of each stream; what is left of the storage is JetStream's own. */
const rules = {
  EVENTS: { share: 0.5, ageMsMax: 7 * dayMs, retention: "limits", whenFull: "drop-oldest" },
  COMPILATION: { share: 0.2, ageMsMax: dayMs, retention: "work-queue", whenFull: "refuse" },
  REPORTS: { share: 0.2, ageMsMax: 30 * dayMs, retention: "limits", whenFull: "drop-oldest" },
  DEAD_LETTERS: { share: 0.05, ageMsMax: 30 * dayMs, retention: "limits", whenFull: "drop-oldest" },
} as const satisfies Record<StreamName, { share: number; ageMsMax: number } & Pick<StreamSpec, "retention" | "whenFull">>;

/**
 * Where the server tells of messages that were handed over too often, or that their consumer gave up. The advisories are kept in a
 * stream like any other message, so that none is missed while nobody listens.
 */
export const deadLetterAdvisories = (stream: StreamName): readonly string[] =>
  ["MAX_DELIVERIES", "MSG_TERMINATED"].map((kind) => `$JS.EVENT.ADVISORY.CONSUMER.${kind}.${stream}.*`);

/** The supervisor's consumer of the advisories. */
export const advisoryConsumer = {
  stream: "DEAD_LETTERS",
  durable: "supervisor-advisories",
  filter: "$JS.EVENT.ADVISORY.CONSUMER.>",
} as const;

export const streamOf = (subject: SubjectName): StreamName | undefined => {
  const entry: { readonly about: string; readonly stream?: StreamName } = subjects[subject];
  return entry.stream;
};

export const isActor = (principal: Principal): principal is ActorName => (actorNames as readonly string[]).includes(principal);

/**
 * Who has a durable consumer of each stored subject that it listens to. People, and the HTTP server for those who look at its page, hear
 * such a subject live: what they miss is in the event log.
 */
export const consumesDurably = (principal: Principal): principal is Exclude<ActorName, "http"> =>
  isActor(principal) && principal !== "http";

/** Whether its messages are work that one of several takes, and that lasts: it has delivery limits of its own. */
export const isWorkQueue = (name: string): boolean => name === "COMPILATION";

/** JetStream names hold no dots. */
export const durableName = (actor: ActorName, subject: SubjectName): string => `${actor}-${subject.replaceAll(".", "-")}`;

/** @param storageBytesMax bytes on disk that all streams share */
export const streamSpecs = (storageBytesMax: number): readonly StreamSpec[] =>
  streamNames.map((name) => ({
    name,
    subjects: [
      ...subjectNames.filter((subject) => streamOf(subject) === name),
      ...(name === advisoryConsumer.stream ? streamNames.flatMap(deadLetterAdvisories) : []),
    ],
    retention: rules[name].retention,
    whenFull: rules[name].whenFull,
    bytesMax: Math.max(1, Math.floor(storageBytesMax * rules[name].share)),
    ageMsMax: rules[name].ageMsMax,
    duplicateWindowMs: 120_000,
  }));

/** One durable consumer for each actor that listens to a durable subject. */
export const consumerSpecs: readonly ConsumerSpec[] = subjectNames.flatMap((subject) => {
  const stream = streamOf(subject);
  if (!stream) return [];
  const listeners: readonly Principal[] = subjects[subject].listeners;
  return listeners.filter(consumesDurably).map((actor) => ({ stream, actor, subject, durable: durableName(actor, subject) }));
});
