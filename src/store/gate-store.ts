/**
 * What the Gate remembers of logins: how many commands each has sent in its present minute. Survives the actor and the node.
 *
 * W1 The disk never says fewer than were let on: commands are written down a few ahead, so that not every one waits for the disk. After a
 *    crash a login may send those few fewer in the minute; none is let on twice.
 * W2 At most `loginsMax` logins are kept; those whose minute is over go first, and a login that finds no room is not counted as admitted.
 */
import { type Database, integer } from "./database.ts";

export interface LoginWindow {
  readonly startMs: number;
  readonly count: number;
}

export interface GateStore {
  counted(login: string): LoginWindow | undefined;
  /**
   * False when there is no room for another login (W2).
   * @param ahead how many commands are written down at once, 1 or more
   */
  count(login: string, window: LoginWindow, nowMs: number, ahead: number): boolean;
  /** Writes down what was counted, and no more: at an orderly end. */
  settle(): void;
}

const minuteMs = 60_000;

export const createGateStore = ({
  database,
  loginsMax,
}: {
  readonly database: Database;
  readonly loginsMax: number;
}): GateStore => {
  const sql = {
    select: database.prepare("SELECT start_ms, count FROM gate_windows WHERE login = ?"),
    upsert: database.prepare(
      "INSERT INTO gate_windows (login, start_ms, count) VALUES (?, ?, ?) ON CONFLICT (login) DO UPDATE SET start_ms = excluded.start_ms, count = excluded.count",
    ),
    logins: database.prepare("SELECT COUNT(*) AS logins FROM gate_windows"),
    forget: database.prepare("DELETE FROM gate_windows WHERE start_ms <= ?"),
  };
  // Only this store writes the table, so that it need not be read for every command.
  const cache = new Map<string, LoginWindow>();
  /** What the disk says of a login where it is more than was counted. */
  const written = new Map<string, LoginWindow>();

  const counted = (login: string): LoginWindow | undefined => {
    const known = cache.get(login);
    if (known !== undefined) return known;
    const row = sql.select.get(login);
    if (row === undefined) return undefined;
    const window = { startMs: integer(row, "start_ms"), count: integer(row, "count") };
    cache.set(login, window);
    return window;
  };

  const hasRoom = (nowMs: number): boolean => {
    const logins = (): number => integer(sql.logins.get() ?? {}, "logins");
    if (logins() < loginsMax) return true;
    sql.forget.run(Math.floor(nowMs - minuteMs)); // W2
    cache.clear();
    written.clear();
    return logins() < loginsMax;
  };

  return {
    counted,
    count: (login, { startMs, count }, nowMs, ahead) => {
      const window = { startMs: Math.round(startMs), count };
      const disk = written.get(login);
      if (disk?.startMs === window.startMs && count <= disk.count && cache.has(login)) {
        cache.set(login, window);
        return true;
      }
      const reserved = { startMs: window.startMs, count: count + Math.max(1, Math.floor(ahead)) - 1 };
      const kept = database.transaction(() => {
        if (counted(login) === undefined && !hasRoom(nowMs)) return false;
        sql.upsert.run(login, reserved.startMs, reserved.count); // W1
        return true;
      });
      if (!kept) return false;
      written.set(login, reserved);
      cache.set(login, window);
      return true;
    },
    settle: () => {
      database.transaction(() => {
        for (const [login, { startMs, count }] of cache)
          if (written.get(login)?.count !== count && written.has(login)) sql.upsert.run(login, startMs, count);
      });
      written.clear();
    },
  };
};
