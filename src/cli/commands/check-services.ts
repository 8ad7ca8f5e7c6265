/** `esper check-services`: starts or reaches every service that a run with this configuration needs. */
import type { Command } from "commander";
import { loadConfig } from "../../config/load.ts";
import { isForgeOnly } from "../../contracts/config-roles.ts";
import { checkBus, checkDatabase, checkDataset, checkDisk, checkEngines, formatChecks } from "../checks.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { globalOverrides, withDataDir } from "../options.ts";

interface CheckOptions extends GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export const addCheckServices = (program: Command, { context, setExitCode }: CommandScope): void => {
  program
    .command("check-services")
    .description("Start or reach every service that a run needs: bus, database, engine, data set, disk.")
    .option("--config <file>", "check for this configuration")
    .option("--json", "JSON on standard output")
    .addHelpText("after", "\nExamples:\n  esper check-services\n  esper --check-services --config configs/quickstart.yaml")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CheckOptions>();
      const config = withDataDir(
        loadConfig({ file: options.config, environment: context.environment, overrides: globalOverrides(options) }),
        options,
      );
      const checks = [
        await checkBus(context, config),
        // A forge keeps nothing and needs no data.
        ...(isForgeOnly(config.roles) ? [] : [await checkDatabase(), await checkDataset(config, config.dataset.name, "failed")]),
        ...(await checkEngines(config)),
        await checkDisk(config),
      ];
      writeLines(context, options.json ? [JSON.stringify(checks)] : formatChecks(checks));
      setExitCode(checks.some(({ status }) => status === "failed") ? 5 : 0);
    });
};
