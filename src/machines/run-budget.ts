/** How the budget of a run stands, and what gate 0 is told of it: read off the run's state, which is the only place that counts. */
import type { BudgetAmounts, BudgetStanding } from "../contracts/budget.ts";
import { trialFlopsUsed } from "../contracts/measure.ts";
import type { PruneTarget } from "../contracts/pruning.ts";
import { isReplaceable } from "../contracts/trial.ts";
import { amountsOf, bytesPerParameter, type Claim, leftFor, shortfallOf } from "./budget.ts";
import type { GerminationFacts } from "./gates.ts";
import { isLegalSpan, type KasminaRunState, pruneProblem, seedSites, seedSnapshot } from "./kasmina-state.ts";
import type { Span } from "./seed-context.ts";

/** FLOPs that a new trial may use: what is left of the trials' share, and of the run. */
export const trialFlopsLeft = (state: KasminaRunState): number => {
  const share = (limitsOf(state).flops ?? 0) - trialFlopsUsed(state.flops);
  return Math.max(0, Math.min(share, state.setup.flopsMax - (state.flops?.total ?? 0)));
};

/** The state as it stands with the limits that were accepted and wait for the boundary. */
const withLimitsToCome = (state: KasminaRunState): KasminaRunState => {
  const asked = state.pending.flatMap((each) => (each.kind === "limit" ? [[each.resource, each.max] as const] : []));
  return asked.length === 0 ? state : { ...state, limits: { ...state.limits, ...amountsOf(asked) } };
};

/** Whether an open trial may take another round of its contest: a limit that was set meanwhile holds for it as for a new trial. */
export const roundFits = (present: KasminaRunState, flops: number): boolean => {
  const state = withLimitsToCome(present);
  const seconds = otherClaims(state, { parameters: 0, flops }).filter(({ resource }) => resource === "seconds");
  return shortfallOf([{ resource: "flops", needed: flops, left: trialFlopsLeft(state) }, ...seconds]) === undefined;
};

const parametersLeft = (state: KasminaRunState): number => leftFor(spentOf(state), "parameters") ?? 0;

/** The configuration's limits, and what was set since. */
export const limitsOf = ({ setup: { config, flopsMax }, limits }: KasminaRunState): BudgetAmounts => {
  const { parametersMax, flopsFractionMax, secondsMax, deviceBytesMax } = config.budget;
  return {
    ...amountsOf([
      ["parameters", parametersMax],
      ["flops", flopsFractionMax * flopsMax],
      ["seconds", secondsMax],
      ["deviceBytes", deviceBytesMax],
    ]),
    ...limits,
  };
};

/** What trials have used, without what the open one holds back. */
const spentOf = (state: KasminaRunState): BudgetStanding => ({
  limits: limitsOf(state),
  used: {
    parameters: state.parametersAdded,
    flops: trialFlopsUsed(state.flops),
    seconds: (state.spent?.trialMs ?? 0) / 1000,
    deviceBytes: state.parametersAdded * bytesPerParameter,
  },
  reserved: {},
});

/** Seconds and device bytes of a trial, where they are limited. Seconds follow from FLOPs at the speed of the windows so far. */
const otherClaims = (state: KasminaRunState, cost: TrialNeeds | undefined): readonly Claim[] => {
  const standing = spentOf(state);
  const { spent } = state;
  const flopsPerSecond = spent !== undefined && spent.runMs > 0 ? (1000 * spent.flops) / spent.runMs : 0;
  const seconds = cost !== undefined && flopsPerSecond > 0 ? cost.flops / flopsPerSecond : undefined;
  const deviceBytes = cost === undefined ? undefined : (cost.deviceBytes ?? cost.parameters * bytesPerParameter);
  const claims = [
    { resource: "seconds", needed: seconds },
    { resource: "deviceBytes", needed: deviceBytes },
  ] as const;
  return claims.flatMap((claim) => {
    const left = leftFor(standing, claim.resource);
    return left === undefined ? [] : [{ ...claim, left }];
  });
};

interface TrialNeeds {
  readonly parameters: number;
  readonly flops: number;
  /** As measured; left out, it follows from the parameters. */
  readonly deviceBytes?: number | undefined;
}

/** Of parameters and of FLOPs for trials; the trial at work holds what gate 0 reserved for it. */
export const budgetStanding = (state: KasminaRunState): BudgetStanding => {
  const { activeSeedId, parametersAdded, flops } = state;
  const trial = activeSeedId === null ? null : seedSnapshot(state, activeSeedId).context.trial;
  return {
    limits: limitsOf(state),
    used: { parameters: parametersAdded, flops: trialFlopsUsed(flops) },
    reserved:
      activeSeedId === null || trial === null
        ? {}
        : { [activeSeedId]: { parameters: trial.parameters, flops: trial.flopsReserved } },
  };
};

/** Of every resource, the open trial's device bytes among what is held back. */
export const wholeStanding = (state: KasminaRunState): BudgetStanding => {
  const reserved = Object.entries(budgetStanding(state).reserved).map(([seedId, amounts]) => {
    const deviceBytes = (amounts.parameters ?? 0) * bytesPerParameter;
    return [seedId, { ...amounts, deviceBytes }] as const;
  });
  return { ...spentOf(state), reserved: Object.fromEntries(reserved) };
};

/** What gate 0 looks at for a bypass, or for a pruning. */
export const germinationFacts = (
  state: KasminaRunState,
  span: Span,
  cost: TrialNeeds | undefined,
  counted: { readonly lockHolder: string | null; readonly adaptations: number },
  prune?: PruneTarget,
): GerminationFacts => ({
  siteKnown: seedSites(state.host).some((each) => each.site === span.fromSite),
  spanLegal:
    prune === undefined
      ? isLegalSpan(state.host, span) || isReplaceable(state.host, span)
      : pruneProblem(state, prune) === undefined,
  parameters: cost?.parameters,
  parametersLeft: parametersLeft(state),
  flops: cost?.flops,
  flopsLeft: trialFlopsLeft(state),
  others: otherClaims(state, cost),
  lockHolder: counted.lockHolder,
  embargoUntilEpoch: state.embargoes[span.fromSite] ?? 0,
  adaptations: counted.adaptations,
  adaptationsMax: state.setup.config.adaptationsPerEpochMax,
});
