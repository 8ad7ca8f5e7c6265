/**
 * How often learning may change the policy. Pure; the mechanism that whoever promotes a policy has to ask.
 *
 * N1 At most `changesPerDayMax` changes in any 24 hours, and `cooldownMs` between two.
 * N2 A change whose time lies in the future counts as made now: a clock that was set back neither frees a change nor blocks for longer
 *    than a day.
 * N3 While the process lives, no more time has passed than its own clock says: setting the wall clock forward frees nothing.
 * N4 The same request again is the same change.
 */
import type { LearningStanding } from "../contracts/commands.ts";
import type { ControlConfig } from "../contracts/config-control.ts";
import type { LearningChange } from "../contracts/governance.ts";

export const dayMs = 86_400_000;

export interface Now {
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** By request id, the process's own clock when a change was made; absent for one from before the process. */
  readonly madeAt: ReadonlyMap<string, number>;
}

/** What lies in the future, as made now: to be kept so. N2 */
export const rebased = (changes: readonly LearningChange[], { wallMs }: Now): readonly LearningChange[] =>
  changes.flatMap((change) => (change.atMs > wallMs ? [{ ...change, atMs: wallMs }] : []));

/** Time since a change. N2, N3 */
const since = ({ atMs, requestId }: LearningChange, now: Now): number => {
  const wallMs = Math.max(0, now.wallMs - atMs);
  const madeAtMs = now.madeAt.get(requestId);
  return madeAtMs === undefined ? wallMs : Math.min(wallMs, Math.max(0, now.monotonicMs - madeAtMs));
};

type Limits = ControlConfig["learning"];
const recentMax = 64;

/** N1 as a time to wait: 0 when a change may be made now. */
const waitMs = (changes: readonly LearningChange[], now: Now, { changesPerDayMax, cooldownMs }: Limits): number => {
  if (changesPerDayMax === 0) return dayMs;
  const ages = changes.map((change) => since(change, now)).sort((a, b) => a - b);
  const youngest = ages[0] ?? Number.POSITIVE_INFINITY;
  const oldestThatCounts = ages[changesPerDayMax - 1] ?? Number.POSITIVE_INFINITY;
  return Math.max(0, cooldownMs - youngest, dayMs - oldestThatCounts);
};

export const learningStanding = (changes: readonly LearningChange[], now: Now, limits: Limits): LearningStanding => ({
  changesToday: changes.filter((change) => since(change, now) < dayMs).length,
  changesPerDayMax: limits.changesPerDayMax,
  nextAtMs: now.wallMs + waitMs(changes, now, limits),
  recent: changes.slice(-recentMax),
});

export type LearningVerdict =
  | { readonly kind: "granted"; readonly change: LearningChange; readonly known: boolean }
  | { readonly kind: "refused"; readonly reason: string };

export const askToLearn = (
  changes: readonly LearningChange[],
  asked: Omit<LearningChange, "atMs">,
  now: Now,
  limits: Limits,
): LearningVerdict => {
  const known = changes.find(({ requestId }) => requestId === asked.requestId);
  if (known !== undefined) return { kind: "granted", change: known, known: true }; // N4
  const wait = waitMs(changes, now, limits);
  if (wait > 0) {
    const { changesToday } = learningStanding(changes, now, limits);
    const reason = `${changesToday} of ${limits.changesPerDayMax} changes in the last 24 hours; the next may be asked for in ${Math.ceil(wait / 1000)} s`;
    return { kind: "refused", reason };
  }
  return { kind: "granted", change: { ...asked, atMs: now.wallMs }, known: false };
};
