/** `esper export`: a trained model as a file for other programs. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { lineageOf } from "../../interchange/lineage.ts";
import { type MergedModel, mergedModel } from "../../interchange/merged.ts";
import { baseOf } from "../../library/adapters.ts";
import { exportFormats, formatNamed, formatOf, saveModel } from "../../library/save.ts";
import { type CommandScope, writeLines } from "../context.ts";
import { aboutSaved, loadSavedModel, type SavedModel, type SavedModelOptions, withSource } from "../saved-model.ts";

interface ExportOptions extends SavedModelOptions {
  readonly format?: string;
  readonly out: string;
  readonly base?: boolean;
  readonly merged?: boolean;
}

/** The model without what was grown. */
const withoutSeeds = (saved: SavedModel): SavedModel => {
  const { host, parameters } = baseOf(saved);
  const { source } = saved.lineage;
  return { ...saved, host, parameters, lineage: lineageOf(host, parameters, { runId: saved.runId, source, fieldReports: [] }) };
};

const mergedLines = (model: MergedModel | undefined): string[] => [
  ...(model?.merged ?? []).map((what) => `merged ${what}`),
  ...(model?.kept ?? []).map(({ seedId, reason }) => `${seedId} stays beside its layers: ${reason}`),
];

export const addExport = (program: Command, { context }: CommandScope): void => {
  withSource(program.command("export"))
    .description("Write a trained model for other programs: ONNX, a tensorflow.js LayersModel, safetensors.")
    .option("--format <name>", `${exportFormats.join(", ")}; left out, by the ending of --out`)
    .option("--base", "the base alone, without what was grown: what adapters are loaded onto")
    .option("--merged", "as plain layers, for inference: what grew beside a layer becomes part of it where algebra allows")
    .requiredOption("--out <path>", "a file ending in .onnx or .safetensors, or a folder for tfjs")
    .addHelpText(
      "after",
      "\nExamples:\n  esper export --run r-20260101T120000-ab12-grown --out model.onnx\n  esper export --checkpoint .esper/checkpoints/r-1/40 --format tfjs --out web-model",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExportOptions>();
      const format = options.format === undefined ? formatOf(options.out) : formatNamed(options.format);
      const saved = await loadSavedModel(options);
      const chosen = options.base === true ? withoutSeeds(saved) : saved;
      const merged = options.merged === true ? mergedModel(chosen) : undefined;
      const written = await saveModel(resolve(options.out), merged ?? chosen, format);
      const base = options.base === true ? ["the base alone, without them"] : [];
      writeLines(context, [...aboutSaved(saved), ...base, ...mergedLines(merged), ...written]);
    });
};
