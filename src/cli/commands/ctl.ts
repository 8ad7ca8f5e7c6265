/** `esper ctl`: commands to a running node, from any terminal. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type BlueprintKind, blueprintKinds, hasWidth } from "../../contracts/blueprint-kinds.ts";
import { budgetResources } from "../../contracts/budget.ts";
import { InputError } from "../../contracts/errors.ts";
import { type PruneTarget, pruneSeedId } from "../../contracts/pruning.ts";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { exitCodeRefused } from "../exit-codes.ts";
import { buildCommand, type CommandFields, sendCommand } from "../operator.ts";
import { formatAnswer } from "../view/format-control.ts";

interface ControlOptions extends GlobalOptions {
  readonly connection?: string;
  readonly run?: string;
  readonly requestId?: string;
  readonly timeoutMs: number;
  readonly json?: boolean;
  readonly seed?: string;
  readonly to?: string;
  readonly blueprint?: BlueprintKind;
  readonly width?: number;
  readonly pruneUnits?: readonly number[];
  readonly pruneBypass?: string;
  readonly verdict?: string;
  readonly reason?: string;
  readonly as?: PersonRole;
  readonly target?: string;
  readonly scope?: string;
  readonly site?: string;
  readonly resource?: string;
  readonly max?: number;
  readonly change?: string;
}

const positive = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("expected an integer of 1 or more.");
  return value;
};

const notNegative = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError("expected a number of 0 or more.");
  return value;
};

const unitList = (text: string): number[] => {
  const units = text.split(",").map(Number);
  if (text.trim() !== "" && units.every((unit) => Number.isSafeInteger(unit) && unit >= 0)) return units;
  throw new InvalidArgumentError("expected units separated by commas, for example 3,7.");
};

/** Undefined where the configuration is to choose. */
const blueprintOf = ({ blueprint: kind, width }: ControlOptions) => {
  if (kind === undefined) return width === undefined ? undefined : { kind: "dense", hiddenWidth: width };
  if (width === undefined && hasWidth(kind))
    throw new InputError(`expected --width beside --blueprint ${kind}, got none; give its units, channels, rank or head width`);
  return { kind, hiddenWidth: width ?? 1 };
};

/** What is to go at the layer that a seed is named for; undefined where nothing is. */
const pruneOf = ({ seed = "", pruneUnits: units, pruneBypass: bypass }: ControlOptions): PruneTarget | undefined => {
  const site = seed.replace(/^seed:/, "").replace(/\.prune$/, "");
  if (units !== undefined && bypass !== undefined)
    throw new InputError("expected --prune-units or --prune-bypass, got both; one trial takes out one thing");
  if (units !== undefined) return { kind: "units", site, units: [...units], constants: [] };
  return bypass === undefined ? undefined : { kind: "bypass", site, seedId: seedOf(bypass) ?? bypass };
};

/** `h2` means its first seed. */
const seedOf = (text: string | undefined): string | undefined =>
  text === undefined || text.startsWith("seed:") ? text : `seed:${text}`;

const fieldsOf = (kind: CommandFields["kind"], options: ControlOptions): CommandFields => {
  const base = { kind, runId: options.run, requestId: options.requestId };
  switch (kind) {
    case "germinate": {
      const blueprint = blueprintOf(options);
      const prune = pruneOf(options);
      const seedId = prune === undefined ? seedOf(options.seed) : pruneSeedId(prune.site);
      return { ...base, seedId, toSite: options.to, blueprint, prune, reason: options.reason };
    }
    case "resolve":
      return { ...base, seedId: seedOf(options.seed), verdict: options.verdict, reason: options.reason };
    case "cull":
    case "rollback":
    case "release":
      return { ...base, seedId: seedOf(options.seed), reason: options.reason };
    case "stop":
      return { ...base, reason: options.reason };
    case "pause":
    case "resume":
      return { ...base, scope: options.scope, site: options.site };
    case "pin":
    case "unpin":
    case "approve":
    case "veto":
      return { ...base, target: options.target, reason: options.reason };
    case "limit":
      return { ...base, resource: options.resource, max: options.max, reason: options.reason };
    case "learn":
      return { ...base, change: options.change, reason: options.reason };
    default:
      return base;
  }
};

const commands: readonly {
  readonly kind: CommandFields["kind"];
  readonly about: string;
  readonly seed?: "required" | "optional";
  readonly reason?: boolean;
  readonly example: string;
}[] = [
  {
    kind: "germinate",
    about: "Start a trial at a seed.",
    seed: "required",
    reason: true,
    example: "esper ctl germinate --seed h2 --to h3 --blueprint low-rank --width 8",
  },
  {
    kind: "cull",
    about: "End a seed's trial; the host goes on as if it had never been.",
    seed: "required",
    reason: true,
    example: "esper ctl cull --seed seed:h2",
  },
  {
    kind: "rollback",
    about: "Undo the open trial: everything as in the last good snapshot; the seed waits until it is released.",
    seed: "optional",
    reason: true,
    example: "esper ctl rollback",
  },
  {
    kind: "release",
    about: "Let a seed that was rolled back go back to its first state.",
    seed: "required",
    reason: true,
    example: "esper ctl release --seed h2",
  },
  {
    kind: "resolve",
    about: "Answer an escalation: the jury was split on this seed.",
    seed: "required",
    reason: true,
    example: "esper ctl resolve --seed h2 --verdict keep",
  },
  { kind: "pause", about: "Pause the run at the next window, or what may begin in it.", example: "esper ctl pause --site h2" },
  { kind: "resume", about: "Resume a paused run, or what may begin in it.", example: "esper ctl resume" },
  {
    kind: "pin",
    about: "Nothing is grown on, pruned from, or culled at a seed or layer from now on.",
    reason: true,
    example: "esper ctl pin --target h2",
  },
  { kind: "unpin", about: "Take a pin away.", reason: true, example: "esper ctl unpin --target h2" },
  {
    kind: "limit",
    about: "Set a limit of the run's budget.",
    reason: true,
    example: "esper ctl limit --resource parameters --max 20000",
  },
  {
    kind: "approve",
    about: "Let a command pass that waits for approval.",
    reason: true,
    example: "esper ctl approve --target cli-4f2a --as admin",
  },
  {
    kind: "veto",
    about: "Stop a command that waits for approval or for its window.",
    reason: true,
    example: 'esper ctl veto --target cli-4f2a --reason "not tonight"',
  },
  {
    kind: "learn",
    about: "Ask leave to change the policy once.",
    reason: true,
    example: 'esper ctl learn --change "policy 7" --as admin',
  },
  { kind: "status", about: "The run and its seeds.", example: "esper ctl status --json" },
  { kind: "budget", about: "What the run's trials may use, have used, and hold back.", example: "esper ctl budget" },
  { kind: "escalations", about: "Juries that are split and wait for an answer.", example: "esper ctl escalations --json" },
  { kind: "approvals", about: "Commands that wait for approval, and how others were decided.", example: "esper ctl approvals" },
  { kind: "governance", about: "How often learning may still change the policy.", example: "esper ctl governance" },
  {
    kind: "stop",
    about: "End the run cleanly, with a checkpoint.",
    reason: true,
    example: 'esper ctl stop --reason "seen enough"',
  },
];

const addOne = (
  parent: Command,
  { context, setExitCode }: CommandScope,
  { kind, about, seed, reason, example }: (typeof commands)[number],
): void => {
  const command = parent.command(kind).description(about);
  const seedHelp = "the seed, for example seed:h2, or the layer that it sits at";
  if (seed === "required") command.requiredOption("--seed <id>", seedHelp);
  if (seed === "optional") command.option("--seed <id>", `${seedHelp} (default: the one in trial)`);
  if (kind === "resolve")
    command.addOption(new Option("--verdict <verdict>", "what becomes of it").choices(["keep", "cull"]).makeOptionMandatory());
  if (kind === "germinate")
    command
      .option("--to <layer>", "where the bypass ends (default: the best span)")
      .addOption(
        new Option("--blueprint <kind>", "what to grow (default: dense with --width, else as configured)").choices(
          blueprintKinds,
        ),
      )
      .option("--width <units>", "hidden width of the bypass: units, channels, rank or head width", positive)
      .option("--prune-units <list>", "take these units of the layer out instead; what reads them keeps 0", unitList)
      .option("--prune-bypass <seed>", "take out the bypass that this seed grew from the layer's input");
  if (kind === "pin" || kind === "unpin") command.requiredOption("--target <name>", "a seed, for example seed:h2, or a layer");
  if (kind === "approve" || kind === "veto") command.requiredOption("--target <id>", "request id of the command");
  if (kind === "pause" || kind === "resume")
    command
      .addOption(new Option("--scope <scope>", "the run, or all that may begin in it").choices(["run", "adaptation"]))
      .option("--site <layer>", "what may begin at this layer");
  if (kind === "limit")
    command
      .addOption(new Option("--resource <name>", "what is limited").choices(budgetResources).makeOptionMandatory())
      .requiredOption("--max <amount>", "of the whole run", notNegative);
  if (kind === "learn") command.requiredOption("--change <text>", "what is to change");
  if (reason) command.option("--reason <text>", "kept with the command in the event log");
  command
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .addOption(new Option("--as <role>", "whose login is used").choices(personRoles).default("operator"))
    .option("--run <id>", "only if this run is going on")
    .option("--request-id <id>", "the same id within five minutes gets the first receipt again")
    .option("--timeout-ms <ms>", "wait for the answer", positive, 5_000)
    .option("--json", "print the receipt as JSON")
    .addHelpText("after", `\nExample:\n  ${example}`)
    .action(async (_: unknown, self: Command) => {
      const options = self.optsWithGlobals<ControlOptions>();
      const receipt = await sendCommand(
        context,
        options.connection ?? options.dataDir ?? ".esper",
        buildCommand(fieldsOf(kind, options), () => `cli-${context.entropy.token(8)}`),
        options.timeoutMs,
        options.as,
      );
      writeLines(context, options.json ? [JSON.stringify(receipt)] : formatAnswer(receipt));
      setExitCode(receipt.kind === "refused" ? exitCodeRefused : 0);
    });
};

export const addControl = (program: Command, scope: CommandScope): void => {
  const parent = program
    .command("ctl")
    .description("Command a running node over NATS. A change takes effect at the next window.")
    .addHelpText(
      "after",
      "\nExamples:\n  esper ctl germinate --seed h2\n  esper ctl pause\n  esper ctl stop --data-dir /tmp/node",
    )
    .action(() => {
      throw new InputError(
        `expected one of ${commands.map(({ kind }) => kind).join(", ")} after ctl, got nothing; see \`esper ctl --help\``,
      );
    });
  for (const one of commands) addOne(parent, scope, one);
};
