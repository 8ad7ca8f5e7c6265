/**
 * Emrakul's heuristic: what to take out of a host next, if anything. Pure.
 *
 * E1 Every decision has a reason with numbers, above all when it is "no".
 * E2 What was not measured is never taken out.
 * E3 A window that was decided already leads to no second command; the request id of a command follows from run, window and site.
 * E4 Never an excluded site or one under embargo, never more than `unitsFractionMax` of a layer's units, never all of them.
 * E5 What goes is expected to cost at most `lossMax` of the validation loss; of what may go, the least loss per FLOPs saved.
 * E6 A site whose pruning failed is left alone for `everyEpochs` windows, and for twice as long each further time: failures cost FLOPs too.
 */
import type { FieldReport } from "../contracts/assets.ts";
import type { Decision, KasminaControlCommand } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config-morphogenetic.ts";
import {
  type BypassMeasurement,
  type LayerMeasurement,
  type PruneSurvey,
  type PruneTarget,
  pruneSeedId,
} from "../contracts/pruning.ts";

/** What Emrakul remembers of one run. Plain JSON. */
export interface PruneState {
  /** Last window that was decided; 0 before the first. */
  readonly epoch: number;
  /** By site: prunings that failed, and the window in which the last one did. */
  readonly failures: Readonly<Record<string, { readonly count: number; readonly epoch: number }>>;
}

export const emptyPruning: PruneState = { epoch: 0, failures: {} };

/** More doublings than any run has windows for. */
const doublingsMax = 30;

/** Takes a finished trial into account; only a pruning that failed says anything. */
export const learnPruning = (state: PruneState, { prune, site, outcome, history }: FieldReport): PruneState => {
  if (prune === undefined || outcome === "FOSSILIZED") return state;
  const failure = { count: (state.failures[site]?.count ?? 0) + 1, epoch: history.at(-1)?.epoch ?? state.epoch };
  return { ...state, failures: { ...state.failures, [site]: failure } };
};

/** E6: windows for which a site is left alone yet. */
const restOf = ({ failures }: PruneState, site: string, epoch: number, everyEpochs: number): number => {
  const failure = failures[site];
  if (failure === undefined) return 0;
  return Math.max(0, failure.epoch + everyEpochs * 2 ** Math.min(doublingsMax, failure.count - 1) - epoch);
};

export interface PruneProposal {
  readonly target: PruneTarget;
  /** Expected rise of the validation loss, in nats. */
  readonly lossExpected: number;
  /** FLOPs that an optimizer step would save. */
  readonly stepFlopsSaved: number;
}

export type PruneDecision = Omit<Decision, "latencyMs">;
export type PruneCommand = Extract<KasminaControlCommand, { kind: "germinate" }>;

export interface PruneDecided {
  readonly state: PruneState;
  readonly decision: PruneDecision;
  readonly proposal?: PruneProposal;
  readonly command?: PruneCommand;
}

type PruningConfig = Pick<MorphogeneticConfig, "pruning" | "trigger">;

const shown = (value: number): string => String(Number(value.toPrecision(3)));

/** The units that matter least: as many as the bounds on share and loss allow. */
const leastUnits = (layer: LayerMeasurement, lossLimit: number, fractionMax: number): PruneProposal | undefined => {
  const known = layer.units.flatMap(({ unit, importance, mean }) =>
    importance === undefined || mean === undefined || !Number.isFinite(importance) || !Number.isFinite(mean)
      ? [] // E2
      : [{ unit, importance, mean }],
  );
  const most = Math.min(Math.floor(fractionMax * layer.units.length), layer.units.length - 1); // E4
  const chosen: typeof known = [];
  let lossExpected = 0;
  for (const each of known.toSorted((a, b) => a.importance - b.importance || a.unit - b.unit)) {
    if (chosen.length >= most || lossExpected + each.importance > lossLimit) break; // E5
    chosen.push(each);
    lossExpected += each.importance;
  }
  const stepFlopsSaved = chosen.length * layer.stepFlopsPerUnit;
  if (!(stepFlopsSaved > 0)) return undefined;
  const units = chosen.toSorted((a, b) => a.unit - b.unit);
  return {
    target: { kind: "units", site: layer.site, units: units.map(({ unit }) => unit), constants: units.map(({ mean }) => mean) },
    lossExpected,
    stepFlopsSaved,
  };
};

const wholeBypass = ({ seedId, site, gain, stepFlops }: BypassMeasurement, lossLimit: number): PruneProposal | undefined => {
  if (gain === undefined || !Number.isFinite(gain.upper) || !(stepFlops > 0)) return undefined; // E2
  // What it may at most be worth, so that a noisy measurement does not look cheap.
  const lossExpected = Math.max(0, gain.upper);
  return lossExpected > lossLimit
    ? undefined
    : { target: { kind: "bypass", site, seedId }, lossExpected, stepFlopsSaved: stepFlops };
};

/** Less loss per FLOPs first; of equals the larger saving, then the first. */
const cheapest = (proposals: readonly PruneProposal[]): PruneProposal | undefined =>
  proposals.toSorted(
    (a, b) => a.lossExpected / a.stepFlopsSaved - b.lossExpected / b.stepFlopsSaved || b.stepFlopsSaved - a.stepFlopsSaved,
  )[0];

const describe = ({ target, lossExpected, stepFlopsSaved }: PruneProposal, loss: number): string => {
  const what =
    target.kind === "bypass"
      ? `${target.seedId}, which starts at ${target.site}`
      : `${target.units.length} units of ${target.site}`;
  return `${what}: expected to cost ${shown(lossExpected)} nats (${shown((100 * lossExpected) / loss)} % of the loss) and to save ${shown(stepFlopsSaved)} FLOPs a step`;
};

const rule = "least loss for the FLOPs saved";
const by = "emrakul";

export const proposePruning = (state: PruneState, survey: PruneSurvey, config: PruningConfig): PruneDecided => {
  const { enabled, everyEpochs, unitsFractionMax, lossMax } = config.pruning;
  const { runId, epoch } = survey;
  const next: PruneState = { ...state, epoch: Math.max(state.epoch, epoch) };
  const answer = (outcome: "wait" | "refused", reason: string): PruneDecided => ({
    state: next,
    decision: { runId, epoch, rule, by, outcome, reason },
  });
  if (epoch <= state.epoch) return answer("wait", `window ${epoch} was decided already`); // E3
  if (!enabled) return answer("wait", "pruning is turned off by the configuration");
  if (survey.activeSeedId !== undefined) return answer("wait", `${survey.activeSeedId} holds the grafting lock`);
  const loss = survey.validationLoss;
  if (loss === undefined || !Number.isFinite(loss) || !(loss > 0))
    return answer("refused", "the validation loss was not measured");
  const isFree = ({ site, obstacle }: LayerMeasurement | BypassMeasurement): boolean =>
    obstacle === undefined &&
    !config.trigger.exclude.includes(site) &&
    (survey.embargoEpochs[site] ?? 0) === 0 && // E4
    restOf(state, site, epoch, everyEpochs) === 0; // E6
  const [layers, bypasses] = [survey.layers.filter(isFree), survey.bypasses.filter(isFree)];
  const limit = lossMax * loss;
  const proposal = cheapest([
    ...layers.flatMap((layer) => leastUnits(layer, limit, unitsFractionMax) ?? []),
    ...bypasses.flatMap((bypass) => wholeBypass(bypass, limit) ?? []),
  ]);
  if (proposal === undefined) {
    const parts = survey.layers.length + survey.bypasses.length;
    return answer(
      "refused",
      `none of ${layers.length + bypasses.length} free parts (${parts} in all) is expected to cost less than ${shown(limit)} nats, ${shown(100 * lossMax)} % of the loss`,
    );
  }
  const { target } = proposal;
  const { site } = target;
  const reason = describe(proposal, loss);
  const seedId = pruneSeedId(site);
  // Window and site stand at the end, which the bound on request ids keeps.
  const requestId = `${runId}:${epoch}:prune:${site}`.slice(-128);
  return {
    state: next,
    decision: { runId, epoch, rule, by, outcome: "prune", reason, site, seedId, requestId },
    proposal,
    command: { kind: "germinate", requestId, runId, seedId, prune: target, reason: reason.slice(0, 500) },
  };
};
