/**
 * The rule of a run's budget, in one place: what a trial needs must fit into what is left. Gate 0 holds every germination to it when it is
 * accepted, at its boundary, and again with the compiled kernel; the standing that people read is counted by the same limits.
 *
 * U1 Nothing is reserved beyond its limit: used and reserved together never exceed it.
 * U2 What was not measured does not fit: a limited resource whose need nobody can tell refuses.
 * U3 A trial's own reservation does not stand in its way; asked again it takes the place of the first.
 */
import type { BudgetAmounts, BudgetResource, BudgetStanding } from "../contracts/budget.ts";

/** One resource of one trial. */
export interface Claim {
  readonly resource: BudgetResource;
  /** Absent when nobody can tell. */
  readonly needed: number | undefined;
  readonly left: number;
}

export interface Shortfall {
  readonly resource: BudgetResource;
  /** False when the need is not known. */
  readonly measured: boolean;
  readonly needed: number;
  readonly left: number;
}

const isKnown = (needed: number | undefined): needed is number => needed !== undefined && Number.isFinite(needed) && needed >= 0;

/** The first claim that does not fit; undefined when the trial may be reserved. */
export const shortfallOf = (claims: readonly Claim[]): Shortfall | undefined => {
  const unknown = claims.find(({ needed }) => !isKnown(needed)); // U2
  if (unknown !== undefined) return { resource: unknown.resource, measured: false, needed: 0, left: unknown.left };
  for (const { resource, needed = 0, left } of claims) if (!(needed <= left)) return { resource, measured: true, needed, left }; // U1
  return undefined;
};

/** What a trial of `holder` may use of a resource; undefined where there is no limit. Never below zero. */
export const leftFor = (
  { limits, used, reserved }: BudgetStanding,
  resource: BudgetResource,
  holder?: string,
): number | undefined => {
  const limit = limits[resource];
  if (limit === undefined) return undefined;
  const held = Object.entries(reserved).reduce(
    (sum, [seedId, amounts]) => sum + (seedId === holder ? 0 : (amounts[resource] ?? 0)), // U3
    0,
  );
  return Math.max(0, limit - (used[resource] ?? 0) - held);
};

/** Bytes that a trainable parameter takes on the device: its weight, gradient and two moments, as 32-bit floats. */
export const bytesPerParameter = 16;

export const amountsOf = (entries: readonly (readonly [BudgetResource, number | undefined])[]): BudgetAmounts =>
  Object.fromEntries(entries.filter(([, amount]) => amount !== undefined));
