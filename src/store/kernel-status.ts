/**
 * Kernels that people withdrew, and a library that gives out none of them.
 *
 * Q1 A withdrawn kernel is not found by its key, not fetched and not stored anew: nobody takes it.
 * Q2 Withdrawing is undone by the same command with the other status; the last one counts.
 */
import { type KernelStatus, kernelStatuses } from "../contracts/command-changes.ts";
import { DataError } from "../contracts/errors.ts";
import { type Database, text } from "./database.ts";
import type { Library } from "./library.ts";

export interface KernelStatusRecord {
  readonly status: KernelStatus;
  readonly reason: string;
  readonly principal: string;
}

export interface KernelStatusStore {
  /** Undefined: nobody ever said anything of it; it is active. */
  find(hash: string): KernelStatusRecord | undefined;
  put(hash: string, record: KernelStatusRecord, nowMs: number): void;
}

export const createKernelStatusStore = (database: Database): KernelStatusStore => {
  const sql = {
    select: database.prepare("SELECT status, reason, principal FROM kernel_status WHERE hash = ?"),
    upsert: database.prepare(
      "INSERT INTO kernel_status (hash, status, reason, principal, at_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET status = excluded.status, reason = excluded.reason, principal = excluded.principal, at_ms = excluded.at_ms",
    ),
  };
  return {
    find: (hash) => {
      const row = sql.select.get(hash);
      if (row === undefined) return undefined;
      const status = kernelStatuses.find((each) => each === text(row, "status"));
      if (status === undefined)
        throw new DataError(
          `status of kernel ${hash}: expected one of ${kernelStatuses.join(", ")}, found ${text(row, "status")}`,
        );
      return { status, reason: text(row, "reason"), principal: text(row, "principal") };
    },
    put: (hash, { status, reason, principal }, nowMs) =>
      database.transaction(() => void sql.upsert.run(hash, status, reason, principal, Math.round(nowMs))), // Q2
  };
};

/** Q1. */
export const withoutWithdrawn = (library: Library, statuses: Pick<KernelStatusStore, "find">): Library => {
  const refuse = (hash: string): void => {
    const known = statuses.find(hash);
    if (known?.status !== "withdrawn") return;
    throw new DataError(
      `kernel ${hash}: expected one that may be taken, found that ${known.principal} withdrew it: ${known.reason}; reinstate it, or take another`,
    );
  };
  return {
    ...library,
    get: (kind, hash) => {
      if (kind === "kernel") refuse(hash);
      return library.get(kind, hash);
    },
    findKernel: async (keyHash) => {
      const hash = await library.findKernel(keyHash);
      return hash === undefined || statuses.find(hash)?.status === "withdrawn" ? undefined : hash;
    },
    put: async (asset) => {
      const stored = await library.put(asset);
      if (asset.kind === "kernel") refuse(stored.hash);
      return stored;
    },
  };
};
