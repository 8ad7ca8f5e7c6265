/**
 * Keeps streams and consumers as the table wants them, and tells who does not keep up.
 *
 * W1 After every reconnection, and whenever a look finds one gone, streams and consumers are made again; what was made is told.
 * W2 Every `healthMs` each consumer is looked at. One with more than `slowMessagesMax` waiting is told as slow, once, and as recovered
 *    once no more than half of that wait.
 * W3 One look at a time; a look that fails is logged and changes nothing: what was not measured is neither slow nor well.
 */
import { describeError } from "../contracts/errors.ts";
import { type Cancel, type Clock, delay, type Log } from "../contracts/ports.ts";
import type { Link } from "./link.ts";

export type ConsumerEvent =
  | {
      readonly kind: "slow" | "recovered";
      readonly principal: string;
      readonly subject: string;
      /** Messages that wait for it. */
      readonly waiting: number;
      /** Live messages that were dropped since it became slow; a durable consumer drops none. */
      readonly dropped: number;
    }
  | { readonly kind: "restored"; readonly made: readonly string[] };

/** A durable consumer as the server sees it. */
export interface ConsumerLook {
  readonly principal: string;
  readonly subject: string;
  readonly waiting: number;
}

export interface HealthLimits {
  readonly healthMs: number;
  readonly slowMessagesMax: number;
}

export interface KeepStreamsOptions {
  readonly link: Pick<Link, "connected" | "onReconnect">;
  /** Makes what is missing; the names of what it made. */
  readonly ensure: () => Promise<readonly string[]>;
  /** Every consumer that should be; undefined when one is gone. */
  readonly look: () => Promise<readonly ConsumerLook[] | undefined>;
  readonly onConsumer: (event: ConsumerEvent) => void;
  readonly limits: HealthLimits;
  readonly clock: Clock;
  readonly log: Log;
}

const attemptsMax = 5;
const pauseMs = 200;

/** Returns what ends it. */
export const keepStreams = (options: KeepStreamsOptions): Cancel => {
  const { link, ensure, look, onConsumer, limits, clock, log } = options;
  const slow = new Set<string>();
  let ended = false;
  let cancel: Cancel = () => undefined;
  let work: Promise<void> = Promise.resolve();

  /** W1 */
  const ensureAgain = async (): Promise<void> => {
    for (let attempt = 0; attempt < attemptsMax && !ended; attempt++) {
      try {
        const made = await ensure();
        if (made.length > 0) {
          log.warn("streams and consumers were gone and are made again", { made });
          onConsumer({ kind: "restored", made });
        }
        return;
      } catch (error) {
        log.warn("the streams could not be made again", { attempt, reason: describeError(error) });
        await delay(clock, pauseMs * 2 ** attempt);
      }
    }
  };

  /** W2 */
  const judge = ({ principal, subject, waiting }: ConsumerLook): void => {
    const key = `${principal} ${subject}`;
    if (!slow.has(key) && waiting > limits.slowMessagesMax) {
      slow.add(key);
      onConsumer({ kind: "slow", principal, subject, waiting, dropped: 0 });
    } else if (slow.has(key) && waiting <= limits.slowMessagesMax / 2) {
      slow.delete(key);
      onConsumer({ kind: "recovered", principal, subject, waiting, dropped: 0 });
    }
  };

  const lookOnce = async (): Promise<void> => {
    if (ended || !link.connected()) return;
    try {
      const seen = await look();
      if (ended) return;
      if (seen === undefined) await ensureAgain();
      else for (const each of seen) judge(each);
    } catch (error) {
      log.warn("the consumers could not be looked at", { reason: describeError(error) }); // W3
    }
  };

  /** W3 */
  const inTurn = (next: () => Promise<void>): Promise<void> => {
    work = work.then(next);
    return work;
  };
  const beat = (): void => {
    cancel = clock.schedule(limits.healthMs, () => {
      void inTurn(lookOnce).then(() => {
        if (!ended) beat();
      });
    });
  };
  beat();
  const offReconnect = link.onReconnect(() => void inTurn(ensureAgain));
  return () => {
    ended = true;
    cancel();
    offReconnect();
  };
};
