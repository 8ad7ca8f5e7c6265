/** What `esper ctl` and its completion know of every kind of command: what it is for, its options, and the fields they become. */
import { readFileSync } from "node:fs";
import { loadConfig } from "../../config/load.ts";
import { blueprintKinds } from "../../contracts/blueprint-kinds.ts";
import { budgetResources } from "../../contracts/budget.ts";
import { kernelStatuses } from "../../contracts/command-changes.ts";
import { describeError, InputError } from "../../contracts/errors.ts";
import { lifecycleStates } from "../../contracts/lifecycle.ts";
import { pruneSeedId } from "../../contracts/pruning.ts";
import type { CommandKind } from "../../contracts/roles.ts";
import { blueprintOf, pruneOf, seedOf } from "./germination.ts";
import { integerFrom, notNegative, numberList, numbersByName, unitList, wordList } from "./parse.ts";

/** Which ids, of the running node or of its data directory, complete an option's value. */
export type Completes = "seed" | "layer" | "kernel" | "blueprint" | "policy" | "request" | "escalation" | "run" | "checkpoint";

export interface OptionKind {
  readonly flags: string;
  readonly about: string;
  readonly required?: true;
  readonly parse?: (text: string, before: unknown) => unknown;
  readonly choices?: readonly string[];
  readonly completes?: Completes;
}

/** Values as the options gave them. */
export type Given = Readonly<Record<string, unknown>>;

export interface ControlKind {
  readonly kind: CommandKind;
  readonly about: string;
  readonly example: string;
  readonly options?: readonly OptionKind[];
  /** Beside request id and run; an option that was left out is undefined. */
  readonly fields?: (given: Given, environment: Readonly<Record<string, string | undefined>>) => Given;
}

const jsonFile = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new InputError(`expected a JSON file, got ${path}: ${describeError(error)}`, { file: path });
  }
};

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const pick =
  (...names: readonly string[]) =>
  (given: Given): Given =>
    Object.fromEntries(names.map((name) => [name, given[name]]));

const reason: OptionKind = { flags: "--reason <text>", about: "kept with the command in event log and ledger" };
const seed: OptionKind = {
  flags: "--seed <id>",
  about: "the seed, for example seed:h2, or the layer that it sits at",
  required: true,
  completes: "seed",
};
const site: OptionKind = { flags: "--site <layer>", about: "the layer", required: true, completes: "layer" };
const pauseScope: readonly OptionKind[] = [
  { flags: "--scope <scope>", about: "the run, or all that may begin in it", choices: ["run", "adaptation"] },
  { flags: "--site <layer>", about: "what may begin at this layer", completes: "layer" },
];
const kernelHash: OptionKind = { flags: "--hash <sha256>", about: "the kernel's hash", required: true, completes: "kernel" };
const limit: OptionKind = { flags: "--limit <rows>", about: "at most so many, up to 500", parse: integerFrom(1, 500) };
const pinned: OptionKind = {
  flags: "--target <name>",
  about: "a seed, for example seed:h2, or a layer",
  required: true,
  completes: "seed",
};
const request: OptionKind = { flags: "--target <id>", about: "request id of the command", required: true, completes: "request" };
const ofSeed = (given: Given): Given => ({ seedId: seedOf(text(given["seed"])), reason: given["reason"] });
const tagLists: readonly OptionKind[] = [
  { flags: "--require <tags>", about: "tags that they must all have, separated by commas", parse: wordList },
  { flags: "--prefer <tags>", about: "those with more of these come first", parse: wordList },
  { flags: "--exclude <tags>", about: "none of these", parse: wordList },
];

/** Nobody is asked for a field that a file may not hold: the node's own settings stay the node's. */
const startConfig = (file: string, environment: Readonly<Record<string, string | undefined>>): Given => {
  const { services: _, logging: __, control: ___, roles: ____, ...config } = loadConfig({ file, environment, overrides: [] });
  return config;
};

export const seedFilter: readonly OptionKind[] = [
  { flags: "--state <state>", about: "only in this state", choices: lifecycleStates },
  { flags: "--site <layer>", about: "only of this layer", completes: "layer" },
  limit,
  { flags: "--after <seed>", about: "only those after this one: the next page", completes: "seed" },
];
export const seedFilterFields = pick("state", "site", "limit", "after");
export const decisionFilter: readonly OptionKind[] = [
  { flags: "--since <window>", about: "only after this window and later", parse: integerFrom(0) },
  limit,
];
export const decisionFilterFields = (given: Given): Given => ({ sinceEpoch: given["since"], limit: given["limit"] });
export const kernelFilter: readonly OptionKind[] = [
  ...tagLists,
  { flags: "--machine <name>", about: "only as measured on this machine" },
  { flags: "--blueprint <kind>", about: "only of this kind of blueprint", choices: blueprintKinds },
  limit,
];
export const kernelFilterFields = (given: Given): Given => ({
  tagsRequired: given["require"],
  tagsPreferred: given["prefer"],
  tagsExcluded: given["exclude"],
  machine: given["machine"],
  blueprint: given["blueprint"],
  limit: given["limit"],
});

export const controlKinds: readonly ControlKind[] = [
  {
    kind: "germinate",
    about: "Start a trial at a seed.",
    example: "esper ctl germinate --seed h2 --to h3 --blueprint low-rank --width 8",
    options: [
      seed,
      { flags: "--to <layer>", about: "where the bypass ends (default: the best span)", completes: "layer" },
      {
        flags: "--blueprint <kind>",
        about: "what to grow (default: dense with --width, else as configured)",
        choices: blueprintKinds,
      },
      { flags: "--blueprint-hash <sha256>", about: "a blueprint that was submitted", completes: "blueprint" },
      {
        flags: "--width <units>",
        about: "hidden width of the bypass: units, channels, rank or head width",
        parse: integerFrom(1),
      },
      {
        flags: "--prune-units <list>",
        about: "take these units of the layer out instead; what reads them keeps 0",
        parse: unitList,
      },
      {
        flags: "--prune-bypass <seed>",
        about: "take out the bypass that this seed grew from the layer's input",
        completes: "seed",
      },
      reason,
    ],
    fields: (given) => {
      const prune = pruneOf(given);
      const seedId = prune === undefined ? seedOf(text(given["seed"])) : pruneSeedId(prune.site);
      return { seedId, toSite: given["to"], blueprint: blueprintOf(given), prune, reason: given["reason"] };
    },
  },
  {
    kind: "cull",
    about: "End a seed's trial; the host goes on as if it had never been.",
    example: "esper ctl cull --seed seed:h2",
    options: [seed, reason],
    fields: ofSeed,
  },
  {
    kind: "rollback",
    about: "Undo the open trial: everything as in the last good snapshot; the seed waits until it is released.",
    example: "esper ctl rollback",
    options: [{ flags: "--seed <id>", about: "the seed (default: the one in trial)", completes: "seed" }, reason],
    fields: ofSeed,
  },
  {
    kind: "release",
    about: "Let a seed that was rolled back go back to its first state.",
    example: "esper ctl release --seed h2",
    options: [seed, reason],
    fields: ofSeed,
  },
  {
    kind: "resolve",
    about: "Answer an escalation: the jury was split on this seed.",
    example: "esper ctl resolve --seed h2 --verdict keep",
    options: [
      { ...seed, completes: "escalation" },
      { flags: "--verdict <verdict>", about: "what becomes of it", required: true, choices: ["keep", "cull"] },
      reason,
    ],
    fields: (given) => ({ ...ofSeed(given), verdict: given["verdict"] }),
  },
  {
    kind: "transition",
    about: "Ask a seed for a state, by the order that leads there.",
    example: "esper ctl transition --seed h2 --to CULLED",
    options: [seed, { flags: "--to <state>", about: "the state", required: true, choices: lifecycleStates }, reason],
    fields: (given) => ({ ...ofSeed(given), to: given["to"] }),
  },
  {
    kind: "pause",
    about: "Pause the run at the next window, or what may begin in it.",
    example: "esper ctl pause --site h2",
    options: pauseScope,
    fields: pick("scope", "site"),
  },
  {
    kind: "resume",
    about: "Resume a paused run, or what may begin in it.",
    example: "esper ctl resume",
    options: pauseScope,
    fields: pick("scope", "site"),
  },
  {
    kind: "pin",
    about: "Nothing is grown on, pruned from, or culled at a seed or layer from now on.",
    example: "esper ctl pin --target h2",
    options: [pinned, reason],
    fields: pick("target", "reason"),
  },
  {
    kind: "unpin",
    about: "Take a pin away.",
    example: "esper ctl unpin --target h2",
    options: [pinned, reason],
    fields: pick("target", "reason"),
  },
  {
    kind: "limit",
    about: "Set a limit of the run's budget.",
    example: "esper ctl limit --resource parameters --max 20000",
    options: [
      { flags: "--resource <name>", about: "what is limited", required: true, choices: budgetResources },
      { flags: "--max <amount>", about: "of the whole run", required: true, parse: notNegative },
      reason,
    ],
    fields: pick("resource", "max", "reason"),
  },
  {
    kind: "approve",
    about: "Let a command pass that waits for approval.",
    example: "esper ctl approve --target cli-4f2a --as admin",
    options: [request, reason],
    fields: pick("target", "reason"),
  },
  {
    kind: "veto",
    about: "Stop a command that waits for approval or for its window.",
    example: 'esper ctl veto --target cli-4f2a --reason "not tonight"',
    options: [request, reason],
    fields: pick("target", "reason"),
  },
  {
    kind: "learn",
    about: "Ask leave to change the policy once.",
    example: 'esper ctl learn --change "policy 7" --as admin',
    options: [{ flags: "--change <text>", about: "what is to change", required: true }, reason],
    fields: pick("change", "reason"),
  },
  {
    kind: "policy_load",
    about: "Put a stored policy in force, or one from a file.",
    example: "esper ctl policy_load --file policy.json --as admin",
    options: [
      { flags: "--hash <sha256>", about: "a policy that is stored", completes: "policy" },
      { flags: "--file <json>", about: "a policy to store and put in force" },
      reason,
    ],
    fields: ({ hash: stored, file, reason: why }) => {
      if ((stored === undefined) === (file === undefined))
        throw new InputError("expected --hash or --file, one of the two; `esper ctl policies` lists what is stored");
      return { policy: stored === undefined ? jsonFile(String(file)) : { hash: stored }, reason: why };
    },
  },
  {
    kind: "policy_update",
    about: "Change values of the policy that is in force.",
    example: "esper ctl policy_update --set trigger.confidenceMin=0.8 --as admin",
    options: [
      {
        flags: "--set <place=value>",
        about: "a value, for example trigger.gapMin=0.05; may be given several times",
        required: true,
        parse: numbersByName,
      },
      { flags: "--name <name>", about: "a name for the policy that this makes (default: as before)" },
      reason,
    ],
    fields: pick("set", "name", "reason"),
  },
  {
    kind: "step",
    about: "Have Tamiyo decide on the last signal now, and act on it as she would.",
    example: "esper ctl step",
    options: [reason],
    fields: pick("reason"),
  },
  {
    kind: "submit_blueprint",
    about: "Store a blueprint of the catalogue for two shapes; a germination may name it by its hash.",
    example: "esper ctl submit_blueprint --name narrow --blueprint dense --width 8 --from 128 --to 64",
    options: [
      { flags: "--name <name>", about: "what it is called", required: true },
      { flags: "--blueprint <kind>", about: "its kind", required: true, choices: blueprintKinds },
      { flags: "--width <units>", about: "hidden width: units, channels, rank or head width", parse: integerFrom(1) },
      { flags: "--start <way>", about: "how its parameters start", choices: ["zero", "tiny", "he"] },
      {
        flags: "--from <shape>",
        about: "shape of one sample that it reads, for example 128 or 8,28,28",
        required: true,
        parse: numberList,
      },
      { flags: "--to <shape>", about: "shape of one sample that it writes", required: true, parse: numberList },
      reason,
    ],
    fields: (given) => ({
      blueprint: {
        name: given["name"],
        request: { ...blueprintOf(given), ...(given["start"] === undefined ? {} : { initialization: given["start"] }) },
        from: given["from"],
        to: given["to"],
      },
      reason: given["reason"],
    }),
  },
  {
    kind: "kernel_status",
    about: "Withdraw a kernel, so that nobody takes it any more, or take that back.",
    example: "esper ctl kernel_status --hash SHA256 --status withdrawn",
    options: [
      kernelHash,
      { flags: "--status <status>", about: "active or withdrawn", required: true, choices: kernelStatuses },
      reason,
    ],
    fields: pick("hash", "status", "reason"),
  },
  {
    kind: "load_kernel",
    about: "Bring a kernel into the lane's cache at the next window.",
    example: "esper ctl load_kernel --site h2 --hash SHA256",
    options: [site, kernelHash, reason],
    fields: pick("site", "hash", "reason"),
  },
  {
    kind: "unload_kernel",
    about: "Take a kernel out of the lane's cache.",
    example: "esper ctl unload_kernel --site h2 --hash SHA256",
    options: [site, kernelHash, reason],
    fields: pick("site", "hash", "reason"),
  },
  {
    kind: "experience",
    about: "Keep what an agent saw, did and got.",
    example: "esper ctl experience --observe gap=0.1 --action grow --reward 0.5",
    options: [
      {
        flags: "--observe <name=value>",
        about: "a value that was seen; may be given several times",
        required: true,
        parse: numbersByName,
      },
      { flags: "--action <text>", about: "what was done", required: true },
      { flags: "--reward <number>", about: "what it brought", required: true, parse: Number },
      { flags: "--terminal", about: "the end of an episode" },
      { flags: "--site <layer>", about: "where", completes: "layer" },
    ],
    fields: ({ observe: observation, action, reward, terminal, site: where }) => ({
      experience: {
        observation,
        action,
        reward,
        ...(terminal === true ? { terminal } : {}),
        ...(where === undefined ? {} : { site: where }),
      },
    }),
  },
  {
    kind: "checkpoint",
    about: "Write a checkpoint at the next window.",
    example: "esper ctl checkpoint",
    options: [reason],
    fields: pick("reason"),
  },
  {
    kind: "start",
    about: "Queue a run on a node that stays (`esper start --stay`).",
    example: "esper ctl start --config configs/quickstart.yaml",
    options: [
      {
        flags: "--config <file>",
        about: "its YAML configuration; services, logging and control stay the node's",
        required: true,
      },
      {
        flags: "--resume <path>",
        about: "a checkpoint in the node's data directory, for example checkpoints/RUN",
        completes: "checkpoint",
      },
      reason,
    ],
    fields: ({ config, resume, reason: why }, environment) => ({
      config: startConfig(String(config), environment),
      resume,
      reason: why,
    }),
  },
  {
    kind: "stop",
    about: "End the run cleanly, with a checkpoint.",
    example: 'esper ctl stop --reason "seen enough"',
    options: [reason],
    fields: pick("reason"),
  },
  { kind: "shutdown", about: "End the node.", example: "esper ctl shutdown", options: [reason], fields: pick("reason") },
  {
    kind: "dead_letter",
    about: "Send a dead letter again, or drop it; `esper dlq` lists them.",
    example: "esper ctl dead_letter --id 3 --action retry",
    options: [
      { flags: "--id <id>", about: "the letter", required: true, parse: integerFrom(1) },
      { flags: "--action <action>", about: "what becomes of it", required: true, choices: ["retry", "drop"] },
      reason,
    ],
    fields: pick("id", "action", "reason"),
  },
  { kind: "status", about: "The run and its seeds.", example: "esper ctl status --json" },
  {
    kind: "seeds",
    about: "The seeds of the run, a page at a time.",
    example: "esper ctl seeds --state TRAINING",
    options: seedFilter,
    fields: seedFilterFields,
  },
  {
    kind: "seed",
    about: "One seed with its trial and history.",
    example: "esper ctl seed --seed h2",
    options: [seed],
    fields: (given) => ({ seedId: seedOf(text(given["seed"])) }),
  },
  { kind: "layers", about: "The layers as the last signal saw them.", example: "esper ctl layers" },
  {
    kind: "layer",
    about: "One layer with its seeds.",
    example: "esper ctl layer --site h2",
    options: [site],
    fields: pick("site"),
  },
  {
    kind: "decisions",
    about: "What Tamiyo and Emrakul decided, and why.",
    example: "esper ctl decisions --since 10",
    options: decisionFilter,
    fields: decisionFilterFields,
  },
  { kind: "analyze", about: "What Tamiyo makes of the last signal, without acting.", example: "esper ctl analyze" },
  { kind: "policy", about: "What decides in the run.", example: "esper ctl policy --json" },
  { kind: "policies", about: "Policies that are stored.", example: "esper ctl policies" },
  {
    kind: "kernels",
    about: "Kernels by their tags.",
    example: "esper ctl kernels --require fast --exclude heavy",
    options: kernelFilter,
    fields: kernelFilterFields,
  },
  {
    kind: "kernel",
    about: "One kernel.",
    example: "esper ctl kernel --hash SHA256",
    options: [kernelHash],
    fields: pick("hash"),
  },
  {
    kind: "blueprint",
    about: "One blueprint.",
    example: "esper ctl blueprint --hash SHA256",
    options: [{ flags: "--hash <sha256>", about: "its hash", required: true }],
    fields: pick("hash"),
  },
  { kind: "budget", about: "What the run's trials may use, have used, and hold back.", example: "esper ctl budget" },
  { kind: "escalations", about: "Juries that are split and wait for an answer.", example: "esper ctl escalations --json" },
  { kind: "approvals", about: "Commands that wait for approval, and how others were decided.", example: "esper ctl approvals" },
  { kind: "governance", about: "How often learning may still change the policy.", example: "esper ctl governance" },
];
