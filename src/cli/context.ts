/** What commands may touch of the process. `main` fills it with the real things; tests with their own. */
import type { Clock, Entropy } from "../contracts/ports.ts";
import type { RunNode } from "../node/api.ts";
import type { FileLog, LogOptions } from "../ports/system.ts";

/** Standard output or error. */
export type TerminalStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

export interface CliContext {
  readonly stdout: TerminalStream;
  readonly stderr: TerminalStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  openLog(options: LogOptions): FileLog;
  /** Calls back on each Ctrl-C or SIGTERM. Returns how to stop listening. */
  onInterrupt(handler: () => void): () => void;
  /** Ends the process without waiting for anything. */
  exitNow(code: number): void;
  /** Loaded only when a node is started, so that `--help` is quick. */
  loadRunNode(): Promise<RunNode>;
}

/** Options that every command takes. */
export interface GlobalOptions {
  readonly verbose?: boolean;
  readonly debug?: boolean;
  readonly dataDir?: string;
  /** False after `--no-color`. */
  readonly color?: boolean;
}

export interface CommandScope {
  readonly context: CliContext;
  /** Told by each action how the process is to end. */
  setExitCode(code: number): void;
}

/** Writes lines to standard output. */
export const writeLines = (context: CliContext, lines: readonly string[]): void => {
  if (lines.length > 0) context.stdout.write(`${lines.join("\n")}\n`);
};
