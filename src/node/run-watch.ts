/**
 * Whether a run still gets on.
 *
 * W1 A run whose actors fail again and again, with no window told in between, is given up, however slowly they fail: the supervisor counts failures
 *    within a period alone, and one that takes long to show (a full disk, a bus that stores nothing) never makes that count.
 * W2 The reason that is told is the first of the row: what follows it is its consequence.
 */
import type { SupervisionEvent } from "../supervision/events.ts";

export interface RunWatchOptions {
  /** The run's supervisor. */
  readonly group: string;
  /** Failures in a row. */
  readonly failuresMax: number;
  /** The last window that was told. */
  readonly window: () => number;
}

/** Takes every event of supervision; answers with the reason once the run is to be given up. */
export const createRunWatch = ({ group, failuresMax, window }: RunWatchOptions) => {
  let row: { readonly window: number; readonly reason: string; count: number } | undefined;
  return (event: SupervisionEvent): string | undefined => {
    const failed = event.kind === "childStartFailed" || (event.kind === "childExited" && event.exit === "crash");
    if (!failed || !event.supervisor.endsWith(group)) return undefined;
    if (row === undefined || row.window !== window()) row = { window: window(), reason: event.reason, count: 0 };
    row.count += 1;
    return row.count > failuresMax
      ? `${event.id} and its like failed ${row.count} times after window ${row.window} without finishing another; it began with: ${row.reason}`
      : undefined; // W1 W2
  };
};
