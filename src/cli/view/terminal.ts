/**
 * The view of a run in a terminal, in a pipe, or as JSON lines.
 *
 * T1 A message is shown once, however often it is delivered (the last `idsMax` ids are remembered).
 * T2 The live lines are drawn at most `redrawHzMax` times a second.
 * T3 Not a terminal: no escape sequence is written and nothing is drawn twice.
 * T4 With `--json`, standard output holds JSON lines and nothing else.
 * T5 Nothing thrown here reaches the node.
 */
import { createLogUpdate } from "log-update";
import type { Envelope } from "../../contracts/envelope.ts";
import { describeError } from "../../contracts/errors.ts";
import type { Cancel, Clock } from "../../contracts/ports.ts";
import type { Report } from "../../contracts/report.ts";
import type { NodeView } from "../../node/api.ts";
import type { TerminalStream } from "../context.ts";
import { formatLive } from "./format-live.ts";
import { type FormatOptions, formatMessage } from "./format-message.ts";
import { formatReport } from "./format-report.ts";
import { parseMessage } from "./message.ts";
import { applyMessage, type RunStates } from "./run-state.ts";

export interface View extends NodeView {
  /** The last thing shown: what came of the run. */
  finish(report: Report, reportFile: string | undefined): void;
  /** What came of a run, while the node goes on. */
  report(report: Report, reportFile: string | undefined): void;
  /** Leaves the terminal as it was. May be called twice. */
  close(): void;
}

const idsMax = 4096;
export const redrawHzMax = 8;

/** A set of the last ids; the oldest goes first. */
const rememberIds = (): ((id: string) => boolean) => {
  const seen = new Set<string>();
  return (id) => {
    if (seen.has(id)) return false;
    seen.add(id);
    const oldest = seen.values().next();
    if (seen.size > idsMax && !oldest.done) seen.delete(oldest.value);
    return true;
  };
};

/** Where the lines go: `line` stays, `draw` is drawn anew. */
interface Screen {
  line(text: string): void;
  draw(text: () => string): void;
  close(): void;
}

/** Plain lines for a pipe or a file. */
const plainScreen = (stream: TerminalStream): Screen => ({
  line: (text) => void stream.write(`${text}\n`),
  draw: () => {},
  close: () => {},
});

const liveScreen = (stream: TerminalStream, clock: Clock): Screen => {
  const update = createLogUpdate(stream, { showCursor: true });
  let pending: Cancel | undefined;
  let latest: () => string = () => "";
  let closed = false;
  const redraw = (): void => {
    pending = undefined;
    if (!closed) update(latest());
  };
  return {
    line(text) {
      if (closed) stream.write(`${text}\n`);
      else update.persist(text);
    },
    draw(text) {
      latest = text;
      // T2: one redraw is due at a time.
      if (!closed) pending ??= clock.schedule(1000 / redrawHzMax, redraw);
    },
    close() {
      if (closed) return;
      closed = true;
      pending?.();
      update.clear();
      update.done();
    },
  };
};

export interface TerminalOptions extends FormatOptions {
  readonly stream: TerminalStream;
  readonly clock: Clock;
}

export const createTerminalView = (options: TerminalOptions): View => {
  const { stream, clock } = options;
  const screen = stream.isTTY ? liveScreen(stream, clock) : plainScreen(stream);
  const isNew = rememberIds();
  let states: RunStates = new Map();
  const live = (): string =>
    formatLive(states, {
      ...options,
      trigger: options.morphogenetic.trigger,
      columns: stream.columns ?? 80,
      rows: stream.rows ?? 24,
    });
  const show = (envelope: Envelope): void => {
    if (!isNew(envelope.id)) return;
    const parsed = parseMessage(envelope);
    if (parsed.kind === "unreadable") {
      if (options.verbose) screen.line(`a message could not be read: ${parsed.reason}`);
      return;
    }
    const before = states;
    states = applyMessage(before, parsed.message);
    for (const line of formatMessage(parsed.message, before, states, options)) screen.line(line);
    screen.draw(live);
  };
  return {
    onMessage(envelope) {
      // T5
      try {
        show(envelope);
      } catch (error) {
        screen.line(`a message on ${envelope.subject} could not be shown: ${describeError(error)}`);
      }
    },
    note: (text) => screen.line(text),
    finish(report, reportFile) {
      screen.close();
      for (const line of formatReport(report, reportFile, options.colors, options.task)) screen.line(line);
    },
    report(report, reportFile) {
      for (const line of formatReport(report, reportFile, options.colors, options.task)) screen.line(line);
    },
    close: () => screen.close(),
  };
};

/** T4: every message as it came, notes, and at the end the report, each a JSON object on a line. */
export const createJsonView = (stream: TerminalStream): View => {
  const isNew = rememberIds();
  const write = (value: unknown): void => void stream.write(`${JSON.stringify(value)}\n`);
  return {
    onMessage(envelope) {
      if (isNew(envelope.id)) write({ kind: "message", ...envelope });
    },
    note: (text) => write({ kind: "note", text }),
    finish: (report, reportFile) => write({ kind: "report", ...(reportFile === undefined ? {} : { file: reportFile }), report }),
    report: (report, reportFile) => write({ kind: "report", ...(reportFile === undefined ? {} : { file: reportFile }), report }),
    close: () => {},
  };
};
