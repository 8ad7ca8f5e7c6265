/** `esper artifacts`: what was made, by whom and of what; checked against its signature, listed, and its index made anew. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { ArtifactKind } from "../../contracts/artifact.ts";
import { AssetKind } from "../../contracts/assets.ts";
import { DataError, InputError } from "../../contracts/errors.ts";
import { silentLog } from "../../contracts/ports.ts";
import { type ArtifactSources, auditArtifacts, findArtifact, openArtifactSources } from "../../node/artifact-audit.ts";
import { reindexDataDir } from "../../node/artifact-reindex.ts";
import { assetRows, lineageOf } from "../../store/asset-rows.ts";
import { type CliContext, type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { exitCodeBroken } from "../exit-codes.ts";
import { formatArtifact, formatArtifactAudit, formatArtifacts, type ListedArtifact } from "../view/format-artifacts.ts";
import { formatCount } from "../view/format-values.ts";

const problemsShownMax = 20;
const lastMax = 10_000;
const lineageMax = 64;
const progressMs = 2_000;
const toolchain = "esper 0.1.0";

const dataDirOf = ({ dataDir = ".esper" }: GlobalOptions): string => resolve(dataDir);

const countOf = (text: string): number => {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1 && value <= lastMax) return value;
  throw new InvalidArgumentError(`expected an integer from 1 to ${lastMax}.`);
};

const fingerprintText = (text: string): string => {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError("expected 64 hexadecimal digits.");
};

const prefixOf = (text: string): string => {
  if (/^[0-9a-f]{6,64}$/.test(text)) return text;
  throw new InvalidArgumentError("expected a hash, or its first hexadecimal digits: at least 6.");
};

const reading = async <T>(dataDir: string, work: (sources: ArtifactSources) => Promise<T>): Promise<T> => {
  const sources = await openArtifactSources(dataDir);
  try {
    return await work(sources);
  } finally {
    sources.close();
  }
};

interface ListOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly kind?: ArtifactKind;
  readonly last: number;
}

/** Checkpoints whose provenance holds; the others are for `verify`. */
const checkpointsOf = async (sources: ArtifactSources): Promise<ListedArtifact[]> => {
  const reader = sources.checkpoints();
  const listed: ListedArtifact[] = [];
  for (const runId of await reader.runs()) {
    for (const { path } of await reader.list(runId)) {
      try {
        listed.push({ artifact: (await reader.describe(path)).signed.artifact, path });
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
      }
    }
  }
  return listed;
};

const addList = (parent: Command, { context }: CommandScope): void => {
  parent
    .command("list")
    .description("What was made, the newest first. It is shown as it stands; `verify` says whether it may be believed.")
    .addOption(new Option("--kind <name>", "only of this kind").choices(ArtifactKind.options))
    .option("--last <count>", `at most so many, up to ${lastMax}`, countOf, 50)
    .option("--json", "one JSON object a line")
    .addHelpText("after", "\nExamples:\n  esper artifacts list\n  esper artifacts list --kind kernel --json")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      await reading(dataDirOf(options), async (sources) => {
        const asset = AssetKind.safeParse(options.kind);
        const rows = options.kind === "checkpoint" ? [] : assetRows(sources.database).list(asset.data, options.last);
        const assets = rows.map((artifact) => ({ artifact, path: sources.content.pathOf(artifact.hash) }));
        const checkpoints = asset.success ? [] : await checkpointsOf(sources);
        const listed = [...assets, ...checkpoints]
          .sort((a, b) => b.artifact.provenance.createdAtMs - a.artifact.provenance.createdAtMs)
          .slice(0, options.last);
        const lines = options.json ? listed.map((each) => JSON.stringify(each)) : formatArtifacts(listed);
        writeLines(context, lines);
      });
    });
};

interface ShowOptions extends GlobalOptions {
  readonly json?: boolean;
}

const addShow = (parent: Command, { context }: CommandScope): void => {
  parent
    .command("show")
    .argument("<hash>", "its hash, or the first six or more digits of it", prefixOf)
    .description(
      "One artifact with its provenance, checked: where it comes from, of what it was made, and which names lead to it.",
    )
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExample:\n  esper artifacts show 3f2a9c")
    .action(async (prefix: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<ShowOptions>();
      await reading(dataDirOf(options), async (sources) => {
        const { signed, path } = await findArtifact(sources, prefix);
        const { hash, provenance } = signed.artifact;
        const index = await sources.index();
        const names = (index?.entries ?? []).map(({ entry }) => entry).filter((entry) => entry.hash === hash);
        const lineage = lineageOf(sources.database, provenance.inputs, lineageMax);
        const shown = { signed, path, names, lineage };
        writeLines(context, options.json ? [JSON.stringify(shown)] : formatArtifact(shown));
      });
    });
};

interface VerifyOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly fingerprint?: string;
}

/** Tells on standard error how far it is, every two seconds. */
const progressOn = ({ clock, stderr }: CliContext) => {
  let toldMs = clock.monotonicMs();
  return ({ artifacts, bytes }: { readonly artifacts: number; readonly bytes: number }): void => {
    if (clock.monotonicMs() - toldMs < progressMs) return;
    toldMs = clock.monotonicMs();
    stderr.write(`checked ${artifacts} artifacts, ${formatCount(bytes)}B\n`);
  };
};

const addVerify = (parent: Command, { context, setExitCode }: CommandScope): void => {
  parent
    .command("verify")
    .description(
      "Check every artifact against its signature, every checkpoint, and the index. Ends with 4 and the place when something is wrong.",
    )
    .option(
      "--fingerprint <hex>",
      "the key's fingerprint as you noted it (default: the one beside the database)",
      fingerprintText,
    )
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExamples:\n  esper artifacts verify\n  esper artifacts verify --json --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<VerifyOptions>();
      const { fingerprint } = options;
      const audit = await auditArtifacts(dataDirOf(options), {
        clock: context.clock,
        problemsMax: problemsShownMax,
        onProgress: progressOn(context),
        ...(fingerprint === undefined ? {} : { fingerprint }),
      });
      writeLines(context, options.json ? [JSON.stringify(audit)] : formatArtifactAudit(audit));
      if (!audit.intact) setExitCode(exitCodeBroken);
    });
};

const addReindex = (parent: Command, { context }: CommandScope): void => {
  parent
    .command("reindex")
    .description(
      "Make the index anew of what is signed, where it was lost or is refused. No node may work on the data directory; do it when you know what happened.",
    )
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExample:\n  esper artifacts reindex --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ShowOptions>();
      const made = await reindexDataDir(dataDirOf(options), { clock: context.clock, log: silentLog, toolchain });
      const left = made.leftOut === 0 ? "" : `; ${made.leftOut} artifacts are left out, \`esper artifacts verify\` tells why`;
      writeLines(context, [
        options.json ? JSON.stringify(made) : `version ${made.version} of the index, ${made.entries} names${left}`,
      ]);
    });
};

export const addArtifacts = (program: Command, scope: CommandScope): void => {
  const parent = program
    .command("artifacts")
    .description(
      "Blueprints, hosts, kernels and checkpoints: listed, shown with their provenance, checked. Works while a node runs.",
    )
    .addHelpText("after", "\nExamples:\n  esper artifacts list\n  esper artifacts show 3f2a9c\n  esper artifacts verify")
    .action(() => {
      throw new InputError(
        "expected one of list, show, verify, reindex after artifacts, got nothing; see `esper artifacts --help`",
      );
    });
  for (const add of [addList, addShow, addVerify, addReindex]) add(parent, scope);
};
