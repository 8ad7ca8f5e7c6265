/** `esper doctor`: which engine is used and why the others are not, and what else is here. */
import type { Command } from "commander";
import { loadConfig } from "../../config/load.ts";
import { checkDataset, checkDisk, checkEngines, checkLanes, checkMachine, checkServerProgram, formatChecks } from "../checks.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { globalOverrides, withDataDir } from "../options.ts";

interface DoctorOptions extends GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export const addDoctor = (program: Command, { context, setExitCode }: CommandScope): void => {
  program
    .command("doctor")
    .description("What this machine offers: engines and why each is used or not, nats-server, data sets, disk.")
    .option("--config <file>", "check for this configuration")
    .option("--json", "JSON on standard output")
    .addHelpText("after", "\nExamples:\n  esper doctor\n  esper doctor --config configs/cnn.yaml --json")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<DoctorOptions>();
      const config = withDataDir(
        loadConfig({ file: options.config, environment: context.environment, overrides: globalOverrides(options) }),
        options,
      );
      const checks = [
        checkMachine(),
        ...(await checkEngines(config)),
        checkLanes(config),
        await checkServerProgram(config),
        await checkDataset(config, "mnist", "absent"),
        await checkDataset(config, "fashion-mnist", "absent"),
        await checkDisk(config),
      ];
      writeLines(context, options.json ? [JSON.stringify(checks)] : formatChecks(checks));
      setExitCode(checks.some(({ status }) => status === "failed") ? 5 : 0);
    });
};
