/** `esper completion`: a script for a shell; and what that script asks, `esper __complete`: commands, options, and ids of the running node. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Argument, type Command } from "commander";
import type { CommandReceipt } from "../../contracts/commands.ts";
import { openLedgerReader } from "../../node/ledger-audit.ts";
import { assetRows } from "../../store/asset-rows.ts";
import { type CliContext, type CommandScope, writeLines } from "../context.ts";
import { type Completes, controlKinds, kernelFilter, type OptionKind, seedFilter } from "../control/kinds.ts";
import { buildCommand, type CommandFields, withNode } from "../operator.ts";

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

/** Read from the data directory: also of runs that are over, and without a node. */
const fromDisk = ["run", "checkpoint", "blueprint"] as const satisfies readonly Completes[];

/** Options that mean the same wherever they stand. */
const everywhere: Readonly<Record<string, Completes>> = {
  "--run": "run",
  "--checkpoint": "checkpoint",
  "--resume": "checkpoint",
};

/** A node that does not answer in this time completes nothing. */
const timeoutMs = 700;
const idsMax = 500;

const scripts: Readonly<Record<Shell, string>> = {
  bash: `_esper() {
  local IFS=$'\\n'
  COMPREPLY=($(esper __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "\${COMP_WORDS[COMP_CWORD]}"; fi
}
complete -o default -F _esper esper`,
  zsh: `#compdef esper
_esper() {
  local -a found
  found=("\${(@f)$(esper __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found
}
compdef _esper esper`,
  fish: `function __esper_complete
  set -l words (commandline -opc) (commandline -ct)
  esper __complete -- $words[2..-1] 2>/dev/null
end
complete -c esper -f -a '(__esper_complete)'`,
};

/** What each kind of id is asked of the running node with. */
const sources: Readonly<
  Record<
    Exclude<Completes, FromDisk>,
    { readonly ask: CommandFields; readonly ids: (receipt: CommandReceipt) => readonly string[] }
  >
> = {
  seed: {
    ask: { kind: "seeds", limit: idsMax },
    ids: (receipt) => (receipt.kind === "seeds" ? receipt.seeds.map(({ seedId }) => seedId) : []),
  },
  layer: { ask: { kind: "layers" }, ids: (receipt) => (receipt.kind === "layers" ? receipt.layers.map(({ site }) => site) : []) },
  kernel: {
    ask: { kind: "kernels", limit: idsMax },
    ids: (receipt) => (receipt.kind === "kernels" ? receipt.kernels.map(({ hash }) => hash) : []),
  },
  policy: {
    ask: { kind: "policies" },
    ids: (receipt) => (receipt.kind === "policies" ? receipt.policies.map(({ hash }) => hash) : []),
  },
  escalation: {
    ask: { kind: "escalations" },
    ids: (receipt) => (receipt.kind === "escalations" ? receipt.escalations.map(({ seedId }) => seedId) : []),
  },
  request: {
    ask: { kind: "approvals" },
    ids: (receipt) =>
      receipt.kind === "approvals"
        ? receipt.approvals.filter(({ state }) => state === "waiting").map(({ requestId }) => requestId)
        : [],
  },
};

type FromDisk = (typeof fromDisk)[number];
const isFromDisk = (completes: Completes): completes is FromDisk => (fromDisk as readonly string[]).includes(completes);

/** Numbers in order, other names as they are. */
const namesIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder).catch(() => [])).toSorted((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));

/** Blueprints in the library, the newest first. */
const blueprintsIn = (dataDir: string): readonly string[] => {
  const database = openLedgerReader(dataDir);
  try {
    return assetRows(database)
      .list("blueprint", idsMax)
      .map(({ hash }) => hash);
  } finally {
    database.close();
  }
};

/**
 * Checkpoints by run and window, beneath what was typed: `<prefix>/<run>`, and once a run is named, its windows. The prefix is where the
 * option's reader looks from.
 */
const checkpointsIn = async (dataDir: string, prefix: string, typed: string): Promise<readonly string[]> => {
  const folder = join(dataDir, "checkpoints");
  const runs = await namesIn(folder);
  const named = runs.filter((run) => typed.startsWith(`${prefix}/${run}/`));
  if (named.length === 0) return runs.map((run) => `${prefix}/${run}`);
  const windows = await Promise.all(
    named.map(async (run) =>
      (await namesIn(join(folder, run))).filter((name) => /^\d+$/.test(name)).map((name) => `${prefix}/${run}/${name}`),
    ),
  );
  return windows.flat();
};

const idsOnDisk = async (completes: FromDisk, words: readonly string[]): Promise<readonly string[]> => {
  const dataDir = dataDirOf(words);
  switch (completes) {
    case "run":
      return [...new Set([...(await namesIn(join(dataDir, "runs"))), ...(await namesIn(join(dataDir, "checkpoints")))])];
    case "checkpoint":
      // The node reads it beneath its data directory, the other commands from where they are called.
      return checkpointsIn(dataDir, words.includes("ctl") ? "checkpoints" : join(dataDir, "checkpoints"), words.at(-1) ?? "");
    case "blueprint":
      return blueprintsIn(dataDir);
  }
};

const dataDirOf = (words: readonly string[]): string => {
  const dataDir = words[words.indexOf("--data-dir") + 1];
  return words.includes("--data-dir") && dataDir !== undefined ? dataDir : ".esper";
};

const nameOf = ({ flags }: OptionKind): string => flags.split(" ")[0] ?? flags;

const optionsOf = (words: readonly string[]): readonly OptionKind[] => {
  if (words[0] === "ctl") return controlKinds.find(({ kind }) => kind === words[1])?.options ?? [];
  if (words[0] === "seeds") return seedFilter;
  return words[0] === "kernels" ? kernelFilter : [];
};

const idsOf = async (context: CliContext, completes: Completes, words: readonly string[]): Promise<readonly string[]> => {
  try {
    if (isFromDisk(completes)) return await idsOnDisk(completes, words);
    const path = dataDirOf(words);
    const { ask, ids } = sources[completes];
    return await withNode(context, { path, timeoutMs, role: "operator" }, async (request) =>
      ids(
        await request(
          "control.kasmina.commands",
          buildCommand(ask, () => `cli-${context.entropy.token(8)}`),
        ),
      ),
    );
  } catch {
    // No node or no data, no ids: a shell has nothing to say about it.
    return [];
  }
};

/** Options of every command, with their values: they may stand before a command's name. */
const ofNode = ["--data-dir", "--connection", "--as"];
const withoutNode = (words: readonly string[]): readonly string[] =>
  words.filter((word, i) => !ofNode.includes(word) && !ofNode.includes(words[i - 1] ?? ""));

/** What may stand in the place of the last of the words. */
const candidates = async (context: CliContext, program: Command, typed: readonly string[]): Promise<readonly string[]> => {
  const words = withoutNode(typed);
  const [last = "", previous] = [words.at(-1), words.at(-2)];
  const before = words.slice(0, -1);
  const option = optionsOf(before).find((each) => nameOf(each) === previous);
  if (option?.completes !== undefined) return idsOf(context, option.completes, typed);
  if (option?.choices !== undefined) return option.choices;
  const known = everywhere[previous ?? ""];
  if (known !== undefined && before[0] !== "experiment") return idsOf(context, known, typed);
  if (before.length === 1 && before[0] === "visualize" && !last.startsWith("-")) return idsOf(context, "run", typed);
  const named = before.filter((word) => !word.startsWith("-"));
  let place = program;
  for (const word of named) place = place.commands.find((each) => each.name() === word) ?? place;
  if (last.startsWith("-")) return place.options.flatMap(({ long }) => long ?? []);
  return place === program || place.commands.length > 0
    ? place.commands.map((each) => each.name()).filter((name) => !name.startsWith("__"))
    : [];
};

export const addCompletion = (program: Command, { context }: CommandScope): void => {
  program
    .command("completion")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .description("Print a script that completes commands, options and ids of the running node.")
    .addHelpText(
      "after",
      '\nExamples:\n  eval "$(esper completion bash)"\n  esper completion fish > ~/.config/fish/completions/esper.fish',
    )
    .action((shell: Shell) => writeLines(context, [scripts[shell]]));
  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .allowUnknownOption()
    .action(async (words: readonly string[]) => {
      const last = words.at(-1) ?? "";
      const found = await candidates(context, program, words);
      writeLines(context, [...new Set(found)].filter((word) => word.startsWith(last)).slice(0, idsMax));
    });
};
