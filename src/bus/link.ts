/** The state of one connection: whether it stands, what to do when it is back, and questions that end when it is lost. */
import { describeError } from "../contracts/errors.ts";
import { type Cancel, type Clock, delay, type Log } from "../contracts/ports.ts";
import type { Msg, MsgHdrs, NatsConnection } from "./nats-client.ts";

/** The connection went while an answer was awaited: whether the question arrived is not known. */
export class LostWhileAsking extends Error {}

export interface Link {
  readonly connection: NatsConnection;
  readonly connected: () => boolean;
  readonly onReconnect: (callback: () => void) => Cancel;
  /** False when the connection is not back by then. */
  readonly whenConnected: (untilMs: number) => Promise<boolean>;
  /** Whether others may still be on their way back after a loss that everybody had. */
  readonly settling: () => boolean;
  /** Rejects as the client does, or with LostWhileAsking. */
  readonly ask: (
    subject: string,
    body: Uint8Array,
    options: { readonly timeoutMs: number; readonly headers: MsgHdrs },
  ) => Promise<Msg>;
  /** Resolves with the reason when the connection is lost for good and nobody closed it. */
  readonly lost: Promise<string>;
  /** From now on an end of the connection is wanted. */
  readonly expectEnd: () => void;
}

const settleMs = 1_000;

export interface LinkOptions {
  readonly connection: NatsConnection;
  readonly principal: string;
  readonly clock: Clock;
  readonly log: Log;
}

export const createLink = ({ connection, principal, clock, log }: LinkOptions): Link => {
  const backCallbacks = new Set<() => void>();
  const lossCallbacks = new Set<() => void>();
  let up = true;
  let backAtMs = Number.NEGATIVE_INFINITY;
  let endExpected = false;

  const register = (callbacks: Set<() => void>, callback: () => void): Cancel => {
    callbacks.add(callback);
    return () => callbacks.delete(callback);
  };

  const watch = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") {
        up = false;
        if (!endExpected) log.warn("the bus is disconnected", { principal });
        for (const callback of [...lossCallbacks]) callback();
      } else if (status.type === "reconnect") {
        up = true;
        backAtMs = clock.monotonicMs();
        log.info("the bus is connected again", { principal });
        for (const callback of [...backCallbacks]) callback();
      } else if (status.type === "error")
        log.warn("the NATS server complained", { principal, code: String(status.data), ...status.permissionContext });
    }
  };
  void watch().catch((error: unknown) => log.debug("the status of the bus ended", { reason: describeError(error) }));

  const lost = new Promise<string>((resolve) => {
    void connection.closed().then((error) => {
      up = false;
      for (const callback of [...lossCallbacks]) callback();
      if (!endExpected) resolve(`the connection of ${principal} to NATS is lost${error ? `: ${error.message}` : ""}`);
    });
  });

  return {
    connection,
    connected: () => up && !connection.isClosed(),
    onReconnect: (callback) => register(backCallbacks, callback),
    lost,
    settling: () => clock.monotonicMs() - backAtMs < settleMs,
    expectEnd: () => {
      endExpected = true;
    },

    whenConnected: async (untilMs) => {
      if (connection.isClosed()) return false;
      const waitMs = untilMs - clock.monotonicMs();
      if (up || waitMs <= 0) return up;
      const timeout = new AbortController();
      let off: Cancel = () => undefined;
      const change = new Promise<void>((resolve) => {
        const cancels = [register(backCallbacks, resolve), register(lossCallbacks, resolve)];
        off = () => {
          for (const cancel of cancels) cancel();
        };
      });
      await Promise.race([change, delay(clock, waitMs, timeout.signal).catch(() => undefined)]);
      timeout.abort();
      off();
      return up;
    },

    ask: async (subject, body, { timeoutMs, headers }) => {
      let off: Cancel = () => undefined;
      const loss = new Promise<never>((_, reject) => {
        off = register(lossCallbacks, () => reject(new LostWhileAsking("the connection was lost before the answer came")));
      });
      const answer = connection.request(subject, body, { timeout: Math.max(1, timeoutMs), headers });
      // When the loss comes first, the answer's own failure has no listener.
      answer.catch(() => undefined);
      return Promise.race([answer, loss]).finally(off);
    },
  };
};
