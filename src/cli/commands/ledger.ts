/** `esper ledger`: who did what, why, with what outcome; checked, shown and exported, also while a node runs. */
import { once } from "node:events";
import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { EsperError } from "../../contracts/errors.ts";
import { type LedgerKind, ledgerKinds } from "../../contracts/ledger.ts";
import { auditLedger, notedFingerprint, openLedgerReader } from "../../node/ledger-audit.ts";
import type { DatabaseReader } from "../../store/database.ts";
import { diskError, ensureFolder, nodeFileSystem } from "../../store/file-system.ts";
import { encodeJson } from "../../store/json.ts";
import {
  entryOfRow,
  type LedgerFilter,
  lastLedgerRows,
  readLedgerHeads,
  readLedgerRows,
  readLedgerTail,
} from "../../store/ledger-rows.ts";
import { dataPaths } from "../../store/paths.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { exitCodeBroken } from "../exit-codes.ts";
import { formatLedgerAudit, formatLedgerEntries } from "../view/format-ledger.ts";

const problemsShownMax = 20;
const lastMax = 10_000;
const exportChunkChars = 1_048_576;

const dataDirOf = ({ dataDir = ".esper" }: GlobalOptions): string => resolve(dataDir);

const kindOf = (text: string): LedgerKind => {
  const kind = ledgerKinds.find((each) => each === text);
  if (kind !== undefined) return kind;
  throw new InvalidArgumentError(`expected one of ${ledgerKinds.join(", ")}.`);
};

const countOf = (text: string): number => {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1 && value <= lastMax) return value;
  throw new InvalidArgumentError(`expected an integer from 1 to ${lastMax}.`);
};

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A moment, or how long ago it was. */
const sinceOf =
  (nowMs: () => number) =>
  (text: string): number => {
    const [, count, unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
    if (count !== undefined) return Math.round(nowMs()) - Number(count) * (unitsMs[unit] ?? 0);
    const atMs = Date.parse(text);
    if (Number.isNaN(atMs))
      throw new InvalidArgumentError("expected a time such as 2026-01-31T12:00:00Z, or 90s, 15m, 2h, 1d ago.");
    return atMs;
  };

const fingerprintText = (text: string): string => {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError("expected 64 hexadecimal digits.");
};

const reading = async <T>(dataDir: string, work: (database: DatabaseReader) => Promise<T> | T): Promise<T> => {
  const database = openLedgerReader(dataDir);
  try {
    return await work(database);
  } finally {
    database.close();
  }
};

interface VerifyOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly fingerprint?: string;
}

const addVerify = (parent: Command, { context, setExitCode }: CommandScope): void => {
  parent
    .command("verify")
    .description(
      "Check every entry, link, head and signature, and that the entries rebuild what the tables hold. Ends with 4 when something is wrong.",
    )
    .option(
      "--fingerprint <hex>",
      "the key's fingerprint as you noted it (default: the one beside the database)",
      fingerprintText,
    )
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExamples:\n  esper ledger verify\n  esper ledger verify --json --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<VerifyOptions>();
      const dataDir = dataDirOf(options);
      const { fingerprint } = options;
      const asked = fingerprint === undefined ? {} : { fingerprint };
      const audit = await auditLedger(dataDir, { clock: context.clock, problemsMax: problemsShownMax, ...asked });
      const { verdict, replayed, intact } = audit;
      const json = { intact, ...verdict, fingerprint: audit.fingerprint ?? null, replay: replayed };
      writeLines(context, options.json ? [JSON.stringify(json)] : formatLedgerAudit(audit, dataPaths(dataDir).database));
      if (!intact) setExitCode(exitCodeBroken);
    });
};

interface ShowOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly run?: string;
  readonly seed?: string;
  readonly kind?: LedgerKind;
  readonly since?: number;
  readonly last: number;
}

const filterOf = ({ run, seed, kind, since }: ShowOptions): LedgerFilter => ({
  ...(run === undefined ? {} : { runId: run }),
  ...(seed === undefined ? {} : { seedId: seed.startsWith("seed:") ? seed : `seed:${seed}` }),
  ...(kind === undefined ? {} : { kind }),
  ...(since === undefined ? {} : { sinceMs: since }),
});

const addShow = (parent: Command, { context }: CommandScope): void => {
  parent
    .command("show")
    .description(
      "The last entries that fit all filters. They are shown as they stand; `verify` says whether they may be believed.",
    )
    .option("--run <id>", "of this run")
    .option("--seed <id>", "of this seed; h2 means seed:h2")
    .option("--kind <name>", `one of ${ledgerKinds.join(", ")}`, kindOf)
    .option(
      "--since <time>",
      "from this time on: 2026-01-31T12:00:00Z, or 90s, 15m, 2h, 1d ago",
      sinceOf(() => context.clock.nowMs()),
    )
    .option("--last <count>", `at most so many, up to ${lastMax}`, countOf, 50)
    .option("--json", "one JSON object a line")
    .addHelpText(
      "after",
      "\nExamples:\n  esper ledger show\n  esper ledger show --kind transition --seed h2\n  esper ledger show --kind command --since 1h --json",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ShowOptions>();
      await reading(dataDirOf(options), (database) => {
        const entries = lastLedgerRows(database, filterOf(options), options.last).map(entryOfRow);
        writeLines(context, options.json ? entries.map((entry) => JSON.stringify(entry)) : formatLedgerEntries(entries));
      });
    });
};

/** The whole ledger in the order of its entries, each kept head after the entry that it signs, the signed end last. */
function* exportLines(database: DatabaseReader, fingerprint: string | undefined): Generator<string> {
  yield encodeJson({ kind: "ledger", version: 1, fingerprint: fingerprint ?? null }, "export");
  const heads = readLedgerHeads(database);
  let head = heads.next();
  for (const row of readLedgerRows(database)) {
    yield encodeJson({ kind: "entry", entry: entryOfRow(row) }, "export");
    for (; !head.done && head.value.index <= row.index; head = heads.next())
      yield encodeJson({ kind: "head", head: head.value }, "export");
  }
  for (; !head.done; head = heads.next()) yield encodeJson({ kind: "head", head: head.value }, "export");
  const end = readLedgerTail(database);
  if (end !== undefined) yield encodeJson({ kind: "end", head: end }, "export");
}

/** Lines put together to pieces of about a megabyte. */
function* chunked(lines: Iterable<string>): Generator<string> {
  let chunk = "";
  for (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length < exportChunkChars) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}

const writeFile = async (path: string, chunks: Iterable<string>): Promise<void> => {
  const temporary = `${path}.tmp`;
  try {
    await ensureFolder(nodeFileSystem, dirname(path));
    await nodeFileSystem.write(temporary, new Uint8Array());
    for (const chunk of chunks) await nodeFileSystem.append(temporary, new TextEncoder().encode(chunk));
    await nodeFileSystem.sync(temporary);
    await nodeFileSystem.rename(temporary, path);
    await nodeFileSystem.sync(dirname(path));
  } catch (error) {
    await nodeFileSystem.remove(temporary).catch(() => undefined); // The first error is the one to tell.
    throw error instanceof EsperError ? error : diskError("export of the ledger", path, error);
  }
};

interface ExportOptions extends GlobalOptions {
  readonly out?: string;
}

const addExport = (parent: Command, { context }: CommandScope): void => {
  parent
    .command("export")
    .description("The whole ledger as JSON lines: every entry, every signed head after the entry it signs, the signed end.")
    .option("--out <file>", "a file in place of standard output")
    .addHelpText("after", "\nExamples:\n  esper ledger export > ledger.jsonl\n  esper ledger export --out ledger.jsonl")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExportOptions>();
      const dataDir = dataDirOf(options);
      const fingerprint = await notedFingerprint(dataDir);
      await reading(dataDir, async (database) => {
        const chunks = chunked(exportLines(database, fingerprint));
        if (options.out === undefined) {
          for (const chunk of chunks) if (!context.stdout.write(chunk)) await once(context.stdout, "drain");
          return;
        }
        const out = resolve(options.out);
        await writeFile(out, chunks);
        writeLines(context, [out]);
      });
    });
};

export const addLedger = (program: Command, scope: CommandScope): void => {
  const parent = program
    .command("ledger")
    .description("Who did what, why, and with what outcome: checked, shown, exported. Works while a node runs.")
    .addHelpText("after", "\nExamples:\n  esper ledger verify\n  esper ledger show --run r-20260101T120000-ab12-grown");
  for (const add of [addVerify, addShow, addExport]) add(parent, scope);
};
