/**
 * Sends what the database says must be sent, in order; what cannot be sent stays for the next time. What only another actor may publish
 * is left to that one.
 *
 * B1 A message goes out only when none that was written before it waits: also where a lost stream made those wait again meanwhile.
 * B2 Nothing waits for a stream that is gone: whoever makes it again says first what is to be sent again.
 * B3 What waits is tried again by itself, whoever else calls.
 */
import { createHash } from "node:crypto";
import type { Bus } from "../bus/bus.ts";
import type { Cancel, Clock, Log } from "../contracts/ports.ts";
import { type InputOf, type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";
import type { RunStore } from "../store/run-store.ts";

const batchMessages = 256;
/** B3 */
const againMs = 2_000;

export interface Outbox {
  /** Resolves when everything that waited was sent, or could not be. Calls during a flush join the next one. */
  flush(): Promise<void>;
  /** B3, until it is cancelled. */
  keepSending(): Cancel;
}

export const createOutbox = (bus: Bus, runs: RunStore, clock: Clock, log: Log): Outbox => {
  let flushing: Promise<void> = Promise.resolve();
  /** The flush that has not begun yet: whoever calls meanwhile is served by it. */
  let next: Promise<void> | undefined;

  const mayPublish = (subject: SubjectName): boolean =>
    (subjects[subject].publishers as readonly string[]).includes(bus.principal);

  const sendAll = async (): Promise<void> => {
    for (;;) {
      const generation = runs.sentAgain();
      const messages = runs.pendingOutbox(batchMessages).filter(({ subject }) => !isSubject(subject) || mayPublish(subject));
      if (messages.length === 0) return;
      for (const { id, subject, payload } of messages) {
        if (runs.sentAgain() !== generation) break; // B1
        // One that can never be sent must not hold up those behind it.
        const problem = isSubject(subject) ? subjects[subject].payload.safeParse(payload).error?.message : "no such subject";
        if (problem !== undefined || !isSubject(subject)) {
          log.error("a message in the outbox does not fit its subject and is dropped", { id, subject, problem });
        } else {
          const sent = await bus.publish(subject, payload as InputOf<typeof subject>, {
            messageId: messageIdOf(id, subject, payload),
            atOnce: true, // B2
          });
          if (sent.kind === "failed") {
            log.warn("the outbox waits", { id, subject, reason: sent.reason });
            return;
          }
        }
        // B1: what was sent while its stream was lost is among those that wait again.
        if (runs.sentAgain() === generation) runs.markSent([id], clock.nowMs());
      }
    }
  };

  const flush = (): Promise<void> => {
    next ??= flushing.then(async () => {
      next = undefined;
      await sendAll().catch((error: unknown) => log.error("the outbox could not be sent", { error }));
    });
    flushing = next;
    return next;
  };

  return {
    flush,
    keepSending: () => {
      let ended = false;
      let cancel: Cancel = () => undefined;
      const beat = (): void => {
        cancel = clock.schedule(againMs, () => {
          void flush().then(() => {
            if (!ended) beat();
          });
        });
      };
      beat();
      return () => {
        ended = true;
        cancel();
      };
    },
  };
};

/** The same for the same message, and another for a message of another database that has the same number. */
const messageIdOf = (id: number, subject: string, payload: unknown): string => {
  const digest = createHash("sha256")
    .update(`${subject} ${JSON.stringify(payload)}`)
    .digest("hex");
  return `outbox-${id}-${digest.slice(0, 16)}`;
};

const isSubject = (subject: string): subject is SubjectName => (subjectNames as readonly string[]).includes(subject);
