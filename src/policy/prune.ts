/**
 * Emrakul's heuristic: what to take out of a host next, if anything. Pure.
 *
 * E1 Every decision has a reason with numbers, above all when it is "no".
 * E2 What was not measured is never taken out.
 * E3 One look at the host's parts in `pruning.everyEpochs` host windows in a row without a trial; a window that was seen already counts once.
 * E4 Never an excluded site or one under embargo, never more than `unitsFractionMax` of a layer's units, never all of them.
 * E5 What goes is expected to cost at most `lossMax` of the validation loss; of what may go, the least loss per FLOPs saved.
 */
import type { MorphogeneticConfig } from "../contracts/config-morphogenetic.ts";
import type { BypassMeasurement, LayerMeasurement, PruneSurvey, PruneTarget } from "../contracts/pruning.ts";

/** What Emrakul remembers of one run. Plain JSON. */
export interface PruneState {
  /** Last window that was seen; 0 before the first. */
  readonly epoch: number;
  /** Host windows since the last look, trial or change of the host. */
  readonly quietEpochs: number;
  readonly hostHash: string;
}

export const emptyPruning: PruneState = { epoch: 0, quietEpochs: 0, hostHash: "" };

export interface PruneProposal {
  readonly target: PruneTarget;
  /** Expected rise of the validation loss, in nats. */
  readonly lossExpected: number;
  /** FLOPs that an optimizer step would save. */
  readonly stepFlopsSaved: number;
}

export interface PruneDecision {
  readonly runId: string;
  readonly epoch: number;
  readonly outcome: "prune" | "wait" | "refused";
  readonly reason: string;
  readonly proposal?: PruneProposal;
}

export interface PruneDecided {
  readonly state: PruneState;
  readonly decision: PruneDecision;
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
      ? `${target.seedId}, which ends at ${target.site}`
      : `${target.units.length} units of ${target.site}`;
  return `${what}: expected to cost ${shown(lossExpected)} nats (${shown((100 * lossExpected) / loss)} % of the loss) and to save ${shown(stepFlopsSaved)} FLOPs a step`;
};

/** E3 */
const count = (state: PruneState, survey: PruneSurvey): PruneState => {
  const isQuiet = survey.activeSeedId === undefined && (state.hostHash === "" || state.hostHash === survey.hostHash);
  return { epoch: survey.epoch, hostHash: survey.hostHash, quietEpochs: isQuiet ? state.quietEpochs + 1 : 0 };
};

export const proposePruning = (state: PruneState, survey: PruneSurvey, config: PruningConfig): PruneDecided => {
  const { enabled, everyEpochs, unitsFractionMax, lossMax } = config.pruning;
  const isNew = survey.epoch > state.epoch;
  const next = isNew ? count(state, survey) : state;
  const answer = (outcome: "wait" | "refused", reason: string, after: PruneState = next): PruneDecided => ({
    state: after,
    decision: { runId: survey.runId, epoch: survey.epoch, outcome, reason },
  });
  if (!isNew) return answer("wait", `window ${survey.epoch} was decided already`);
  if (!enabled) return answer("wait", "pruning is turned off by the configuration");
  if (survey.activeSeedId !== undefined) return answer("wait", `${survey.activeSeedId} holds the grafting lock`);
  if (next.quietEpochs < everyEpochs)
    return answer("wait", `${next.quietEpochs} of ${everyEpochs} host windows without a trial since the last change`);
  const loss = survey.validationLoss;
  if (loss === undefined || !Number.isFinite(loss) || !(loss > 0))
    return answer("refused", "the validation loss was not measured");
  const isFree = ({ site, obstacle }: LayerMeasurement | BypassMeasurement): boolean =>
    obstacle === undefined && !config.trigger.exclude.includes(site) && (survey.embargoEpochs[site] ?? 0) === 0; // E4
  const [layers, bypasses] = [survey.layers.filter(isFree), survey.bypasses.filter(isFree)];
  const limit = lossMax * loss;
  const looked: PruneState = { ...next, quietEpochs: 0 };
  const proposal = cheapest([
    ...layers.flatMap((layer) => leastUnits(layer, limit, unitsFractionMax) ?? []),
    ...bypasses.flatMap((bypass) => wholeBypass(bypass, limit) ?? []),
  ]);
  if (proposal === undefined) {
    const parts = survey.layers.length + survey.bypasses.length;
    return answer(
      "refused",
      `none of ${layers.length + bypasses.length} free parts (${parts} in all) is expected to cost less than ${shown(limit)} nats, ${shown(100 * lossMax)} % of the loss`,
      looked,
    );
  }
  return {
    state: looked,
    decision: { runId: survey.runId, epoch: survey.epoch, outcome: "prune", reason: describe(proposal, loss), proposal },
  };
};
