/**
 * The dead-letter desk, under the supervisor's login: keeps what no actor could handle, shows it, and sends it again when a person asks.
 *
 * The supervisor and nobody else, because it alone owns the streams; Nissa, who looks and never acts, would need the right to say
 * everything that any actor says.
 *
 * Q1 A letter that was told is in the database before its message is acknowledged; a disk that refuses it is tried until it does not.
 * Q2 What is sent again is the message as its sender sent it, with its id: who handled it before sees that it is the same.
 * Q3 A letter whose message is gone, is none, or no longer fits its subject is refused, and stays.
 */
import type { CommandReceipt, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import type { DeadLetter, DeadLetterAnswer, DeadLetterQuery } from "../contracts/dead-letter.ts";
import { describeError } from "../contracts/errors.ts";
import { delay } from "../contracts/ports.ts";
import { type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";
import type { DeadLetterStore, StoredLetter } from "../store/dead-letters.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

/** Wait before a letter is stored again. */
const retryMs = 1_000;

export const startDeadLetters = (ports: ActorPorts, letters: DeadLetterStore): Promise<RunningChild> =>
  startActor("supervisor", ports, async (scope) => {
    const { clock, log, signal } = scope;
    await scope.on("system.events.dead_letter", async (event) => {
      if (event.kind !== "died") return;
      for (;;) {
        try {
          const { id, pushedOut } = letters.add(event.report, clock.nowMs());
          if (pushedOut > 0) log.warn("dead letters are full: the oldest were pushed out", { id, pushedOut });
          return;
        } catch (error) {
          log.error("a dead letter could not be stored", { reason: describeError(error) });
          await delay(clock, retryMs, signal); // Q1
        }
      }
    });
    await scope.answer("query.dead_letters", (query) => answer(letters, query));
    await scope.answer("control.letters.admitted", async ({ by, command }): Promise<CommandReceipt> => {
      if (command.kind === "dead_letter") return carryOut(scope, letters, command, by.principal);
      const { requestId, kind } = command;
      return { kind: "refused", requestId, code: "invalid", reason: `${kind} is not answered by the desk of dead letters` };
    });
  });

const answer = (letters: DeadLetterStore, query: DeadLetterQuery): DeadLetterAnswer => {
  if (query.kind === "list") return { kind: "letters", letters: letters.list(query).map(shown), kept: letters.count() };
  const found = letters.find(query.id);
  if (found === undefined) return { kind: "unknown", reason: `there is no dead letter ${query.id}` };
  const { envelope, raw } = found;
  return {
    kind: "letter",
    letter: shown(found),
    ...(envelope === undefined ? {} : { envelope }),
    ...(raw === undefined ? {} : { raw }),
  };
};

type DeadLetterOrder = Extract<KasminaControlCommand, { kind: "dead_letter" }>;

const carryOut = async (
  scope: ActorScope,
  letters: DeadLetterStore,
  { action, id, requestId }: DeadLetterOrder,
  by: string,
): Promise<CommandReceipt> => {
  const refused = (code: RefusalCode, reason: string): CommandReceipt => ({
    kind: "refused",
    requestId,
    code,
    reason,
  });
  const letter = letters.find(id);
  if (letter === undefined) return refused("unknown_letter", `there is no dead letter ${id}`);
  const { subject, principal, messageId, envelope } = letter;
  if (action === "drop") {
    letters.drop(id);
  } else {
    const stuck = whyStuck(letter);
    if (stuck !== undefined || envelope === undefined) return refused("stuck", stuck ?? "its message is gone"); // Q3
    const sent = await scope.bus.resend(envelope, `retry:${requestId}`); // Q2
    if (sent.kind === "failed") return refused("unavailable", sent.reason);
    letters.markRetried(id);
  }
  const told = action === "drop" ? "dropped" : "retried";
  scope.log.info(`a dead letter was ${told}`, { id, subject, principal, messageId, by });
  const event = { kind: told, id, subject, principal, messageId, by } as const;
  const published = await scope.bus.publish("system.events.dead_letter", event, { messageId: `${told}:${requestId}` });
  if (published.kind === "failed") scope.log.warn("an event could not be published", { reason: published.reason });
  return {
    kind: "done",
    requestId,
    detail: action === "drop" ? "dropped" : `${messageId} was put on ${subject} again`,
  };
};

const isSubject = (subject: string): subject is SubjectName => subjectNames.some((name) => name === subject);

/** Q3 */
const whyStuck = ({ subject, envelope, raw }: StoredLetter): string | undefined => {
  if (envelope === undefined)
    return raw === undefined
      ? "its message was larger than is kept, or was gone from its stream"
      : "it is no message of this program";
  if (!isSubject(subject) || !("stream" in subjects[subject])) return `${subject} is no durable subject`;
  const unfit = subjects[subject].payload.safeParse(envelope.payload).error;
  return unfit === undefined ? undefined : `it does not fit ${subject}: ${unfit.issues[0]?.message ?? "no reason given"}`;
};

const shown = (letter: StoredLetter): DeadLetter => {
  const { envelope: _, raw: __, ...rest } = letter;
  const stuck = whyStuck(letter);
  return stuck === undefined ? rest : { ...rest, stuck };
};
