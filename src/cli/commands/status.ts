/** `esper status`: where the running node is, how to reach it, and what it does. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { operatorFile, readOperatorFile } from "../../bus/operator-file.ts";
import { addressOf } from "../../contracts/shown.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { buildCommand, sendCommand } from "../operator.ts";
import { formatRunStatus } from "../view/format-status.ts";

interface StatusOptions extends GlobalOptions {
  readonly json?: boolean;
  readonly connection?: string;
}

const timeoutMs = 3_000;

export const addStatus = (program: Command, { context }: CommandScope): void => {
  program
    .command("status")
    .description("Where a running node is, how to reach it, and what its run does.")
    .option("--json", "one JSON object")
    .option("--connection <file>", "the node's operator.json (default: in the data directory)")
    .addHelpText("after", "\nExamples:\n  esper status\n  esper status --json --data-dir /tmp/node")
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<StatusOptions>();
      const path = options.connection ?? options.dataDir ?? ".esper";
      const { url: whole, dataDir, pid, startedAtMs, http } = await readOperatorFile(path);
      const url = addressOf(whole) ?? "the address in the connection file";
      const ask = buildCommand({ kind: "status" }, () => `cli-${context.entropy.token(8)}`);
      const receipt = await sendCommand(context, path, ask, timeoutMs);
      const run = receipt.kind === "status" ? receipt.run : undefined;
      const noRun = receipt.kind === "refused" ? receipt.reason : undefined;
      const connectionFile = options.connection === undefined ? operatorFile(dataDir) : resolve(options.connection);
      if (options.json) {
        writeLines(context, [
          JSON.stringify({
            pid,
            startedAtMs,
            nats: url,
            ...(http === undefined ? {} : { http }),
            dataDir,
            connectionFile,
            run: run ?? null,
            ...(noRun === undefined ? {} : { noRun }),
          }),
        ]);
        return;
      }
      writeLines(context, [
        `node        process ${pid}, since ${new Date(startedAtMs).toISOString()}`,
        `nats        ${url}`,
        ...(http === undefined ? [] : [`http        ${http}`]),
        `data        ${dataDir}`,
        `connection  ${connectionFile}`,
        ...(run ? formatRunStatus(run) : [`no run: ${noRun ?? "none is going on"}`]),
      ]);
    });
};
