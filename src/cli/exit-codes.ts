/** How the process ends, and the block of text that goes with it. */
import { EsperError } from "../contracts/errors.ts";

export const exitCodes = [
  { code: 0, meaning: "done" },
  { code: 1, meaning: "a bug in Esper" },
  { code: 2, meaning: "wrong input: arguments, configuration, graph" },
  { code: 3, meaning: "a message or asset that does not fit its schema" },
  { code: 4, meaning: "a file is missing, truncated or not what its hash says" },
  { code: 5, meaning: "a service is missing: nats-server, disk, engine" },
  { code: 6, meaning: "training could not go on" },
  { code: 7, meaning: "the run refused the command" },
  { code: 130, meaning: "interrupted by Ctrl-C" },
] as const;

/** As for a damaged file: what is stored is not what was written. */
export const exitCodeBroken = 4;
export const exitCodeRefused = 7;
export const exitCodeInterrupted = 130;

export const exitCodeHelp = `\nExit codes:\n${exitCodes.map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`).join("\n")}`;

export const exitCodeOf = (error: unknown): number => (error instanceof EsperError ? error.exitCode : 1);

/** One short block. The stack is for `--debug` alone. */
export const formatError = (error: unknown, debug: boolean): string => {
  const lines: string[] = [];
  if (error instanceof EsperError) {
    lines.push(`error (${error.code}): ${error.message}`);
    const { path, subject, file } = error.place;
    const place = [path, subject, file].filter((part) => part !== undefined && !error.message.includes(part));
    if (place.length > 0) lines.push(`  at ${place.join(", ")}`);
  } else {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    lines.push(`error (bug): expected no failure here, got ${message}`);
    if (!debug) lines.push("  run again with --debug for the stack, and report it with the log in the data directory");
  }
  if (debug && error instanceof Error && error.stack !== undefined) {
    lines.push(error.stack);
    if (error.cause instanceof Error && error.cause.stack !== undefined) lines.push(`caused by ${error.cause.stack}`);
  }
  return lines.join("\n");
};
