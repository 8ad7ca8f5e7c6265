#!/usr/bin/env node
/** The program: arguments in, exit code out. The one place that picks the real clock, entropy, log and process. */
import { runCommandLine } from "./cli/program.ts";
import { createFileLog, createSystemClock, createSystemEntropy } from "./ports/system.ts";

// A reader that has gone (`esper … | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const interrupts = ["SIGINT", "SIGTERM"] as const;

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  clock: createSystemClock(),
  entropy: createSystemEntropy(),
  openLog: createFileLog,
  onInterrupt(handler) {
    for (const signal of interrupts) process.on(signal, handler);
    return () => {
      for (const signal of interrupts) process.off(signal, handler);
    };
  },
  exitNow: (code) => process.exit(code),
  loadRunNode: async () => (await import("./cli/node.ts")).runNode,
});
