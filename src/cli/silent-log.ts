/** A log for commands that only ask a running node: the node keeps the log. */
import type { Log } from "../contracts/ports.ts";

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
