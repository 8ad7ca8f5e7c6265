/**
 * Who really sent a message, on subjects whose sender the server vouches for. Pure.
 *
 * An envelope says of itself who sent it. On a vouched subject that is not believed: a login publishes on `<subject>.<its name>`, the
 * server lets nobody else publish there, and the receiver reads the name off the subject. The operator may leave the name out.
 */
import { type Principal, type SubjectName, subjects } from "../contracts/subjects.ts";

const unnamed: Principal = "operator";

export const isVouched = (subject: SubjectName): boolean => "vouched" in subjects[subject];

const named = (subject: SubjectName, principal: Principal): string => `${subject}.${principal}`;

/** Where a login's messages on this subject go. */
export const sentAs = (subject: SubjectName, principal: Principal): string =>
  isVouched(subject) && principal !== unnamed ? named(subject, principal) : subject;

/** What a login that may publish this subject may publish on the wire. */
export const wirePublishes = (subject: SubjectName, principal: Principal): readonly string[] => {
  if (!isVouched(subject)) return [subject];
  return principal === unnamed ? [subject, named(subject, principal)] : [named(subject, principal)];
};

/** What a listener listens to on the wire. */
export const wireListens = (subject: SubjectName): readonly string[] =>
  isVouched(subject) ? [subject, `${subject}.*`] : [subject];

export type Vouched =
  | { readonly kind: "known"; readonly principal: Principal }
  | { readonly kind: "unknown"; readonly name: string }
  /** The subject vouches for nobody. */
  | { readonly kind: "unvouched" };

/** @param wireSubject the subject that the message came on */
export const senderOf = (subject: SubjectName, wireSubject: string): Vouched => {
  if (!isVouched(subject)) return { kind: "unvouched" };
  const name = wireSubject === subject ? unnamed : wireSubject.slice(subject.length + 1);
  const publishers: readonly Principal[] = subjects[subject].publishers;
  const principal = publishers.find((publisher) => publisher === name);
  return principal === undefined ? { kind: "unknown", name } : { kind: "known", principal };
};
