/**
 * Feeds the view from the bus, and from the logs of runs that began before it listened.
 *
 * F1 An event is applied once, in the order of its run: while a log is read, what comes from the bus waits for its end.
 * F2 What waits is bounded; what does not fit is not shown, and the page's count of events says so.
 */
import type { Bus, MessageContext } from "../bus/bus.ts";
import { describeError } from "../contracts/errors.ts";
import type { Log } from "../contracts/ports.ts";
import type { PayloadOf } from "../contracts/subjects.ts";
import { type ViewSubject, viewSubjects } from "../view/read-event.ts";
import { findRun } from "../view/reduce.ts";
import type { LiveView } from "./view-ports.ts";

const waitingMax = 20_000;

type Waiting = () => void;

export const startViewFeed = async (bus: Bus, live: LiveView, log: Log): Promise<void> => {
  const { hub, reader } = live;
  const waiting: Waiting[] = [];
  let reading: Promise<void> | undefined;

  const readLogs = async (runIds: readonly string[]): Promise<void> => {
    for (const runId of runIds) {
      try {
        for await (const changes of live.replay(runId, reader)) hub.take(changes);
      } catch (error) {
        log.warn("the log of a run could not be shown", { runId, reason: describeError(error) });
      }
    }
  };
  /** F1 */
  const hold = (runIds: readonly string[]): Promise<void> => {
    const before = reading ?? Promise.resolve();
    const now = before
      .then(() => readLogs(runIds))
      .then(() => {
        if (reading !== now) return;
        reading = undefined;
        for (const take of waiting.splice(0)) take();
      });
    reading = now;
    return now;
  };

  /** A run that goes on from a checkpoint has a past that is in its log alone. */
  const hasPast = (subject: ViewSubject, payload: unknown): string | undefined => {
    if (subject !== "system.events.run" || typeof payload !== "object" || payload === null) return undefined;
    const { kind, runId, resumedAtEpoch } = payload as Partial<Record<"kind" | "runId" | "resumedAtEpoch", unknown>>;
    const known = typeof runId === "string" && findRun(hub.state, runId) !== undefined;
    return kind === "started" && resumedAtEpoch !== undefined && typeof runId === "string" && !known ? runId : undefined;
  };

  const handle =
    <S extends ViewSubject>(subject: S) =>
    (payload: PayloadOf<S>, { id, sentAtMs, traceId }: MessageContext): void => {
      const take = (): void => hub.take(reader.changesOf(subject, payload, { id, atMs: sentAtMs, traceId }));
      const past = hasPast(subject, payload);
      if (past !== undefined) void hold([past]);
      if (reading === undefined) take();
      else if (waiting.length < waitingMax)
        waiting.push(take); // F2
      else reader.missed();
    };

  const subscribeAll = async (): Promise<void> => {
    for (const subject of viewSubjects) await bus.subscribe(subject, handle(subject));
  };
  // F1: what comes meanwhile waits.
  void hold(live.runs());
  await subscribeAll();
};
