/** Options that a program passes: a misspelt one is refused, never ignored, and a wrong value is told like one of a configuration. */
import type { z } from "zod";
import { describeIssue, didYouMean } from "../config/problems.ts";
import { InputError } from "../contracts/errors.ts";

/** @throws InputError naming the first option that is not known, and the one that was probably meant. */
export const checkNames = (what: string, options: unknown, known: readonly string[]): void => {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new InputError(
      `${what}: expected an object of options, found ${options === null ? "null" : typeof options}; leave them out or name some of ${known.join(", ")}`,
    );
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const meant = didYouMean(unknown, known);
  const hint = meant === undefined ? `name some of ${known.join(", ")}` : `did you mean ${meant}?`;
  throw new InputError(`${what}: expected known options, found ${unknown}; ${hint}`, { path: unknown });
};

const nested = (place: readonly string[], value: unknown): unknown =>
  place.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);

interface Place {
  /** Where the value stands in a configuration, whose words the error has. */
  readonly path?: readonly string[];
  /** What to do about a wrong one. */
  readonly next?: string;
}

/** The value as its schema reads it. */
export const settings = <T>(
  what: string,
  schema: { safeParse(value: unknown): z.ZodSafeParseResult<T> },
  value: unknown,
  { path = [], next = 'every key is described in README.md, "Configuration"' }: Place = {},
): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) =>
    describeIssue({ ...issue, path: [...path, ...issue.path] }, nested(path, value)),
  );
  const text = problems.map((problem) => problem.text).join("; ");
  throw new InputError(`${what}: ${text}; ${next}`, {
    path: problems[0]?.place || what,
  });
};
