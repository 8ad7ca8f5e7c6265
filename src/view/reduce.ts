/**
 * The one reducer of the view: the node runs it on what happens, the page on what the node sends and on recorded runs. No input but its
 * arguments, nothing of Node, no validator.
 *
 * R1 `applyChange` changes the given state in place; whoever needs two moments copies one of them with `cloneView`.
 * R2 The same change twice in a row is the same as once.
 * R3 A change for a run or a seed that is not known makes it known, with what is not told empty: an order that is lost loses no more than itself.
 * R4 Every list is bounded (`viewBounds`).
 */
import type {
  SeedStep,
  TrialPatch,
  ViewBreaker,
  ViewChange,
  ViewCommand,
  ViewHost,
  ViewRun,
  ViewSeed,
  ViewSlice,
  ViewState,
  ViewTrial,
} from "../contracts/view.ts";
import { pushBounded, viewBounds } from "./bounds.ts";
import { emptyRun, emptySeed, emptyTrial } from "./empty.ts";
import { addRow } from "./series.ts";

export { emptyView } from "./empty.ts";

/** R1: a state that shares nothing with the given one. */
export const cloneView = (state: ViewState): ViewState => structuredClone(state);

/** Places of seeds by id; made anew for a state that came over the wire. */
const seedPlaces = new WeakMap<ViewSeed[], Map<string, number>>();

const placesOf = (seeds: ViewSeed[]): Map<string, number> => {
  const known = seedPlaces.get(seeds);
  if (known !== undefined && known.size === seeds.length) return known;
  const places = new Map(seeds.map(({ seedId }, index) => [seedId, index]));
  seedPlaces.set(seeds, places);
  return places;
};

export const findRun = (state: ViewState, runId: string | null): ViewRun | undefined =>
  runId === null ? undefined : state.runs.find((run) => run.runId === runId);

export const findSeed = (run: ViewRun, seedId: string): ViewSeed | undefined => {
  const place = placesOf(run.seeds).get(seedId);
  return place === undefined ? undefined : run.seeds[place];
};

/** R3, R4 */
const runOf = (state: ViewState, runId: string): ViewRun => {
  const known = findRun(state, runId);
  if (known !== undefined) return known;
  const run = emptyRun(runId);
  pushBounded(state.runs, run, viewBounds.runsMax);
  state.currentRunId = runId;
  return run;
};

/** R3; undefined past the bound (R4). */
const seedOf = (run: ViewRun, seedId: string, site?: string): ViewSeed | undefined => {
  const known = findSeed(run, seedId);
  if (known !== undefined || run.seeds.length >= viewBounds.seedsMax) return known;
  const seed = emptySeed(seedId, site ?? siteIn(seedId));
  placesOf(run.seeds).set(seedId, run.seeds.length);
  run.seeds.push(seed);
  return seed;
};

/** The layer that a seed's name holds, for a seed that nobody planted. */
const siteIn = (seedId: string): string => seedId.replace(/^seed:/, "").replace(/\.(\d+|prune)$/, "");

const inTrial = (trial: ViewTrial): boolean => trial.outcome === null;

/** Places of the seeds' edges; made anew for another list. */
const edgePlaces = new WeakMap<ViewRun["edges"], { readonly places: Map<string, number>; length: number }>();

const edgePlacesOf = (edges: ViewRun["edges"]): { readonly places: Map<string, number>; length: number } => {
  const known = edgePlaces.get(edges);
  if (known !== undefined && known.length === edges.length) return known;
  const places = new Map(edges.flatMap(({ seedId }, place) => (seedId === null ? [] : [[seedId, place] as const])));
  const made = { places, length: edges.length };
  edgePlaces.set(edges, made);
  return made;
};

/** The last edge takes the place of the one that goes: a seed's edges stand behind the host's own, so that it is a seed's too. */
const dropEdge = (edges: ViewRun["edges"], known: ReturnType<typeof edgePlacesOf>, seedId: string, place: number): void => {
  const last = edges.pop();
  known.places.delete(seedId);
  known.length = edges.length;
  if (last === undefined || last.seedId === seedId) return;
  edges[place] = last;
  if (last.seedId !== null) known.places.set(last.seedId, place);
};

/** The seed's own edge, as its trial stands. */
const drawEdge = (run: ViewRun, { seedId, trial }: ViewSeed): void => {
  const known = edgePlacesOf(run.edges);
  const place = known.places.get(seedId) ?? -1;
  const shown = trial !== null && (inTrial(trial) || trial.outcome === "FOSSILIZED") ? trial : null;
  if (shown === null || shown.fromSite === null || shown.toSite === null) {
    if (place >= 0) dropEdge(run.edges, known, seedId, place);
    return;
  }
  const kind = shown.prune !== null ? "pruning" : shown.outcome === "FOSSILIZED" ? "graft" : "trial";
  const edge = { kind, from: shown.fromSite, to: shown.toSite, seedId } as const;
  if (place >= 0) run.edges[place] = edge;
  else {
    known.places.set(seedId, run.edges.push(edge) - 1);
    known.length = run.edges.length;
  }
};

const setHost = (run: ViewRun, host: ViewHost, seeds: readonly (readonly [string, string])[]): void => {
  run.host = host;
  const grown = run.edges.filter((edge) => edge.kind !== "flow");
  const flow = host.layers.slice(1).map(({ site }, index) => {
    return { kind: "flow", from: host.layers[index]!.site, to: site, seedId: null } as const;
  });
  run.edges = [...flow, ...grown];
  for (const [seedId, site] of seeds) seedOf(run, seedId, site);
};

const patchTrial = (run: ViewRun, seed: ViewSeed, trial: ViewTrial, set: TrialPatch): void => {
  Object.assign(trial, set);
  seed.trial = trial;
  drawEdge(run, seed);
};

/** Ways back to DORMANT after the end of a trial leave it as it was judged. */
const endOf = (step: SeedStep): ViewTrial["outcome"] => {
  if (step.to === "FOSSILIZED" || step.to === "CULLED" || step.to === "ROLLED_BACK") return step.to;
  return step.to === "DORMANT" && step.from === "GERMINATED" ? "DORMANT" : null;
};

const alphaAfter = (step: SeedStep, alpha: number): number => {
  if (step.to === "GRAFTING") return 0;
  return ["STABILIZATION", "EVALUATING", "FINE_TUNING", "FOSSILIZED"].includes(step.to)
    ? 1
    : step.to === "DORMANT" || step.to === "CULLED" || step.to === "ROLLED_BACK"
      ? 0
      : alpha;
};

const takeStep = (run: ViewRun, seed: ViewSeed, step: SeedStep, set: TrialPatch | null): void => {
  if (step.sequence <= seed.sequence) return; // R2
  seed.sequence = step.sequence;
  seed.state = step.to;
  seed.sinceEpoch = step.epoch;
  seed.sinceMs = step.atMs;
  seed.reason = step.reason;
  seed.alpha = alphaAfter(step, seed.alpha);
  pushBounded(seed.history, step, viewBounds.stepsPerSeedMax);
  const trial = step.to === "GERMINATED" || seed.trial === null ? emptyTrial(step.epoch) : seed.trial;
  const rests = seed.trial === null && step.to === "DORMANT";
  if (!rests) {
    const outcome = endOf(step);
    patchTrial(run, seed, trial, { ...set, ...(outcome === null ? {} : { outcome }) });
  }
};

const addAlpha = (seed: ViewSeed, epoch: number, alpha: number): void => {
  seed.alpha = alpha;
  const { trial } = seed;
  if (trial === null) return;
  const { alphaEpochs, alphas } = trial;
  const last = alphaEpochs.at(-1);
  if (last !== undefined && last >= epoch) {
    const from = alphaEpochs.findIndex((each) => each >= epoch);
    alphaEpochs.length = alphas.length = from;
  }
  pushBounded(alphaEpochs, epoch, viewBounds.alphasPerTrialMax);
  pushBounded(alphas, alpha, viewBounds.alphasPerTrialMax);
};

/** Puts an item in the place of the one of the same name, else at the end. R2, R4 */
const upsert = <T>(list: T[], item: T, same: (each: T) => boolean, max: number): void => {
  const place = list.findIndex(same);
  if (place >= 0) list[place] = item;
  else pushBounded(list, item, max);
};

/** A word on a command that waits for approval settles it. */
const settleTarget = (commands: ViewCommand[], word: ViewCommand): void => {
  if (word.kind !== "veto" || (word.state !== "accepted" && word.state !== "done")) return;
  const place = commands.findIndex(({ requestId, state }) => requestId === word.target && state === "held");
  const held = commands[place];
  if (held !== undefined)
    commands[place] = { ...held, state: "refused", code: "vetoed", detail: `vetoed by ${word.sender}: ${word.detail}` };
};

const byName = (a: ViewBreaker, b: ViewBreaker): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

const putBreaker = (breakers: ViewBreaker[], name: string, set: Partial<ViewBreaker>): void => {
  const place = breakers.findIndex((each) => each.name === name);
  const known = breakers[place];
  if (known !== undefined) {
    breakers[place] = { ...known, ...set };
    return;
  }
  if (breakers.length >= viewBounds.breakersMax) return;
  const unknown = { name, state: "CLOSED", reason: "", atMs: 0, calls: null, failed: null, rejected: null, p99Ms: null } as const;
  breakers.push({ ...unknown, ...set });
  breakers.sort(byName);
};

const apply = (state: ViewState, change: ViewChange): void => {
  switch (change.k) {
    case "run": {
      const run = runOf(state, change.r);
      state.currentRunId = change.r;
      run.arm = change.arm;
      run.atMs = change.atMs;
      return;
    }
    case "header": {
      const run = runOf(state, change.r);
      run.atMs = change.atMs;
      Object.assign(run, change.set);
      return;
    }
    case "host":
      setHost(runOf(state, change.r), change.host, change.seeds);
      return;
    case "row":
      addRow(runOf(state, change.r).series, change.row, viewBounds.seriesRowsMax);
      return;
    case "progress":
      runOf(state, change.r).progress = change.progress;
      return;
    case "signals":
      runOf(state, change.r).signals = change.signals;
      return;
    case "embargoes":
      runOf(state, change.r).embargoes = change.until;
      return;
    case "step": {
      const run = runOf(state, change.r);
      const seed = seedOf(run, change.seedId);
      if (seed !== undefined) takeStep(run, seed, change.step, change.trial);
      return;
    }
    case "trial": {
      const run = runOf(state, change.r);
      const seed = seedOf(run, change.seedId);
      if (seed !== undefined) patchTrial(run, seed, seed.trial ?? emptyTrial(0), change.set);
      return;
    }
    case "alpha": {
      const seed = seedOf(runOf(state, change.r), change.seedId);
      if (seed === undefined) return;
      addAlpha(seed, change.epoch, change.alpha);
      if (seed.trial !== null) seed.trial.drift = change.drift;
      return;
    }
    case "decision":
      upsert(runOf(state, change.r).decisions, change.decision, ({ id }) => id === change.decision.id, viewBounds.decisionsMax);
      return;
    case "escalation": {
      const { escalation } = change;
      const same = (each: { readonly seedId: string; readonly sinceEpoch: number }): boolean =>
        each.seedId === escalation.seedId && each.sinceEpoch === escalation.sinceEpoch;
      upsert(runOf(state, change.r).escalations, escalation, same, viewBounds.escalationsMax);
      return;
    }
    case "settled": {
      const { escalations } = runOf(state, change.r);
      const place = escalations.findLastIndex((each) => each.seedId === change.seedId && each.settled === null);
      const open = escalations[place];
      if (open !== undefined) escalations[place] = { ...open, settled: change.settled };
      return;
    }
    case "checkpoint": {
      const { checkpoint } = change;
      const same = ({ epoch }: { readonly epoch: number }): boolean => epoch === checkpoint.epoch;
      upsert(runOf(state, change.r).checkpoints, checkpoint, same, viewBounds.checkpointsMax);
      return;
    }
    case "command":
      upsert(state.commands, change.command, ({ requestId }) => requestId === change.command.requestId, viewBounds.commandsMax);
      settleTarget(state.commands, change.command);
      return;
    case "alert":
      upsert(state.alerts, change.alert, ({ id }) => id === change.alert.id, viewBounds.alertsMax);
      return;
    case "actors":
      state.actors = change.actors;
      return;
    case "breaker":
      putBreaker(state.breakers, change.breaker.name, change.breaker);
      return;
    case "breakers":
      for (const breaker of change.breakers) putBreaker(state.breakers, breaker.name, breaker);
      return;
    case "supervision":
      upsert(state.supervision, change.note, ({ id }) => id === change.note.id, viewBounds.supervisionMax);
      return;
    case "letter": {
      const same = ({ messageId }: { readonly messageId: string }): boolean => messageId === change.letter.messageId;
      upsert(state.deadLetters, change.letter, same, viewBounds.deadLettersMax);
      return;
    }
    case "letterState": {
      const place = state.deadLetters.findIndex(({ messageId }) => messageId === change.messageId);
      const letter = state.deadLetters[place];
      if (letter !== undefined) state.deadLetters[place] = { ...letter, state: change.state };
      return;
    }
    case "nodeTold":
      state.nodeTold = true;
      return;
    case "count":
      state.atMs = Math.max(state.atMs, change.atMs);
      state.events = change.events;
      state.unreadable = change.unreadable;
      return;
  }
};

const slices: Readonly<Record<ViewChange["k"], readonly ViewSlice[]>> = {
  run: ["header"],
  header: ["header"],
  host: ["host", "seeds"],
  row: ["series"],
  progress: ["progress"],
  signals: ["signals"],
  embargoes: ["signals"],
  step: ["seeds", "host"],
  trial: ["seeds", "host"],
  alpha: ["seeds"],
  decision: ["decisions"],
  escalation: ["escalations"],
  settled: ["escalations"],
  checkpoint: ["checkpoints"],
  command: ["commands"],
  alert: ["alerts"],
  actors: ["actors"],
  breaker: ["breakers"],
  breakers: ["breakers"],
  supervision: ["actors"],
  letter: ["deadLetters"],
  letterState: ["deadLetters"],
  nodeTold: ["actors", "breakers", "deadLetters"],
  count: ["clock"],
};

/** Changes the state in place (R1); the slices that it touched have to be drawn again. */
export const applyChange = (state: ViewState, change: ViewChange): readonly ViewSlice[] => {
  apply(state, change);
  return slices[change.k];
};

export const applyChanges = (state: ViewState, changes: Iterable<ViewChange>): void => {
  for (const change of changes) apply(state, change);
};
