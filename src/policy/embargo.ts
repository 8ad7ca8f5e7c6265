/**
 * What failures leave behind: a site under embargo, and a penalty on the blueprint that decays with the windows.
 *
 * P1 A penalty is at most 1, never negative, and fades by `penaltyDecay` a window.
 * P2 The same report counts once. The number of blueprints and reports remembered is bounded; the faintest and oldest go first.
 */
import type { FieldReport } from "../contracts/assets.ts";
import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";

export const penaltiesMax = 64;
export const reportsSeenMax = 256;

interface Penalty {
  readonly value: number;
  readonly epoch: number;
}

export interface PenaltyState {
  readonly penalties: Readonly<Record<string, Penalty>>;
  readonly seen: readonly string[];
}

export const noPenalties: PenaltyState = { penalties: {}, seen: [] };

/** Another kind, width or start is another blueprint: its failure says nothing of this one. */
export const blueprintKey = ({ kind, hiddenWidth, initialization }: BlueprintRequest): string =>
  `${kind}:${hiddenWidth}:${initialization}`;

/** P1: what a blueprint's confidence is lowered by at a window. */
export const penaltyAt = (
  state: PenaltyState,
  request: BlueprintRequest,
  epoch: number,
  embargo: MorphogeneticConfig["embargo"],
): number => {
  const penalty = state.penalties[blueprintKey(request)];
  return penalty === undefined ? 0 : penalty.value * embargo.penaltyDecay ** Math.max(0, epoch - penalty.epoch);
};

/** A trial that was culled or rolled back counts against its blueprint; any other outcome changes nothing. */
export const learnFailure = (state: PenaltyState, report: FieldReport, embargo: MorphogeneticConfig["embargo"]): PenaltyState => {
  const failed = report.outcome === "CULLED" || report.outcome === "ROLLED_BACK";
  const epoch = report.history.at(-1)?.epoch;
  if (!failed || report.blueprint === undefined || epoch === undefined) return state;
  const id = `${report.runId}/${report.seedId}/${epoch}`;
  if (state.seen.includes(id)) return state;
  const value = Math.min(1, penaltyAt(state, report.blueprint, epoch, embargo) + embargo.penalty);
  const others = Object.entries(state.penalties).filter(
    ([key]) => report.blueprint === undefined || key !== blueprintKey(report.blueprint),
  );
  const strength = ([, penalty]: [string, Penalty]): number =>
    penalty.value * embargo.penaltyDecay ** Math.max(0, epoch - penalty.epoch);
  const kept = others.toSorted((a, b) => strength(b) - strength(a)).slice(0, penaltiesMax - 1);
  return {
    penalties: Object.fromEntries([...kept, [blueprintKey(report.blueprint), { value, epoch }]]),
    seen: [...state.seen.slice(-(reportsSeenMax - 1)), id],
  };
};
