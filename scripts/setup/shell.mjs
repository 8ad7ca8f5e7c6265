/** Running other programs for set-up: bounded output, signs of life, and Ctrl-C that leaves nothing behind. */
import { spawn } from "node:child_process";

const outputCharactersMax = 16_384;
const signOfLifeMs = 5_000;

/** A failure that a person can act on: printed without a stack. */
export class SetupError extends Error {}

const children = new Set();

/** Ends what was started, then the process. Call once. */
export const endOnInterrupt = () => {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ]) {
    process.once(signal, () => {
      for (const child of children) child.kill(signal);
      console.error("\nset-up was interrupted; run it again to finish, nothing half-done is used");
      process.exit(code);
    });
  }
};

/**
 * Runs a program to its end. With `about`, says what takes so long.
 * Resolves with its exit code (127 when it is not there) and the end of what it wrote.
 */
export const run = (program, args, { cwd, env, about } = {}) =>
  new Promise((resolve) => {
    const startedMs = Date.now();
    if (about) console.log(`${about} …`);
    const timer = about
      ? setInterval(() => console.log(`  still ${about} (${Math.round((Date.now() - startedMs) / 1000)} s)`), signOfLifeMs)
      : undefined;
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    children.add(child);
    let output = "";
    const collect = (chunk) => {
      output = (output + chunk).slice(-outputCharactersMax);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const end = (code) => {
      clearInterval(timer);
      children.delete(child);
      resolve({ code, output });
    };
    child.once("error", (error) => end(error.code === "ENOENT" ? 127 : 126));
    child.once("close", (code, signal) => end(code ?? (signal ? 128 : 1)));
  });

/** The last lines of a program's output, indented. */
export const tail = (output, lines = 12) =>
  output
    .trimEnd()
    .split("\n")
    .slice(-lines)
    .map((line) => `  ${line}`)
    .join("\n");

/** The first lines, where npm says what went wrong. */
export const head = (output, lines = 12) => tail(output.trimStart().split("\n").slice(0, lines).join("\n"), lines);
