/** `esper start`: a node with a configuration file. */
import type { Command } from "commander";
import { loadConfig } from "../../config/load.ts";
import { isForgeOnly } from "../../contracts/config-roles.ts";
import type { CommandScope, GlobalOptions } from "../context.ts";
import { globalOverrides, withDataDir } from "../options.ts";
import { runArms } from "../run-arms.ts";
import { runForgeHere } from "../run-forge.ts";

interface StartOptions extends GlobalOptions {
  readonly config: string;
  readonly report?: string;
  readonly resume?: string;
  readonly json?: boolean;
  readonly stay?: boolean;
  readonly open?: boolean;
}

export const addStart = (program: Command, { context, setExitCode }: CommandScope): void => {
  program
    .command("start")
    .description(
      "Start a node with a configuration: train its arms, watch them live, report; or work as a forge for another node.",
    )
    .requiredOption("--config <file>", "YAML configuration, for example configs/quickstart.yaml")
    .option("--report <file>", "write the report here (else under the data directory)")
    .option("--resume <path>", "continue from a checkpoint")
    .option("--stay", "after the arms wait for further runs (`esper ctl start`), until `esper ctl shutdown` or Ctrl-C")
    .option("--open", "open the node's page in the browser")
    .option("--json", "JSON lines on standard output: every message, at the end the report")
    .addHelpText(
      "after",
      "\nExamples:\n  esper start --config configs/quickstart.yaml\n  esper start --config configs/cnn.yaml --report report.json\n  esper start --config configs/forge.yaml      a forge for a node on another machine\n  ESPER_OPTIMIZATION__EPOCHS=1 esper start --config configs/quickstart.yaml --json",
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<StartOptions>();
      const config = withDataDir(
        loadConfig({ file: options.config, environment: context.environment, overrides: globalOverrides(options) }),
        options,
      );
      if (isForgeOnly(config.roles)) {
        setExitCode(await runForgeHere(context, config, options));
        return;
      }
      const { resume, report: reportFile, stay = false, open } = options;
      setExitCode(await runArms(context, { config, options, resume, reportFile, stay, open }));
    });
};
