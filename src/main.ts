#!/usr/bin/env node
/** The program: arguments in, exit code out. The one place that picks the real clock, entropy, log and process. */
import { exitCodeOf, formatError } from "./cli/exit-codes.ts";
import { runCommandLine } from "./cli/program.ts";
import { endProcess, onInterrupt } from "./ports/end-process.ts";
import { createFileLog, createSystemClock, createSystemEntropy } from "./ports/system.ts";
import { haltThreads, threadsAreOpen } from "./workers/threads.ts";

// A reader that has gone (`esper … | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const clock = createSystemClock();
const end = (code: number): void => void endProcess(code, { clock, halt: haltThreads });

// Node's own way would end the threads wherever they are.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${formatError(error, process.argv.includes("--debug"))}\n`);
  end(exitCodeOf(error));
});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  clock,
  entropy: createSystemEntropy(),
  openLog: createFileLog,
  onInterrupt: (handler) => onInterrupt(clock, handler),
  exitNow: end,
  loadRunNode: async () => (await import("./cli/node.ts")).runNode,
});
// A lane that could not be closed in time.
if (threadsAreOpen()) end(Number(process.exitCode));
