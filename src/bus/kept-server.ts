/**
 * The embedded server, started again in its place when it dies: same port, same passwords, so that every connection finds back
 * by itself. After too many deaths in a short time it stays down and says why.
 */
import { describeError } from "../contracts/errors.ts";
import { type Clock, delay, type Log } from "../contracts/ports.ts";
import type { EmbeddedServer } from "./embedded-server.ts";

export interface KeptServer {
  readonly url: string;
  /** The process at this moment. */
  readonly pid: () => number;
  /** Resolves with the reason when the server is down for good; `stopped` after `stop`. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

export interface KeepOptions {
  readonly start: (port: number) => Promise<EmbeddedServer>;
  readonly port: number;
  /** Restarts in a row; a server that lived for `healthyMs` starts the count anew. */
  readonly restartsMax: number;
  readonly healthyMs?: number;
  readonly pauseMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** @throws ServiceError when the first start fails */
export const keepServer = async (options: KeepOptions): Promise<KeptServer> => {
  const { start, restartsMax, healthyMs = 60_000, pauseMs = 20, clock, log } = options;
  let server = await start(options.port);
  let stopping = false;

  const watch = async (): Promise<string> => {
    let restarts = 0;
    for (;;) {
      const startedMs = clock.monotonicMs();
      const reason = await server.exited;
      if (stopping) return "stopped";
      if (clock.monotonicMs() - startedMs >= healthyMs) restarts = 0;
      if (restarts === restartsMax) return `${reason}, after ${restarts} restarts in a row`;
      log.warn("the NATS server died and is started again", { reason, restart: ++restarts });
      await delay(clock, pauseMs * 2 ** Math.min(restarts - 1, 10));
      if (stopping) return "stopped";
      try {
        server = await start(server.port);
      } catch (error) {
        return `${reason}, and could not be started again: ${describeError(error)}`;
      }
      if (stopping) {
        await server.stop();
        return "stopped";
      }
    }
  };
  const exited = watch();

  return {
    url: server.url,
    pid: () => server.pid,
    exited,
    stop: async () => {
      stopping = true;
      await server.stop();
      await exited;
    },
  };
};
