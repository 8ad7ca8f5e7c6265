/** A command to a run, answered at once: a receipt, or a refusal that says why. What is accepted waits for the next boundary. */

import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import { budgetResources } from "../contracts/budget.ts";
import {
  type CommandReceipt,
  concernsRun,
  type Holds,
  type KasminaControlCommand,
  type RunStatus,
  type SeedStatus,
} from "../contracts/commands.ts";
import { isActive } from "../contracts/lifecycle.ts";
import { type PruneTarget, pruneSeedId } from "../contracts/pruning.ts";
import { defaultBlueprint, fitsSpan, healthOfLayer, pruningCost, type TrialCost, trialCost } from "../contracts/trial.ts";
import { amountsOf, leftFor } from "./budget.ts";
import { gateZero } from "./gates.ts";
import { applyHold, type HoldCommand, heldStill, namesOf, noHolds, type Refusal, refuseHold } from "./holds.ts";
import type { KasminaRunState, PendingCommand, RunQuery, SeedPlace } from "./kasmina-state.ts";
import {
  defaultTarget,
  locateSeed,
  pendingCommandsMax,
  pruneProblem,
  seedCount,
  seedIdAt,
  seedSites,
  seedSnapshot,
} from "./kasmina-state.ts";
import { germinationFacts, wholeStanding } from "./run-budget.ts";
import type { SeedContext, Span } from "./seed-context.ts";
import { plantedStep, seedAlpha, seedReasonOf, seedSinceEpoch, seedStateOf } from "./seed-context.ts";

const statusSeedsMax = 1000;

type Germinate = Extract<KasminaControlCommand, { kind: "germinate" }>;
export interface Germination {
  readonly span: Span;
  readonly blueprint: BlueprintRequest;
  readonly prune?: PruneTarget;
  readonly cost: TrialCost | undefined;
}

/** Nothing is added: the control stands for it. */
const nothing: BlueprintRequest = { kind: "no-op", hiddenWidth: 1, initialization: "zero" };

const resolvePruning = (state: KasminaRunState, command: Germinate, { site, n }: SeedPlace): Germination | Refusal => {
  const { prune, blueprint, toSite, seedId } = command;
  const { config, validationBatches } = state.setup;
  if (prune === undefined)
    return {
      code: "invalid",
      reason: `expected what is to go, ${seedId} grows nothing; name it in \`prune\` or name another seed`,
    };
  if (n !== 0 || prune.site !== site)
    return {
      code: "invalid",
      reason: `expected ${pruneSeedId(prune.site)} for a pruning at ${prune.site}, got ${seedId}; it is there where morphogenetic.pruning.enabled is true`,
    };
  if (blueprint !== undefined || toSite !== undefined)
    return { code: "invalid", reason: "expected a pruning without blueprint and target; leave them out" };
  const problem = pruneProblem(state, prune);
  if (problem !== undefined) return { code: "span", reason: problem };
  const span = { fromSite: site, toSite: site };
  return { span, blueprint: nothing, prune, cost: pruningCost(state.host, site, validationBatches, config) };
};

/** What a germinate command asks for, with what it leaves out filled in; a refusal when that is not legal in this host. */
export const resolveGermination = (state: KasminaRunState, command: Germinate): Germination | Refusal => {
  const place = locateSeed(state, command.seedId);
  if (place === undefined)
    return { code: "unknown_seed", reason: `expected a seed of this run, got ${command.seedId}; ask for the status` };
  if (command.prune !== undefined || place.n === 0) return resolvePruning(state, command, place);
  const { site } = place;
  const replaces = (command.blueprint ?? state.setup.config.blueprint).kind === "replacement";
  const toSite = command.toSite ?? (replaces ? site : defaultTarget(state, site));
  if (toSite === undefined) return { code: "span", reason: `no bypass from ${site} is legal in this host` };
  const span = { fromSite: site, toSite };
  const blueprint = command.blueprint ?? defaultBlueprint(state.host, span, state.setup.config.blueprint);
  if (state.host.sites.some((each) => each.site === toSite) && !fitsSpan(state.host, span, blueprint))
    return {
      code: "span",
      reason: `a ${blueprint.kind} started as ${blueprint.initialization} does not fit from ${site} to ${toSite}`,
    };
  return { span, blueprint, cost: trialCost(state.host, span, blueprint, state.setup.validationBatches, state.setup.config) };
};

const refuseGermination = (state: KasminaRunState, command: Germinate): Refusal | undefined => {
  if (!state.setup.growth || !state.setup.config.enabled)
    return { code: "invalid", reason: `run ${state.setup.runId} (${state.setup.arm}) trains without growth` };
  const resolved = resolveGermination(state, command);
  if ("code" in resolved) return resolved;
  const present = seedStateOf(seedSnapshot(state, command.seedId).context);
  if (present !== "DORMANT")
    return { code: "illegal_transition", reason: `GERMINATE is legal in DORMANT; ${command.seedId} is ${present}` };
  const waiting = state.pending.find((each) => each.kind === "germinate");
  if (waiting !== undefined)
    return { code: "lock_held", reason: `the germination of ${waiting.seedId} was accepted and waits for the boundary` };
  const { span, cost, prune } = resolved;
  const held = heldStill(willHold(state), { seedId: command.seedId, ...span, prune });
  if (held !== undefined) return held;
  const counted = { lockHolder: state.activeSeedId, adaptations: state.germinations };
  const facts = germinationFacts(state, span, cost, counted, prune);
  const gate = gateZero(facts, command.seedId, state.plan?.epoch ?? state.epoch);
  return gate.passed ? undefined : { code: gate.code ?? "invalid", reason: gate.reason };
};

/** The holds as they will be when the commands that wait have taken effect. */
const willHold = (state: KasminaRunState): Holds =>
  state.pending.reduce((holds, each) => (isHold(each) ? applyHold(holds, each) : holds), state.holds ?? noHolds);

const isHold = (command: PendingCommand): command is HoldCommand =>
  command.kind === "pin" || command.kind === "unpin" || command.kind === "pause" || command.kind === "resume";

/** What an open trial, and germinations that wait for their boundary, touch: seeds and layers by name. */
const touchedNames = (state: KasminaRunState): readonly string[] => {
  const { activeSeedId } = state;
  const trial = activeSeedId === null ? null : seedSnapshot(state, activeSeedId).context.trial;
  const open =
    activeSeedId === null || trial === null ? [] : namesOf({ seedId: activeSeedId, ...trial.span, prune: trial.prune });
  const waiting = state.pending.flatMap((each) => {
    if (each.kind !== "germinate") return [];
    const resolved = resolveGermination(state, each);
    return "code" in resolved ? [] : namesOf({ seedId: each.seedId, ...resolved.span, prune: resolved.prune });
  });
  return [...open, ...waiting];
};

const refuseHoldCommand = (state: KasminaRunState, command: HoldCommand): Refusal | undefined => {
  const isSite = (name: string): boolean => seedSites(state.host).some(({ site }) => site === name);
  if (command.kind === "pin" || command.kind === "unpin") {
    const { target } = command;
    if (!isSite(target) && locateSeed(state, target) === undefined)
      return { code: "unknown_seed", reason: `expected a seed or a layer of this run, got ${target}; ask for the status` };
    if (command.kind === "pin" && touchedNames(state).includes(target))
      return {
        code: "illegal_transition",
        reason: `a trial is open at ${target}, or waits for its boundary; its verdict comes first`,
      };
  } else if (command.site !== undefined) {
    if (command.scope === "run")
      return { code: "invalid", reason: `expected a ${command.kind} of the run or of a layer, got both; send one of them` };
    if (!isSite(command.site))
      return { code: "unknown_seed", reason: `expected a layer of this run, got ${command.site}; ask for the status` };
  }
  return refuseHold(willHold(state), command);
};

type Order = Extract<PendingCommand, { kind: "cull" | "rollback" | "release" | "resolve" }>;

/** Where each order is legal, in words and as a test. */
const legalOrders: Readonly<Record<Order["kind"], readonly [string, (context: SeedContext) => boolean]>> = {
  cull: ["CULL is legal from GERMINATED to FINE_TUNING", (context) => isActive(seedStateOf(context))],
  rollback: [
    "ROLLBACK is legal from LOADING to FINE_TUNING",
    (context) => isActive(seedStateOf(context)) && seedStateOf(context) !== "GERMINATED",
  ],
  release: ["RELEASE is legal in ROLLED_BACK", (context) => seedStateOf(context) === "ROLLED_BACK"],
  resolve: [
    "RESOLVE is legal while an escalation is open",
    (context) => seedStateOf(context) === "FINE_TUNING" && (context.trial?.escalation ?? null) !== null,
  ],
};

const refuseOrder = (state: KasminaRunState, command: Order): Refusal | undefined => {
  const { kind } = command;
  const seedId = command.seedId ?? state.activeSeedId;
  if (seedId === null || seedId === undefined)
    return {
      code: "illegal_transition",
      reason: "no seed is in trial: the host stands as in its last good snapshot, there is nothing to roll back",
    };
  if (locateSeed(state, seedId) === undefined)
    return { code: "unknown_seed", reason: `expected a seed of this run, got ${seedId}; ask for the status` };
  if (state.pending.some((each) => each.kind === kind && (each.seedId ?? state.activeSeedId) === seedId))
    return { code: "illegal_transition", reason: `a ${kind} of ${seedId} was accepted and waits for the boundary` };
  const { context } = seedSnapshot(state, seedId);
  const { pins } = state.holds ?? noHolds;
  if (kind === "cull" && (pins.includes(seedId) || pins.includes(context.site)))
    return { code: "pinned", reason: `${seedId} is pinned; unpin it first` };
  const [rule, isLegal] = legalOrders[kind];
  return isLegal(context) ? undefined : { code: "illegal_transition", reason: `${rule}; ${seedId} is ${seedStateOf(context)}` };
};

const willBePaused = (state: KasminaRunState): boolean =>
  state.pending.reduce(
    (paused, each) => ((each.kind === "pause" || each.kind === "resume") && concernsRun(each) ? each.kind === "pause" : paused),
    state.paused,
  );

const refuseVeto = (state: KasminaRunState, target: string): Refusal | undefined => {
  const waiting = state.pending.find(({ requestId }) => requestId === target);
  if (waiting === undefined)
    return {
      code: "unknown_request",
      reason: `no command ${target} waits for approval or for its boundary; it took effect, or never came`,
    };
  if (waiting.kind === "veto") return { code: "illegal_transition", reason: `${target} is a veto; a veto is not vetoed` };
  return state.pending.some((each) => each.kind === "veto" && each.target === target)
    ? { code: "vetoed", reason: `${target} is vetoed already` }
    : undefined;
};

const refuse = (state: KasminaRunState, command: PendingCommand): Refusal | undefined => {
  if (state.stopReason !== null || state.pending.some((each) => each.kind === "stop"))
    return { code: "stopping", reason: `run ${state.setup.runId} is stopping: ${state.stopReason ?? "a stop was accepted"}` };
  // A run that is full of commands can still be resumed and stopped.
  if (state.pending.length >= pendingCommandsMax && command.kind !== "resume" && command.kind !== "stop")
    return { code: "limit", reason: `${state.pending.length} commands wait for the boundary; at most ${pendingCommandsMax}` };
  switch (command.kind) {
    case "germinate":
      return refuseGermination(state, command);
    case "cull":
    case "rollback":
    case "release":
    case "resolve":
      return refuseOrder(state, command);
    case "pin":
    case "unpin":
      return refuseHoldCommand(state, command);
    case "limit":
      return undefined;
    case "veto":
      return refuseVeto(state, command.target);
    case "pause":
      if (!concernsRun(command)) return refuseHoldCommand(state, command);
      return willBePaused(state) ? { code: "already_paused", reason: "the run is paused; send resume to go on" } : undefined;
    case "resume":
      if (!concernsRun(command)) return refuseHoldCommand(state, command);
      return willBePaused(state) ? undefined : { code: "not_paused", reason: "the run is not paused" };
    case "stop":
      return undefined;
  }
};

const seedStatus = (state: KasminaRunState, site: string, seedId: string): SeedStatus => {
  const context = state.seeds[seedId] === undefined ? undefined : seedSnapshot(state, seedId).context;
  const layer = state.signal?.layers.find((each) => each.site === site);
  const health = healthOfLayer(layer, state.setup.config.trigger);
  return {
    seedId,
    site,
    state: context === undefined ? plantedStep.state : seedStateOf(context),
    sinceEpoch: context === undefined ? plantedStep.epoch : seedSinceEpoch(context),
    reason: context === undefined ? plantedStep.reason : seedReasonOf(context),
    embargoUntilEpoch: state.embargoes[site] ?? 0,
    ...(health === undefined ? {} : { health }),
    alpha: context === undefined ? 0 : seedAlpha(context),
  };
};

export const runStatus = (state: KasminaRunState): RunStatus => {
  const seeds: SeedStatus[] = [];
  const { seedsPerSite, pruning } = state.setup.config;
  const sites = seedSites(state.host);
  for (const { site } of sites) {
    for (let n = 1; n <= seedsPerSite && seeds.length < statusSeedsMax; n += 1)
      seeds.push(seedStatus(state, site, seedIdAt(site, n, seedsPerSite)));
  }
  for (const { site } of pruning.enabled ? sites.slice(0, statusSeedsMax - seeds.length) : [])
    seeds.push(seedStatus(state, site, pruneSeedId(site)));
  return {
    runId: state.setup.runId,
    arm: state.setup.arm,
    epoch: state.epoch,
    paused: state.paused,
    ...(state.holds === undefined ? {} : { holds: state.holds }),
    host: state.host,
    seeds,
    seedCount: seedCount(state),
  };
};

const escalationsMax = 64;

const isQuery = (command: KasminaControlCommand): command is RunQuery =>
  command.kind === "status" || command.kind === "escalations" || command.kind === "budget";

const answerQuery = (state: KasminaRunState, { kind, requestId }: RunQuery): CommandReceipt => {
  const { runId, config } = state.setup;
  switch (kind) {
    case "status":
      return { kind, requestId, run: runStatus(state) };
    case "budget": {
      const standing = wholeStanding(state);
      const left = amountsOf(budgetResources.map((resource) => [resource, leftFor(standing, resource)] as const));
      return { kind, requestId, runId, standing, left };
    }
    case "escalations": {
      const { escalationEpochsMax, escalationPolicy } = config.jury;
      const escalations = Object.keys(state.seeds).flatMap((seedId) => {
        const { context } = seedSnapshot(state, seedId);
        const open = seedStateOf(context) === "FINE_TUNING" ? context.trial?.escalation : null;
        if (open === null || open === undefined) return [];
        const windowsLeft = Math.max(0, escalationEpochsMax - open.windows);
        return [{ seedId, sinceEpoch: open.sinceEpoch, reason: seedReasonOf(context), windowsLeft, otherwise: escalationPolicy }];
      });
      return { kind, requestId, runId, escalations: escalations.slice(0, escalationsMax) };
    }
  }
};

/** What a command is about, when it is not the run. */
const objectOf = (command: PendingCommand): string | undefined => {
  if ("seedId" in command) return command.seedId;
  if ("target" in command) return command.target;
  if ("resource" in command) return `${command.resource} ${command.max}`;
  return "site" in command && command.site !== undefined ? command.site : "scope" in command ? command.scope : undefined;
};

/** The same request twice gets the same receipt and waits once. */
export const acceptCommand = (
  state: KasminaRunState,
  command: KasminaControlCommand,
): { readonly state: KasminaRunState; readonly receipt: CommandReceipt } => {
  const { requestId } = command;
  const { runId } = state.setup;
  const refused = ({ code, reason }: Refusal): { state: KasminaRunState; receipt: CommandReceipt } => ({
    state,
    receipt: { kind: "refused", requestId, code, reason },
  });
  if (command.runId !== undefined && command.runId !== runId)
    return refused({ code: "unknown_run", reason: `expected run ${runId}, got ${command.runId}` });
  if (isQuery(command)) return { state, receipt: answerQuery(state, command) };
  if (command.kind === "approve" || command.kind === "learn" || command.kind === "approvals" || command.kind === "governance")
    return refused({ code: "invalid", reason: `${command.kind} is answered by the Warden, not by a run` });
  const appliesAtEpoch = (state.plan?.epoch ?? state.epoch) + 1;
  const detail = `${command.kind} ${objectOf(command) ?? runId}`;
  const receipt: CommandReceipt = { kind: "accepted", requestId, runId, appliesAtEpoch, detail };
  if (state.pending.some((each) => each.requestId === requestId)) return { state, receipt };
  const refusal = refuse(state, command);
  if (refusal !== undefined) return refused(refusal);
  const germinations = state.germinations + (command.kind === "germinate" ? 1 : 0);
  return { state: { ...state, germinations, pending: [...state.pending, command] }, receipt };
};
