/** A command-line context for tests: text is collected, nothing leaves the process. */
import { Writable } from "node:stream";
import type { CliContext, TerminalStream } from "../../src/cli/context.ts";
import type { RunNode } from "../../src/node/api.ts";
import { createSystemClock, createSystemEntropy, type FileLog } from "../../src/ports/system.ts";

export interface Collected {
  readonly stream: TerminalStream;
  text(): string;
}

/** A stream that keeps what is written; with `columns` it says that it is a terminal. */
export const collect = (columns?: number): Collected => {
  let text = "";
  const writable = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  const stream = columns === undefined ? writable : Object.assign(writable, { isTTY: true, columns, rows: 30 });
  return { stream, text: () => text };
};

export interface TestContext {
  readonly context: CliContext;
  readonly out: Collected;
  readonly err: Collected;
  /** Presses Ctrl-C. */
  interrupt(): void;
  readonly listening: () => number;
  readonly exits: number[];
  readonly logs: { file: string; level: string }[];
}

const noLog: FileLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => noLog,
  lostLines: () => 0,
  close: () => undefined,
};

export const createTestContext = (runNode: RunNode, environment: Readonly<Record<string, string>> = {}): TestContext => {
  const [out, err] = [collect(), collect()];
  const handlers = new Set<() => void>();
  const exits: number[] = [];
  const logs: { file: string; level: string }[] = [];
  return {
    out,
    err,
    exits,
    logs,
    interrupt: () => {
      for (const handler of handlers) handler();
    },
    listening: () => handlers.size,
    context: {
      stdout: out.stream,
      stderr: err.stream,
      environment,
      clock: createSystemClock(),
      entropy: createSystemEntropy(),
      openLog({ file, level }) {
        logs.push({ file, level });
        return noLog;
      },
      onInterrupt(handler) {
        handlers.add(handler);
        return () => handlers.delete(handler);
      },
      exitNow: (code) => void exits.push(code),
      loadRunNode: async () => runNode,
    },
  };
};
