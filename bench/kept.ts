/** What a bench measured of each host, kept in a file of JSON lines, so that one that was stopped goes on where it was. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";

const line = z.strictObject({ key: z.string(), value: z.unknown() });

export interface Kept<T> {
  get(key: string): T | undefined;
  put(key: string, value: T): void;
}

/** The last line of a key counts; a line that a crash cut off does not. Without a file nothing is kept. */
export const openKept = <T>(file: string | undefined, schema: z.ZodType<T>): Kept<T> => {
  const known = new Map<string, T>();
  if (file === undefined) return { get: () => undefined, put: () => undefined };
  mkdirSync(dirname(file), { recursive: true });
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  for (const each of whole.split("\n").filter((row) => row !== "")) {
    const { key, value } = line.parse(JSON.parse(each));
    known.set(key, schema.parse(value));
  }
  if (whole.length < text.length) writeFileSync(file, whole);
  return {
    get: (key) => known.get(key),
    put: (key, value) => {
      known.set(key, value);
      appendFileSync(file, `${JSON.stringify({ key, value })}\n`);
    },
  };
};
