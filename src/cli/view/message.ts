/** A message of the bus with the type that its subject gives it. */
import type { Envelope } from "../../contracts/envelope.ts";
import { type PayloadOf, type SubjectName, subjectNames, subjects } from "../../contracts/subjects.ts";

export type ViewMessage = { [S in SubjectName]: { readonly subject: S; readonly payload: PayloadOf<S> } }[SubjectName];

export type ParsedMessage =
  | { readonly kind: "message"; readonly message: ViewMessage }
  | { readonly kind: "unreadable"; readonly reason: string };

const isSubject = (subject: string): subject is SubjectName => subjectNames.some((name) => name === subject);

export const parseMessage = (envelope: Envelope): ParsedMessage => {
  const { subject } = envelope;
  if (!isSubject(subject)) return { kind: "unreadable", reason: `unknown subject ${subject}` };
  const parsed = subjects[subject].payload.safeParse(envelope.payload);
  if (!parsed.success)
    return { kind: "unreadable", reason: `${subject}: ${parsed.error.issues[0]?.message ?? "does not fit its schema"}` };
  return { kind: "message", message: { subject, payload: parsed.data } as ViewMessage };
};
