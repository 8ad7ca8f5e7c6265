/** `esper train`: a run described by options; also what `esper --model … --dataset …` does. */
import type { Command } from "commander";
import { loadConfig } from "../../config/load.ts";
import type { CommandScope } from "../context.ts";
import { askedOf, type TrainOptions, trainOverrides, withDataDir } from "../options.ts";
import { runArms } from "../run-arms.ts";

export const addTrain = (program: Command, { context, setExitCode }: CommandScope): void => {
  program
    .command("train")
    .description("Train a network that may repair itself. Options win over --config.")
    .option("--model <name>", "mlp, cnn, resnet18, transformer, or your own: a .onnx, .safetensors or model.json file")
    .option(
      "--dataset <name>",
      "mnist, fashion-mnist, cifar10, cifar100, or your own: a .csv, .npz or .txt file, a folder of images by class",
    )
    .option("--target <column>", "the column of a .csv, or the array of a .npz, to predict (default: the last; y)")
    .option("--task <kind>", "classification or regression, for tables (default: classification)")
    .option("--epochs <n>", "passes over the training data that the budget is worth")
    .option("--config <file>", "YAML configuration to begin with")
    .option("--no-morphogenetic", "train the network alone")
    .option("--damage <layer:kind>", "damage a layer first: h2:dead, h2:rank, random:dead:4 (4 units left)")
    .option("--arms <names>", "what to train side by side: no-growth,grown,healthy (default: grown)")
    .option("--device <name>", "auto, native, wasm or cpu")
    .option("--random-seed <n>", "everything random follows from this number")
    .option("--resume <path>", "continue from a checkpoint, bit for bit")
    .option("--report <file>", "write the report here (else under the data directory)")
    .option("--open", "open the node's page in the browser")
    .option("--json", "JSON lines on standard output: every message, at the end the report")
    .addHelpText(
      "after",
      "\nExamples:\n  esper train --model mlp --dataset mnist --epochs 3\n  esper train --model mlp --dataset mnist --epochs 3 --damage h2:dead --arms no-growth,grown,healthy\n  esper train --model cnn --dataset fashion-mnist --epochs 2 --no-morphogenetic\n  esper train --dataset table.csv --target price --task regression --epochs 20\n  esper train --model model.onnx --dataset images --epochs 5",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<TrainOptions>();
      const config = withDataDir(
        loadConfig({ file: options.config, environment: context.environment, overrides: trainOverrides(options) }),
        options,
      );
      const asked = askedOf(options, config);
      const { resume, report: reportFile, open } = options;
      setExitCode(await runArms(context, { config, options, resume, asked, reportFile, open }));
    });
};
