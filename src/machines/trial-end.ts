/** What the end of a trial means for the run: lock and budget are freed, the lane is owed an action, the site may be under embargo. */
import type { BoundaryAction, EpochResult } from "../contracts/plan.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import type { SeedContext } from "./seed-context.ts";
import { seedReasonOf, seedStateOf } from "./seed-context.ts";

/** FINE_TUNING has run, so that there is a twin to go on from. */
const hasTwin = (before: SeedContext, result: EpochResult | undefined): boolean =>
  seedStateOf(before) === "FINE_TUNING" &&
  ((before.trial?.grownSteps ?? 0) > 0 || (result?.work === "fine_tune" && result.seedId === before.seedId));

const actionFor = (before: SeedContext, after: SeedContext, result: EpochResult | undefined): BoundaryAction | undefined => {
  const { seedId } = after;
  switch (seedStateOf(after)) {
    case "FOSSILIZED":
      return { kind: "keep", seedId };
    case "CULLED":
      return { kind: "discard", seedId, continueFrom: hasTwin(before, result) ? "twin" : "host" };
    case "ROLLED_BACK":
      return { kind: "rollback", seedId, reason: seedReasonOf(after) };
    default:
      return undefined;
  }
};

/** `before` and `after` are the seed's own contexts around the transition that ended the trial. */
export const endOfTrial = (
  state: KasminaRunState,
  before: SeedContext,
  after: SeedContext,
  result: EpochResult | undefined,
): KasminaRunState => {
  const kept = seedStateOf(after) === "FOSSILIZED";
  const action = actionFor(before, after, result);
  // A kernel that was to be loaded and never was needs neither its loading nor its removal.
  const unloaded = state.owed.some((each) => each.kind === "load_kernel" && each.seedId === after.seedId);
  const owed = unloaded
    ? state.owed.filter((each) => !(each.kind === "load_kernel" && each.seedId === after.seedId))
    : [...state.owed, ...(action === undefined ? [] : [action])];
  return {
    ...state,
    owed,
    activeSeedId: state.activeSeedId === after.seedId ? null : state.activeSeedId,
    hostUnknown: state.hostUnknown || kept,
    parametersAdded: state.parametersAdded + (kept ? (after.trial?.parameters ?? 0) : 0),
    embargoes: kept ? state.embargoes : { ...state.embargoes, [after.site]: after.embargoUntilEpoch },
  };
};
