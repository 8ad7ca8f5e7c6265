/**
 * Feeds the view from the bus, from what Nissa has written, and from the logs of runs that began before the node did. It outlives the server, so that
 * what happens while no server listens to the bus is told by Nissa alone.
 *
 * F1 An event is applied once, in the order of its run: while a log is read, what comes meanwhile waits for its end.
 * F2 What waits is bounded. What does not fit is in the log of its run by the time that Nissa tells it: the log that is being read is read on from
 *    where its reading ended, that of a run that is not known yet is read next. What is in neither is lost, and counted when Nissa tells it.
 * F3 A run that the view knows is not read again: its events came by the bus or by Nissa, whichever was first.
 * F4 After a time without a server, what the bus brings of a subject waits until Nissa tells the same: what she tells late of that time comes before it.
 */
import type { Bus, MessageContext } from "../bus/bus.ts";
import type { Envelope } from "../contracts/envelope.ts";
import { describeError } from "../contracts/errors.ts";
import type { Log } from "../contracts/ports.ts";
import { runIdOf } from "../contracts/run-of.ts";
import type { PayloadOf } from "../contracts/subjects.ts";
import type { ViewChange } from "../contracts/view.ts";
import type { ViewHub } from "../view/hub.ts";
import { isViewSubject, type ViewReader, type ViewSubject, viewSubjects } from "../view/read-event.ts";

/** A part of a run's log, and the place after it. */
export interface Replayed {
  readonly changes: readonly ViewChange[];
  readonly end: number;
}

export interface ViewFeedOptions {
  readonly hub: ViewHub;
  readonly reader: ViewReader;
  /** The log of a run from a place on, through the reader. */
  readonly replay: (runId: string, from: number, reader: ViewReader) => AsyncIterable<Replayed>;
  readonly log: Pick<Log, "warn">;
  /** F2 */
  readonly waitingMax?: number;
}

export interface ViewFeed {
  /** From the bus, which has checked it. */
  take<S extends ViewSubject>(
    subject: S,
    payload: PayloadOf<S>,
    context: Pick<MessageContext, "id" | "sentAtMs" | "traceId">,
  ): void;
  /** From Nissa, who has written it. */
  tell(envelope: Envelope): void;
  /** A server listens from now on, while these runs are up. Reads the logs of those that are not known. F3, F4 */
  listen(runIds: readonly string[]): void;
}

const waitingMaxUsual = 20_000;
/** Runs whose logs wait to be read because something of them did not fit, at most. */
const readingMax = 64;
/** Is in no log. */
const progress: ViewSubject = "telemetry.run.progress";

/** Events of one subject for which Nissa's word is waited for; she may be down. F4 */
const heldMax = 256;

export const createViewFeed = ({ hub, reader, replay, log, waitingMax = waitingMaxUsual }: ViewFeedOptions): ViewFeed => {
  /** By id: what came by both ways waits once. */
  const waiting = new Map<string, () => void>();
  const reading: string[] = [];
  /** Something of the run whose log is being read did not fit. */
  let overflowed = false;

  /** Resolves with the place where the log ended. */
  const readFrom = async (runId: string, from: number): Promise<number> => {
    let place = from;
    try {
      for await (const { changes, end } of replay(runId, from, reader)) {
        hub.take(changes);
        place = end;
      }
    } catch (error) {
      log.warn("the log of a run could not be shown", { runId, reason: describeError(error) });
    }
    return place;
  };

  /** F1 */
  const readAll = async (): Promise<void> => {
    for (let runId = reading[0]; runId !== undefined; runId = reading[0]) {
      let place = await readFrom(runId, 0);
      while (overflowed) {
        overflowed = false;
        applyWaiting();
        place = await readFrom(runId, place); // F2
      }
      reading.shift();
    }
    applyWaiting();
  };
  const applyWaiting = (): void => {
    const takes = [...waiting.values()];
    waiting.clear();
    for (const take of takes) take();
  };
  const bring = (runIds: readonly string[]): void => {
    const unknown = runIds.filter((runId) => !reader.knows(runId) && !reading.includes(runId)); // F3
    if (unknown.length === 0) return;
    const idle = reading.length === 0;
    reading.push(...unknown);
    if (idle) void readAll();
  };

  /** A run that goes on from a checkpoint has a past that is in its log alone. */
  const bringPast = (subject: string, payload: unknown): void => {
    if (subject !== "system.events.run" || typeof payload !== "object" || payload === null) return;
    const { kind, runId, resumedAtEpoch } = payload as Partial<Record<"kind" | "runId" | "resumedAtEpoch", unknown>>;
    if (kind === "started" && resumedAtEpoch !== undefined && typeof runId === "string") bring([runId]);
  };
  /** F4: by subject, what the bus brought, by id. */
  const behind = new Map<string, Map<string, () => void>>();
  const release = (subject: string): void => {
    const held = behind.get(subject);
    behind.delete(subject);
    for (const take of held?.values() ?? []) take();
  };
  /** F2: whether what does not fit is read from a log that is yet to be read to its end. */
  const inLog = (subject: string, payload: unknown): boolean => {
    const runId = subject === progress ? undefined : runIdOf(payload);
    if (runId === undefined) return false;
    if (runId === reading[0]) overflowed = true;
    else if (reading.length < readingMax) bring([runId]); // F3
    return reading.includes(runId);
  };
  const enter = (subject: string, payload: unknown, id: string, take: () => void, byNissa: boolean): void => {
    if (reader.hasRead(id)) return; // F1
    bringPast(subject, payload);
    if (reading.length === 0) take();
    else if (waiting.size < waitingMax || waiting.has(id)) waiting.set(id, take);
    // Nissa tells all but progress, sooner or later: it is counted once.
    else if (!inLog(subject, payload) && (byNissa || subject === progress)) reader.missed(); // F2
  };
  return {
    take: (subject, payload, { id, sentAtMs, traceId }) => {
      const take = (): void =>
        enter(subject, payload, id, () => hub.take(reader.changesOf(subject, payload, { id, atMs: sentAtMs, traceId })), false);
      const held = behind.get(subject);
      if (held === undefined) take();
      else if (held.set(id, take).size >= heldMax) release(subject);
    },
    tell: (envelope) => {
      const { subject, payload, id } = envelope;
      // Progress is told by the next, and is in no log.
      if (!isViewSubject(subject) || subject === progress) return;
      enter(subject, payload, id, () => hub.take(reader.read(envelope)), true);
      if (behind.get(subject)?.has(id) === true) release(subject); // F4
    },
    listen: (runIds) => {
      if (runIds.some((runId) => reader.knows(runId)))
        for (const subject of viewSubjects) if (subject !== progress && !behind.has(subject)) behind.set(subject, new Map());
      bring(runIds);
    },
  };
};

/** Listens on the bus for as long as it is open. */
export const startViewFeed = async (bus: Pick<Bus, "subscribe">, feed: ViewFeed, runs: readonly string[]): Promise<void> => {
  const listen = <S extends ViewSubject>(subject: S): Promise<unknown> =>
    bus.subscribe(subject, (payload, context) => feed.take(subject, payload, context));
  feed.listen(runs);
  for (const subject of viewSubjects) await listen(subject);
};
