/** `esper adapters`: what seeds added to a model, apart from its base: listed, saved, and put onto the base again. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { DataError, describeError, InputError } from "../../contracts/errors.ts";
import { importModel } from "../../interchange/import-model.ts";
import {
  type Adapter,
  applyAdapters,
  type Base,
  baseHashes,
  decodeAdapters,
  encodeAdapters,
  listAdapters,
} from "../../library/adapters.ts";
import { exportFormats, formatNamed, formatOf, saveModel } from "../../library/save.ts";
import { nodeFileSystem, saveDurably } from "../../store/file-system.ts";
import { type CommandScope, writeLines } from "../context.ts";
import { aboutSaved, loadSavedModel, type SavedModelOptions, withSource } from "../saved-model.ts";

interface ListOptions extends SavedModelOptions {
  readonly file?: string;
  readonly json?: boolean;
}

interface SaveOptions extends SavedModelOptions {
  readonly out: string;
}

interface LoadOptions {
  readonly base: string;
  readonly file: string;
  readonly out: string;
  readonly format?: string;
}

const readBytes = async (file: string): Promise<Uint8Array> => {
  try {
    return await readFile(file);
  } catch (error) {
    throw new DataError(
      `adapters ${file}: expected a file, found: ${describeError(error)}; check the path`,
      { file },
      { cause: error },
    );
  }
};

interface Listing {
  /** What the adapters come from, a line each. */
  readonly about: readonly string[];
  readonly origin: Readonly<Record<string, unknown>>;
  readonly base: Base;
  readonly adapters: readonly Adapter[];
}

const listingOf = async (options: ListOptions): Promise<Listing> => {
  const { file, run, checkpoint } = options;
  if (file === undefined) {
    const saved = await loadSavedModel(options);
    const { runId, epoch } = saved;
    return { about: aboutSaved(saved), origin: { runId, epoch }, base: baseHashes(saved), adapters: listAdapters(saved) };
  }
  if (run !== undefined || checkpoint !== undefined)
    throw new InputError("expected one of --file, --run and --checkpoint, got more; leave the others out", { path: "--file" });
  const { base, host, lineage } = decodeAdapters(await readBytes(file), file);
  const from = lineage.runId === undefined ? [] : [`grown in run ${lineage.runId}`];
  return { about: [resolve(file), ...from], origin: { file: resolve(file) }, base, adapters: listAdapters({ host }) };
};

const addList = (parent: Command, scope: CommandScope): void => {
  withSource(parent.command("list"))
    .description("Each seed that was kept, with its parameters and the hash of the base.")
    .option("--file <file>", "adapters that were saved, in place of a run")
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  esper adapters list --checkpoint .esper/checkpoints/r-1/40 --json\n  esper adapters list --file adapters.safetensors",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      const { about, origin, base, adapters } = await listingOf(options);
      if (options.json) {
        writeLines(scope.context, [JSON.stringify({ ...origin, base, adapters })]);
        return;
      }
      const width = Math.max(0, ...adapters.map(({ seedId }) => seedId.length));
      const line = ({ seedId, parameters, tensors }: Adapter): string =>
        `${seedId.padEnd(width)}  ${parameters} parameters in ${tensors.length} tensors`;
      writeLines(scope.context, [...about, `base ${base.parametersHash}`, ...adapters.map(line)]);
    });
};

const addSave = (parent: Command, { context }: CommandScope): void => {
  withSource(parent.command("save"))
    .alias("export")
    .description("Write the adapters alone, as safetensors that name the base they belong to.")
    .requiredOption("--out <file>", "a file ending in .safetensors")
    .addHelpText("after", "\nExamples:\n  esper adapters save --run r-20260101T120000-ab12-grown --out adapters.safetensors")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<SaveOptions>();
      const saved = await loadSavedModel(options);
      const out = resolve(options.out);
      await saveDurably(nodeFileSystem, out, encodeAdapters(saved, saved.lineage));
      writeLines(context, [...aboutSaved(saved), out]);
    });
};

const addLoad = (parent: Command, { context }: CommandScope): void => {
  parent
    .command("load")
    .description("Put saved adapters onto their base and write the adapted model. Any other base is refused.")
    .requiredOption("--base <file>", "the base: .onnx or .safetensors that Esper wrote, or the model they were grown on")
    .requiredOption("--file <file>", "the adapters that were saved")
    .requiredOption("--out <path>", "a file ending in .onnx or .safetensors, or a folder for tfjs")
    .option("--format <name>", `${exportFormats.join(", ")}; left out, by the ending of --out`)
    .addHelpText(
      "after",
      "\nExamples:\n  esper adapters load --base base.safetensors --file adapters.safetensors --out adapted.onnx",
    )
    .action(async (_: unknown, command: Command) => {
      const { base, file, out, format } = command.optsWithGlobals<LoadOptions>();
      const chosen = format === undefined ? formatOf(out) : formatNamed(format);
      const adapted = applyAdapters(await importModel(base), await readBytes(file), file);
      const written = await saveModel(resolve(out), adapted, chosen);
      const names = listAdapters(adapted).map(({ seedId }) => seedId);
      writeLines(context, [`${base} with ${names.join(", ")}`, ...written]);
    });
};

export const addAdapters = (program: Command, scope: CommandScope): void => {
  const parent = program
    .command("adapters")
    .description("What seeds added to a model, apart from its base: listed, saved, loaded.")
    .addHelpText("after", "\nExamples:\n  esper adapters list --run r-20260101T120000-ab12-grown\n  esper adapters load --help");
  for (const add of [addList, addSave, addLoad]) add(parent, scope);
};
