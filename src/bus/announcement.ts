/**
 * What an actor tells of itself through the NATS services framework, so that anybody who may look finds who can do what: the metadata of
 * its service and of its endpoints. Schemas are JSON Schema, from the subject table. Pure.
 */
import { z } from "zod";
import { type ActorName, type Principal, type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";
import { isWorkQueue, streamOf } from "./streams.ts";

/** What a node says of itself. */
export interface NodeDescription {
  readonly node: string;
  /** Words about its machine. */
  readonly tags: readonly string[];
  /** What work costs there, 1 to 5. */
  readonly costTier: number;
}

export interface EndpointDescription {
  readonly about: string;
  /** JSON Schema. */
  readonly payload: string;
  /** JSON Schema of the answer; left out where there is none. */
  readonly reply?: string;
}

const written = new Map<SubjectName, EndpointDescription>();

const schemaText = (schema: z.ZodType, io: "input" | "output"): string =>
  JSON.stringify(z.toJSONSchema(schema, { io, unrepresentable: "any" }));

export const describeSubject = (subject: SubjectName): EndpointDescription => {
  const known = written.get(subject);
  if (known !== undefined) return known;
  const entry: { readonly about: string; readonly payload: z.ZodType; readonly reply?: z.ZodType } = subjects[subject];
  const described = {
    about: entry.about,
    payload: schemaText(entry.payload, "input"),
    ...(entry.reply === undefined ? {} : { reply: schemaText(entry.reply, "output") }),
  };
  written.set(subject, described);
  return described;
};

/** The tasks that an actor takes from a work queue: no endpoint, since nobody asks there, but what it can do. */
const tasksOf = (actor: ActorName): readonly SubjectName[] =>
  subjectNames.filter(
    (subject) => isWorkQueue(streamOf(subject) ?? "") && (subjects[subject].listeners as readonly Principal[]).includes(actor),
  );

/** A service's metadata: strings, as the framework wants it. */
export const serviceMetadata = (
  actor: ActorName,
  { node, tags, costTier }: NodeDescription,
): Readonly<Record<string, string>> => {
  const tasks = tasksOf(actor).map((subject) => ({ subject, ...describeSubject(subject) }));
  return {
    node,
    tags: tags.join(","),
    costTier: String(costTier),
    ...(tasks.length === 0 ? {} : { tasks: JSON.stringify(tasks) }),
  };
};
