/** Refusals of one door, counted by login, code and minute, so that a flood of them is one entry each and not a flood. Pure but for its own count. */
import type { RefusalCode } from "../contracts/commands.ts";
import type { RefusedCommands } from "../contracts/ledger.ts";
import type { CommandKind, Requester } from "../contracts/roles.ts";

/** Entries counted at once; the next one asks for them to be told first. */
const talliesMax = 1024;
const minuteMs = 60_000;

interface Noted extends Requester {
  readonly login: string;
  readonly code: RefusalCode;
  /** Absent for what is no command. */
  readonly kind: CommandKind | undefined;
}

export interface RefusalTally {
  /** `full`: take what was counted. */
  note(refused: Noted, nowMs: number): { readonly full: boolean };
  /** What was counted since; the count begins anew. */
  take(): readonly RefusedCommands[];
}

export const createRefusalTally = (): RefusalTally => {
  const tallies = new Map<string, RefusedCommands>();
  return {
    note: ({ login, code, kind, principal, role, transport }, nowMs) => {
      const minute = Math.floor(nowMs / minuteMs);
      const key = `${login} ${transport} ${code} ${minute}`;
      const before = tallies.get(key);
      const name = kind ?? "unknown";
      const kinds = before?.kinds ?? {};
      tallies.set(key, {
        principal,
        role,
        transport,
        code,
        fromMs: before?.fromMs ?? Math.round(nowMs),
        toMs: Math.round(nowMs),
        count: (before?.count ?? 0) + 1,
        kinds: { ...kinds, [name]: (kinds[name] ?? 0) + 1 },
      });
      return { full: tallies.size >= talliesMax };
    },
    take: () => {
      const told = [...tallies.values()];
      tallies.clear();
      return told;
    },
  };
};
