/**
 * Tells messages that died: to people as events of supervision, and durable ones to the desk that keeps them.
 *
 * E1 The same place in a stream is told once: by the actor that gave the message up, or by the server's own count.
 * E2 Of live messages and requests that die in a row, for one actor on one subject, people hear once in `quietMs`, with their number.
 * E3 What tells of letters is not told of again when it dies itself.
 */
import type { Bus } from "../bus/bus.ts";
import type { ConsumerEvent, DeadLetter } from "../bus/create.ts";
import type { DeadLetterReport } from "../contracts/dead-letter.ts";
import { ServiceError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { InputOf, SubjectName, SupervisionEvent } from "../contracts/subjects.ts";

export interface TellPorts {
  /** The supervisor's bus as it is now. */
  readonly bus: () => Bus | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Of a larger message only the reason is kept. */
  readonly letterBytesMax: number;
}

export interface LetterTeller {
  /** @throws ServiceError when a durable message's letter is not in its stream: the message is then kept */
  tell(letter: DeadLetter): Promise<void>;
}

const reasonMax = 4000;
const quietMs = 1_000;

const own: readonly string[] = ["system.events.dead_letter", "system.events.supervision"] satisfies readonly SubjectName[];

export const createLetterTeller = ({ bus, clock, log, letterBytesMax }: TellPorts): LetterTeller => {
  /** Letters not told yet, by actor and subject: as many as the table of subjects has pairs. */
  const unheard = new Map<string, number>();

  const publish = async <S extends "system.events.supervision" | "system.events.dead_letter">(
    to: S,
    payload: InputOf<S>,
    messageId?: string,
  ): Promise<string | undefined> => {
    const sent = await bus()?.publish(to, payload, messageId === undefined ? {} : { messageId });
    return sent?.kind === "sent" ? undefined : (sent?.reason ?? "the bus is down");
  };

  const announce = async ({ principal: child, subject }: DeadLetter, text: string, messageId?: string): Promise<void> => {
    if (own.includes(subject)) return; // E3
    const detail = `${subject}: ${text}`;
    const problem = await publish("system.events.supervision", { kind: "dead_letter", child, detail }, messageId);
    if (problem !== undefined) log.warn("an event could not be published", { reason: problem });
  };

  /** E2 */
  const announceLive = async (letter: DeadLetter, reason: string): Promise<void> => {
    const key = `${letter.principal} ${letter.subject}`;
    const waiting = unheard.get(key);
    if (waiting !== undefined) {
      unheard.set(key, waiting + 1);
      return;
    }
    unheard.set(key, 0);
    clock.schedule(quietMs, () => {
      const more = unheard.get(key) ?? 0;
      unheard.delete(key);
      if (more > 0) void announce(letter, `${more} more within ${quietMs} ms`);
    });
    await announce(letter, reason);
  };

  return {
    tell: async (letter) => {
      const { principal, subject, place, envelope, raw } = letter;
      const reason = letter.reason.slice(0, reasonMax);
      if (place === undefined) return announceLive(letter, reason);
      if (subject === "system.events.dead_letter") return log.error("a dead letter could not be kept", { reason }); // E3
      const messageId = `dead-letter:${principal}:${place.stream}:${place.sequence}:${envelope?.id ?? ""}`; // E1
      await announce(letter, reason, messageId);
      const small = envelope !== undefined && JSON.stringify(envelope).length <= letterBytesMax;
      const report: DeadLetterReport = {
        principal,
        subject,
        reason,
        ...place,
        ...(small ? { envelope } : {}),
        ...(raw === undefined ? {} : { raw }),
      };
      const problem = await publish("system.events.dead_letter", { kind: "died", report }, messageId);
      if (problem !== undefined)
        throw new ServiceError(`expected the dead letter of ${principal} on ${subject} to be stored: ${problem}`, { subject });
    },
  };
};

const namesMax = 8;

/** Who does not keep up, as people hear of it. */
export const toldOfConsumer = (event: ConsumerEvent): SupervisionEvent => {
  if (event.kind === "restored") {
    const names = event.made.slice(0, namesMax).join(", ");
    const more = event.made.length > namesMax ? ` and ${event.made.length - namesMax} more` : "";
    return { kind: "consumers_restored", child: "oona", detail: `were gone and are made again: ${names}${more}` };
  }
  const { kind, principal: child, subject, waiting, dropped } = event;
  const lost = dropped > 0 ? `, ${dropped} dropped` : "";
  return {
    kind: kind === "slow" ? "slow_consumer" : "consumer_recovered",
    child,
    detail: `${subject}: ${waiting} messages wait${lost}`,
  };
};
