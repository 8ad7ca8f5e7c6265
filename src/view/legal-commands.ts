/**
 * Which commands are legal now, as far as the view knows, and why the others are not: so that a page does not offer what would be refused.
 * The Gate decides; what is legal here may still be refused there (budget, rate, approval), and nothing is legal here that is never so there.
 */
import { isActive } from "../contracts/lifecycle-table.ts";
import type { CommandKind, Role } from "../contracts/roles.ts";
import type { CommandStanding, ViewRun, ViewSeed, ViewState } from "../contracts/view.ts";
import { findRun, findSeed } from "./reduce.ts";

/** What the page offers for a seed, and for a run. */
const seedKinds = [
  "germinate",
  "cull",
  "rollback",
  "release",
  "resolve",
  "pin",
  "unpin",
] as const satisfies readonly CommandKind[];
const runKinds = ["pause", "resume", "rollback", "limit", "checkpoint", "step", "stop"] as const satisfies readonly CommandKind[];
const nodeKinds = ["approve", "veto", "start", "shutdown", "dead_letter"] as const satisfies readonly CommandKind[];

type SeedKind = (typeof seedKinds)[number];
type RunKind = (typeof runKinds)[number];

/** What no other command undoes. */
const irreversible: ReadonlySet<CommandKind> = new Set([
  "cull",
  "rollback",
  "resolve",
  "stop",
  "shutdown",
  "dead_letter",
  "veto",
]);

/** Of a seed that prunes: it is commanded with what is to go, which the page does not know. */
const isPruneSeed = ({ seedId }: ViewSeed): boolean => seedId.endsWith(".prune");

const held = (run: ViewRun, { seedId, site }: ViewSeed): string | undefined => {
  const { pins, adaptationPaused, pausedSites } = run.holds;
  const pin = [seedId, site].find((name) => pins.includes(name));
  if (pin !== undefined) return `${pin} is pinned; unpin it first`;
  if (adaptationPaused) return "adaptation of this run is paused; resume it first";
  return pausedSites.includes(site) ? `adaptation at ${site} is paused; resume that layer first` : undefined;
};

const whyNotGerminate = (run: ViewRun, seed: ViewSeed): string | undefined => {
  const until = run.embargoes[seed.site];
  if (run.growth === false) return `${run.arm} trains without growth`;
  if (isPruneSeed(seed)) return "a pruning names the units that are to go; Emrakul proposes them";
  if (seed.state !== "DORMANT") return `GERMINATE is legal in DORMANT; ${seed.seedId} is ${seed.state}`;
  // A command takes effect at the end of the window that runs.
  if (until !== undefined && run.epoch + 1 < until) return `the layer is under embargo until window ${until}; now ${run.epoch}`;
  if (run.activeSeedId !== null && run.activeSeedId !== seed.seedId)
    return `${run.activeSeedId} holds the grafting lock; one trial at a time in a run`;
  return held(run, seed);
};

/** Why a command to a seed is not legal in the state that it shows; undefined when it is. */
const whyNotSeed = (kind: SeedKind, run: ViewRun, seed: ViewSeed): string | undefined => {
  const { seedId, site, state } = seed;
  const { pins } = run.holds;
  switch (kind) {
    case "germinate":
      return whyNotGerminate(run, seed);
    case "cull": {
      const pin = [seedId, site].find((name) => pins.includes(name));
      if (pin !== undefined) return `${pin} is pinned; unpin it first`;
      return isActive(state) ? undefined : `CULL is legal from GERMINATED to FINE_TUNING; ${seedId} is ${state}`;
    }
    case "rollback":
      return isActive(state) && state !== "GERMINATED"
        ? undefined
        : `ROLLBACK is legal from LOADING to FINE_TUNING; ${seedId} is ${state}`;
    case "release":
      return state === "ROLLED_BACK" ? undefined : `RELEASE is legal in ROLLED_BACK; ${seedId} is ${state}`;
    case "resolve": {
      const open = run.escalations.some((each) => each.seedId === seedId && each.settled === null);
      return open && state === "FINE_TUNING" ? undefined : `no escalation of ${seedId} is open`;
    }
    case "pin":
      if (pins.includes(seedId)) return `${seedId} is pinned already`;
      return isActive(state) ? `a trial is open at ${site}` : undefined;
    case "unpin":
      return pins.includes(seedId) ? undefined : `${seedId} is not pinned`;
  }
};

const whyNotRun = (kind: RunKind, run: ViewRun): string | undefined => {
  switch (kind) {
    case "pause":
      return run.paused ? "the run is paused; resume it to go on" : undefined;
    case "resume":
      return run.paused ? undefined : "the run is not paused";
    case "rollback": {
      const seed = run.activeSeedId === null ? undefined : findSeed(run, run.activeSeedId);
      return seed === undefined ? "no seed is in trial" : whyNotSeed("rollback", run, seed);
    }
    case "step":
      return run.growth === false ? `${run.arm} trains without growth` : undefined;
    default:
      return undefined;
  }
};

const whyNotNode = (kind: (typeof nodeKinds)[number], state: ViewState): string | undefined => {
  if (kind === "approve")
    return state.commands.some((each) => each.state === "held") ? undefined : "no command waits for approval";
  if (kind === "veto")
    return state.commands.some((each) => each.state === "held" || each.state === "accepted")
      ? undefined
      : "no command waits for approval or for its boundary";
  if (kind !== "dead_letter") return undefined;
  return state.deadLetters.some((each) => each.state === "waiting") ? undefined : "no dead letter waits";
};

/** Why this role may not send such a command at all. */
const whyNotAllowed = (state: ViewState, kind: CommandKind, role: Role | undefined): string | undefined => {
  if (state.source === "recorded") return "a recorded run takes no commands";
  const allowed = state.commandRoles[kind];
  if (allowed === undefined) return "this node does not know the command";
  if (role !== undefined && allowed.includes(role)) return undefined;
  const who = allowed.filter((each) => each !== "controller").join(", ");
  return role === undefined ? `enter a token first (${who})` : `${kind} needs one of: ${who}; the token is of ${role}`;
};

const standing = (
  state: ViewState,
  kind: CommandKind,
  role: Role | undefined,
  run: ViewRun | undefined,
  why: () => string | undefined,
): CommandStanding => {
  const over = run !== undefined && run.outcome !== "running" ? `the run is over: ${run.outcome}` : undefined;
  const reason = whyNotAllowed(state, kind, role) ?? over ?? why();
  return { kind, legal: reason === undefined, reason: reason ?? "", irreversible: irreversible.has(kind) };
};

/**
 * The commands that concern a seed, in a fixed order; with `seedId` null those that concern the run; with `runId` null those that
 * concern the node. `role`: of the token; undefined without one.
 */
export const legalCommands = (
  state: ViewState,
  runId: string | null,
  seedId: string | null,
  role: Role | undefined,
): readonly CommandStanding[] => {
  if (runId === null) return nodeKinds.map((kind) => standing(state, kind, role, undefined, () => whyNotNode(kind, state)));
  const run = findRun(state, runId);
  if (run === undefined) return [];
  if (seedId === null) return runKinds.map((kind) => standing(state, kind, role, run, () => whyNotRun(kind, run)));
  const seed = findSeed(run, seedId);
  return seed === undefined ? [] : seedKinds.map((kind) => standing(state, kind, role, run, () => whyNotSeed(kind, run, seed)));
};
