/**
 * Takes the messages of one durable consumer, one at a time.
 *
 * D1 One message is out at a time: a crash costs that message one of its deliveries, and no other.
 * D2 It is acknowledged only after the handler resolved.
 * D3 While the handler works the server is told so, for at most `handlerMsMax`.
 * D4 A handler that rejects gets the message again after a growing pause; at the last delivery it becomes a dead letter.
 * D5 A message that does not fit is a dead letter at once.
 * D6 After the connection is back, or the consumer was away, it goes on by itself; duplicates may come.
 * D7 A message becomes a dead letter before it is given up; what could not be told is handed over again, or found by the server's count.
 * D8 A message that is declined goes back at once for somebody else, and this consumer asks for none until another had time to take it.
 */
import { describeError } from "../contracts/errors.ts";
import { type Cancel, type Clock, delay, type Log } from "../contracts/ports.ts";
import type { Subscription } from "./bus.ts";
import { clientFailure, type Msg, type NatsConnection, nanos } from "./nats-client.ts";
import { createSerialQueue } from "./serial-queue.ts";
import type { DeliveryLimits } from "./stream-admin.ts";
import { deliveryOf } from "./wire.ts";

export interface DurableLimits extends DeliveryLimits {
  /** Longest time that a handler is given before the server may hand the message to somebody else. */
  readonly handlerMsMax: number;
  /** Pause after the first rejection, doubled at each further one. */
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  /** One question to the server stays open for this long. */
  readonly pullMs: number;
}

/** `unfit`: it can never be handled. */
export type Handled =
  | { readonly kind: "done" }
  | { readonly kind: "declined"; readonly reason: string }
  | { readonly kind: "unfit"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

export interface DurableOptions {
  readonly connection: NatsConnection;
  readonly stream: string;
  readonly durable: string;
  readonly limits: DurableLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls back at each reconnection. */
  readonly onReconnect: (callback: () => void) => Cancel;
  readonly handle: (message: Msg, redeliveries: number) => Promise<Handled>;
  /** D7. Rejects when the dead letter could not be told. */
  readonly onGivenUp: (message: Msg, reason: string) => Promise<void>;
}

const encoder = new TextEncoder();
const acks = { done: encoder.encode("+ACK"), working: encoder.encode("+WPI"), terminate: encoder.encode("+TERM") };
const nak = (delayMs: number): Uint8Array => encoder.encode(`-NAK {"delay":${nanos(delayMs)}}`);

/** Grace for the server's own "nothing came" to arrive. */
const answerMsMax = 2_000;
const heldMax = 64;

export const consumeDurable = (options: DurableOptions): Subscription => {
  const { connection, stream, durable, limits, clock, log } = options;
  const stopping = new AbortController();
  const pause = (ms: number): Promise<void> => delay(clock, ms, stopping.signal).catch(() => undefined);
  /** How long this consumer asks for nothing after it declined. */
  let standBackMs = 0;
  const retryMs = (attempt: number): number => Math.min(limits.retryMsMax, limits.retryMsMin * 2 ** Math.min(attempt - 1, 30));

  /** D3. Returns what ends it. */
  const keepAlive = (message: Msg): Cancel => {
    const untilMs = clock.monotonicMs() + limits.handlerMsMax;
    let cancel: Cancel = () => undefined;
    const beat = (): void => {
      if (clock.monotonicMs() >= untilMs || connection.isClosed()) return;
      message.respond(acks.working);
      cancel = clock.schedule(limits.ackWaitMs / 3, beat);
    };
    cancel = clock.schedule(limits.ackWaitMs / 3, beat);
    return () => cancel();
  };

  const settle = (message: Msg, answer: Uint8Array): void => {
    // On a closed connection nothing is said: the server hands the message over again.
    if (!connection.isClosed()) message.respond(answer);
  };

  const work = async (message: Msg): Promise<void> => {
    const deliveries = deliveryOf(message.reply ?? "")?.deliveries ?? 1;
    const stop = keepAlive(message);
    try {
      const handled = await options.handle(message, deliveries - 1);
      if (handled.kind === "done") return settle(message, acks.done); // D2
      if (handled.kind === "declined" && deliveries < limits.deliveriesMax) {
        log.info("a message is left to others", { durable, deliveries, reason: handled.reason });
        standBackMs = retryMs(deliveries);
        return settle(message, nak(0)); // D8
      }
      if (handled.kind === "failed") {
        if (stopping.signal.aborted) return settle(message, nak(0));
        if (deliveries < limits.deliveriesMax) return settle(message, nak(retryMs(deliveries))); // D4
      }
      // D5
      const reason =
        handled.kind === "unfit" ? handled.reason : `handed over ${deliveries} times, the last time: ${handled.reason}`;
      await options.onGivenUp(message, reason); // D7
      settle(message, acks.terminate);
    } catch (error) {
      log.warn("a dead letter could not be told", { durable, reason: describeError(error) });
    } finally {
      stop();
    }
  };
  const held = createSerialQueue<Msg>(heldMax, work); // D1

  const take = (message: Msg): void => {
    if (stopping.signal.aborted || !held.push(message)) settle(message, nak(0));
  };

  /** One question. `late` answers, to a question that was given up after a reconnection, are taken as well. */
  const pull = async (): Promise<"message" | "nothing" | "trouble"> => {
    const body = encoder.encode(JSON.stringify({ batch: 1, expires: nanos(limits.pullMs) }));
    // An inbox of its own: the client's shared one knows an answer by its subject, and here that is the stored message's.
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    const asked = connection.request(subject, body, { timeout: limits.pullMs + answerMsMax, noMux: true });
    const answered = asked.then(
      (message): "message" | "nothing" | "trouble" => {
        if (deliveryOf(message.reply ?? "")) {
          take(message);
          return "message";
        }
        return message.headers?.code === 404 || message.headers?.code === 408 ? "nothing" : "trouble";
      },
      (error: unknown): "nothing" | "trouble" => {
        const failure = clientFailure(error);
        if (failure !== "timeout") log.debug("a durable consumer cannot be asked", { durable, reason: describeError(error) });
        return failure === "timeout" ? "nothing" : "trouble";
      },
    );
    let cancel: Cancel = () => undefined;
    const back = new Promise<"nothing">((resolve) => {
      const off = options.onReconnect(() => resolve("nothing")); // D6
      const abort = (): void => resolve("nothing");
      stopping.signal.addEventListener("abort", abort, { once: true });
      cancel = () => {
        off();
        stopping.signal.removeEventListener("abort", abort);
      };
    });
    return Promise.race([answered, back]).finally(cancel);
  };

  const run = async (): Promise<void> => {
    let troubles = 0;
    while (!stopping.signal.aborted && !connection.isClosed()) {
      const outcome = await pull();
      troubles = outcome === "trouble" ? troubles + 1 : 0;
      if (troubles === 3) log.warn("a durable consumer is away; asking on", { stream, durable });
      if (troubles > 0) await pause(retryMs(troubles));
      else await Promise.race([held.idle(), aborted]);
      if (standBackMs > 0) {
        const waitMs = standBackMs;
        standBackMs = 0;
        await pause(waitMs); // D8
      }
    }
  };
  const aborted = new Promise<void>((resolve) => stopping.signal.addEventListener("abort", () => resolve(), { once: true }));
  const running = run();

  return {
    close: async () => {
      stopping.abort();
      for (const message of held.close()) settle(message, nak(0));
      await running;
      await held.idle();
    },
  };
};
