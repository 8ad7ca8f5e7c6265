/** The real clock, entropy and log. Only `main` builds them; everything else gets them handed in. */
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { performance } from "node:perf_hooks";
import { type Logger, pino } from "pino";
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { Clock, Entropy, Log, LogFields } from "../contracts/ports.ts";

export const createSystemClock = (): Clock => ({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
});

/** Hexadecimal, two letters a byte. */
export const createSystemEntropy = (): Entropy => ({ token: (bytes) => randomBytes(bytes).toString("hex") });

export type LogLevel = "error" | "warn" | "info" | "debug";

export interface LogOptions {
  /** JSON lines go here; the folder is made. */
  readonly file: string;
  readonly level: LogLevel;
  /** Past this the file becomes `<file>.1`, in place of the one before it. */
  readonly bytesMax?: number;
}

export interface FileLog extends Log {
  /** Lines that the disk refused. The program goes on without them. */
  readonly lostLines: () => number;
  close(): void;
}

/** Names whose values never reach the log, at any depth up to three. */
const secretNames = ["password", "passwords", "pass", "passwordFile", "user", "token", "secret", "credentials", "authorization"];
const redactedPaths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** User and password of a URL, wherever in a line it stands: also in the words of an error. */
const withoutUserinfo = (line: string): string =>
  line.includes("@") ? line.replace(/([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s"@]{1,1024}@/gi, "$1[redacted]@") : line;

/** Throws ServiceError when the file cannot be opened. */
export const createFileLog = ({ file, level, bytesMax = 67_108_864 }: LogOptions): FileLog => {
  const sink = openSink(file, bytesMax);
  const logger = pino({ level, base: { pid: process.pid }, redact: { paths: redactedPaths, censor: "[redacted]" } }, sink);
  return { ...wrap(logger), lostLines: sink.lostLines, close: sink.close };
};

const wrap = (logger: Logger): Log => ({
  debug: (message, fields) => logger.debug(fields ?? {}, message),
  info: (message, fields) => logger.info(fields ?? {}, message),
  warn: (message, fields) => logger.warn(fields ?? {}, message),
  error: (message, fields) => logger.error(fields ?? {}, message),
  child: (fields: LogFields) => wrap(logger.child(fields)),
});

interface Sink {
  write(line: string): void;
  lostLines(): number;
  close(): void;
}

/** Writes at once, so that a crash loses no line. */
const openSink = (file: string, bytesMax: number): Sink => {
  const open = (): number => {
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      return openSync(file, "a", 0o600);
    } catch (error) {
      throw new ServiceError(
        `expected to write the log ${file}, got ${describeError(error)}; check the data directory`,
        { file },
        { cause: error },
      );
    }
  };
  let descriptor: number | undefined = open();
  let bytes = fstatSync(descriptor).size;
  let lost = 0;
  const rotate = (): void => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
    renameSync(file, `${file}.1`);
    descriptor = open();
    bytes = 0;
  };
  return {
    write(given) {
      try {
        if (descriptor === undefined) throw new Error("the log is closed");
        const line = withoutUserinfo(given);
        const size = Buffer.byteLength(line);
        if (bytes > 0 && bytes + size > bytesMax) rotate();
        writeSync(descriptor, line);
        bytes += size;
      } catch {
        lost += 1;
      }
    },
    lostLines: () => lost,
    close() {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
};
