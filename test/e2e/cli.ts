/** The built command line as a second process. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";

export interface Ended {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `esper` with arguments; never rejects. */
export const esper = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  new Promise((done) => {
    const options = { env: { ...process.env, NO_COLOR: "1", ...environment }, maxBuffer: 64 * 1024 * 1024, timeout: 60_000 };
    execFile(process.execPath, [resolve("dist/main.js"), ...args], options, (error, out, err) => {
      done({ exitCode: error === null ? 0 : Number(error.code ?? 1), out, err });
    });
  });
