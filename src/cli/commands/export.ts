/** `esper export` and `esper adapters`: a trained model, or what was grown onto it, as files for other programs. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { InputError } from "../../contracts/errors.ts";
import { baseHashes, encodeAdapters, listAdapters } from "../../library/adapters.ts";
import { type ExportFormat, exportFormats, formatOf, saveModel } from "../../library/save.ts";
import { nodeFileSystem, saveDurably } from "../../store/file-system.ts";
import { type CommandScope, writeLines } from "../context.ts";
import { loadSavedModel, type SavedModel, type SavedModelOptions } from "../saved-model.ts";

interface ExportOptions extends SavedModelOptions {
  readonly format?: string;
  readonly out: string;
}

interface AdapterOptions extends SavedModelOptions {
  readonly out: string;
  readonly json?: boolean;
}

const formatNamed = (text: string): ExportFormat => {
  const format = exportFormats.find((each) => each === text);
  if (format !== undefined) return format;
  throw new InputError(`expected --format ${exportFormats.join(", ")}, got "${text}"`, { path: "--format" });
};

const about = ({ runId, epoch, trialSeedId, lineage }: SavedModel): string[] => [
  `run ${runId} after window ${epoch}, ${lineage.seeds.length} seed${lineage.seeds.length === 1 ? "" : "s"} kept`,
  ...(trialSeedId === undefined ? [] : [`${trialSeedId} was in trial: it is left out`]),
];

const withSource = (command: Command): Command =>
  command.option("--run <id>", "the last checkpoint of that run").option("--checkpoint <folder>", "a checkpoint's own folder");

export const addExport = (program: Command, { context }: CommandScope): void => {
  withSource(program.command("export"))
    .description("Write a trained model for other programs: ONNX, a tensorflow.js LayersModel, safetensors.")
    .option("--format <name>", `${exportFormats.join(", ")}; left out, by the ending of --out`)
    .requiredOption("--out <path>", "a file ending in .onnx or .safetensors, or a folder for tfjs")
    .addHelpText(
      "after",
      "\nExamples:\n  esper export --run r-20260101T120000-ab12-grown --out model.onnx\n  esper export --checkpoint .esper/checkpoints/r-1/40 --format tfjs --out web-model",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExportOptions>();
      const format = options.format === undefined ? formatOf(options.out) : formatNamed(options.format);
      const saved = await loadSavedModel(context, options);
      const written = await saveModel(resolve(options.out), saved, format);
      writeLines(context, [...about(saved), ...written]);
    });
};

export const addAdapters = (program: Command, { context }: CommandScope): void => {
  const adapters = program.command("adapters").description("What seeds added to a model, apart from its base.");
  withSource(adapters.command("list"))
    .description("Each seed that was kept, with its parameters and the hash of the base.")
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExamples:\n  esper adapters list --checkpoint .esper/checkpoints/r-1/40 --json")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<AdapterOptions>();
      const saved = await loadSavedModel(context, options);
      const [base, list] = [baseHashes(saved), listAdapters(saved)];
      if (options.json) {
        writeLines(context, [JSON.stringify({ runId: saved.runId, epoch: saved.epoch, base, adapters: list })]);
        return;
      }
      const width = Math.max(0, ...list.map(({ seedId }) => seedId.length));
      writeLines(context, [
        ...about(saved),
        `base ${base.parametersHash}`,
        ...list.map(
          ({ seedId, parameters, tensors }) => `${seedId.padEnd(width)}  ${parameters} parameters in ${tensors.length} tensors`,
        ),
      ]);
    });
  withSource(adapters.command("export"))
    .description("Write the adapters alone, as safetensors that name the base they belong to.")
    .requiredOption("--out <file>", "a file ending in .safetensors")
    .addHelpText("after", "\nExamples:\n  esper adapters export --run r-20260101T120000-ab12-grown --out adapters.safetensors")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<AdapterOptions>();
      const saved = await loadSavedModel(context, options);
      await saveDurably(nodeFileSystem, resolve(options.out), encodeAdapters(saved, saved.lineage));
      writeLines(context, [...about(saved), resolve(options.out)]);
    });
};
