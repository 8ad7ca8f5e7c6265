/**
 * What becomes of the messages of a stream that is gone: what the database still keeps is sent again, before anything new is; the rest is
 * told as a gap.
 *
 * N1 Consumers that had a message drop it by its id, so that too much is sent again rather than too little.
 * N2 A gap is told where consumers were behind with messages that are not sent again; what nobody measured is told as not known.
 * N3 The first streams of a fresh data directory are no loss.
 */
import type { StreamLoss } from "../bus/create.ts";
import { describeError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { SupervisionEvent } from "../contracts/subjects.ts";
import type { RunStore, SentAgain } from "../store/run-store.ts";

/** Subjects whose messages are written to the outbox before they are sent; those of others are in their streams alone. */
const fromOutbox: readonly string[] = [
  "system.events.seed",
  "system.events.command",
  "system.events.escalation",
  "innovation.field_reports",
  "compilation.blueprint.submitted",
  "validation.kernel.submitted",
];

export interface LostStreamsOptions {
  readonly runs: Pick<RunStore, "sendAgain" | "listRuns">;
  readonly clock: Clock;
  readonly log: Log;
  readonly announce: (event: SupervisionEvent) => void;
}

/** N2 */
const gapsOf = (
  { waiting, handledBeforeMs, subjects }: StreamLoss,
  { left, forgottenBeforeMs }: SentAgain,
): readonly string[] => {
  const kept = subjects.some((subject) => fromOutbox.includes(subject));
  const forgotten =
    kept && handledBeforeMs !== undefined && forgottenBeforeMs !== undefined && forgottenBeforeMs > handledBeforeMs;
  return [
    ...waiting
      .filter(({ subject }) => !fromOutbox.includes(subject))
      .map(({ principal, subject, waiting: count }) => `at least ${count} of ${subject} that ${principal} had not handled`),
    ...(left > 0 ? [`${left} messages, the oldest, for which the outbox has no room`] : []),
    ...(forgotten ? [`what was sent before ${new Date(forgottenBeforeMs).toISOString()} and not handled is no longer kept`] : []),
  ];
};

const unknownOf = ({ subjects, handledBeforeMs }: StreamLoss): string => {
  const others = subjects.filter((subject) => !fromOutbox.includes(subject));
  if (others.length === 0) return "";
  const since = handledBeforeMs === undefined ? "" : ` since ${new Date(handledBeforeMs).toISOString()}`;
  return `; whether ${others.join(", ")} lost any${since} is not known`;
};

export const createLostStreams = ({ runs, clock, log, announce }: LostStreamsOptions): ((loss: StreamLoss) => void) => {
  return (loss) => {
    const { stream, subjects, handledBeforeMs } = loss;
    try {
      const since = handledBeforeMs === undefined ? {} : { sinceMs: handledBeforeMs };
      const sent = runs.sendAgain({ subjects, ...since, nowMs: clock.nowMs() });
      if (sent.again === 0 && runs.listRuns(1).length === 0) return; // N3
      const gaps = gapsOf(loss, sent);
      const told = gaps.length === 0 ? unknownOf(loss) : `; gap: ${gaps.join("; ")}`;
      announce({
        kind: "stream_lost",
        child: "oona",
        detail: `${stream}: it was gone; ${sent.again} messages are sent again${told}`,
      });
    } catch (error) {
      log.error("what a lost stream held could not be sent again", { stream, reason: describeError(error) });
      const reason = `gap: nothing of it could be sent again: ${describeError(error)}`;
      announce({ kind: "stream_lost", child: "oona", detail: `${stream}: it was gone; ${reason}`.slice(0, 1_000) });
    }
  };
};
