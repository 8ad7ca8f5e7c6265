/** A command to a run, answered at once: a receipt, or a refusal that says why. What is accepted waits for the next boundary. */

import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import { type CommandReceipt, concernsRun, type Holds, type KasminaControlCommand } from "../contracts/commands.ts";
import { isActive } from "../contracts/lifecycle.ts";
import { type PruneTarget, pruneSeedId } from "../contracts/pruning.ts";
import { defaultBlueprint, fitsSpan, pruningCost, type TrialCost, trialCost } from "../contracts/trial.ts";
import { askedFor } from "./asked-state.ts";
import { gateZero } from "./gates.ts";
import { applyHold, type HoldCommand, heldStill, namesOf, noHolds, type Refusal, refuseHold } from "./holds.ts";
import type { Germination as Germinate, KasminaRunState, PendingCommand, RunQuery, SeedPlace } from "./kasmina-state.ts";
import {
  cacheCommandsMax,
  cachedKernelsMax,
  defaultTarget,
  locateSeed,
  pendingCommandsMax,
  pruneProblem,
  runQueries,
  seedSites,
  seedSnapshot,
} from "./kasmina-state.ts";
import { germinationFacts } from "./run-budget.ts";
import { answerQuery } from "./run-queries.ts";
import type { SeedContext, Span } from "./seed-context.ts";
import { seedStateOf } from "./seed-context.ts";

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

type CacheCommand = Extract<PendingCommand, { kind: "load_kernel" | "unload_kernel" }>;

const refuseCaching = (state: KasminaRunState, { kind, site, hash }: CacheCommand): Refusal | undefined => {
  if (!seedSites(state.host).some((each) => each.site === site))
    return { code: "unknown_layer", reason: `expected a layer of this run, got ${site}; ask for the layers` };
  const trial = state.activeSeedId === null ? null : seedSnapshot(state, state.activeSeedId).context.trial;
  if (trial?.kernelHash === hash)
    return { code: "in_use", reason: `${hash.slice(0, 12)} is in trial at ${state.activeSeedId}; its verdict comes first` };
  const isCaching = (each: PendingCommand): each is CacheCommand => each.kind === "load_kernel" || each.kind === "unload_kernel";
  const waiting = state.pending.filter(isCaching);
  if (waiting.length >= cacheCommandsMax)
    return {
      code: "limit",
      reason: `${waiting.length} kernels wait to be cached or evicted at the boundary; at most ${cacheCommandsMax}`,
    };
  const cached = new Set((state.cachedKernels ?? []).map((each) => each.hash));
  for (const each of waiting) {
    if (each.kind === "load_kernel") cached.add(each.hash);
    else cached.delete(each.hash);
  }
  if (kind === "unload_kernel")
    return cached.has(hash)
      ? undefined
      : { code: "unknown_asset", reason: `no command brought ${hash.slice(0, 12)} into the cache; ask for the layer` };
  if (cached.has(hash)) return { code: "in_use", reason: `${hash.slice(0, 12)} is in the cache already, or will be` };
  return cached.size >= cachedKernelsMax
    ? { code: "limit", reason: `commands brought ${cached.size} kernels into the cache; at most ${cachedKernelsMax}, unload one` }
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
    case "load_kernel":
    case "unload_kernel":
      return refuseCaching(state, command);
    case "checkpoint":
      return state.pending.some((each) => each.kind === "checkpoint")
        ? { code: "limit", reason: "a checkpoint was accepted and waits for the boundary" }
        : undefined;
    case "policy_load":
    case "policy_update":
    case "stop":
      return undefined;
  }
};

const isQuery = (command: KasminaControlCommand): command is RunQuery => runQueries.some((kind) => kind === command.kind);

/** What a command is about, when it is not the run. */
const objectOf = (command: PendingCommand): string | undefined => {
  if ("seedId" in command) return command.seedId;
  if ("target" in command) return command.target;
  if (command.kind === "policy_load" || command.kind === "policy_update")
    return `${command.policy.name} (${command.hash.slice(0, 12)})`;
  if ("hash" in command) return `${command.hash.slice(0, 12)} at ${command.site}`;
  if ("resource" in command) return `${command.resource} ${command.max}`;
  return "site" in command && command.site !== undefined ? command.site : "scope" in command ? command.scope : undefined;
};

type RunChange = Extract<KasminaControlCommand, { kind: PendingCommand["kind"] | "transition" }>;
const runChanges: Readonly<Record<RunChange["kind"], true>> = {
  germinate: true,
  cull: true,
  release: true,
  rollback: true,
  resolve: true,
  pause: true,
  resume: true,
  pin: true,
  unpin: true,
  limit: true,
  veto: true,
  stop: true,
  load_kernel: true,
  unload_kernel: true,
  checkpoint: true,
  policy_load: true,
  policy_update: true,
  transition: true,
};
const isRunChange = (command: KasminaControlCommand): command is RunChange => command.kind in runChanges;

/** The command that waits: a state that was asked for becomes the order that leads there. */
const settled = (state: KasminaRunState, command: RunChange): PendingCommand | Refusal => {
  switch (command.kind) {
    case "transition":
      return askedFor(state, command);
    case "germinate": {
      const { blueprint, ...rest } = command;
      if (blueprint !== undefined && "hash" in blueprint)
        return { code: "unknown_asset", reason: `expected a blueprint that was looked up, got only its hash ${blueprint.hash}` };
      return blueprint === undefined ? rest : { ...rest, blueprint };
    }
    case "policy_load": {
      const { policy, hash, ...rest } = command;
      if (hash === undefined || "hash" in policy)
        return { code: "unknown_asset", reason: "expected a policy that was looked up, with its hash" };
      return { ...rest, policy, hash };
    }
    case "policy_update": {
      const { policy, hash, ...rest } = command;
      if (hash === undefined || policy === undefined)
        return { code: "unavailable", reason: "expected a change with the policy that follows, got the change alone" };
      return { ...rest, policy, hash };
    }
    default:
      return command;
  }
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
  if (!isRunChange(command)) return refused({ code: "invalid", reason: `${command.kind} is not answered by a run` });
  const order = settled(state, command);
  if ("code" in order) return refused(order);
  const appliesAtEpoch = (state.plan?.epoch ?? state.epoch) + 1;
  const way = command.kind === "transition" ? ` to ${command.to} by ${order.kind}` : "";
  const detail = `${command.kind} ${objectOf(order) ?? runId}${way}`;
  const receipt: CommandReceipt = { kind: "accepted", requestId, runId, appliesAtEpoch, detail };
  if (state.pending.some((each) => each.requestId === requestId)) return { state, receipt };
  const refusal = refuse(state, order);
  if (refusal !== undefined) return refused(refusal);
  const germinations = state.germinations + (order.kind === "germinate" ? 1 : 0);
  return { state: { ...state, germinations, pending: [...state.pending, order] }, receipt };
};
