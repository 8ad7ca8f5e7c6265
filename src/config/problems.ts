/** Says what is wrong with a configuration: path, what was expected, what was found, and the name that was probably meant. */
import { closest, distance } from "fastest-levenshtein";
import type { z } from "zod";
import type { Shown } from "../contracts/shown.ts";
import { type ConfigKey, configKeys } from "./keys.ts";
import { describeCame, ofCharacters } from "./quoting.ts";

/** The known name that was probably meant; undefined when none is near. */
export const didYouMean = (name: string, known: readonly string[]): string | undefined => {
  if (known.length === 0) return undefined;
  const best = closest(
    name.toLowerCase(),
    known.map((candidate) => candidate.toLowerCase()),
  );
  const candidate = known.find((one) => one.toLowerCase() === best);
  const limit = Math.max(2, Math.floor(name.length / 3));
  return candidate !== undefined && distance(name.toLowerCase(), best) <= limit ? candidate : undefined;
};

const pathText = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`),
    "",
  );

const keyAt = (path: readonly PropertyKey[], selector: string | undefined): ConfigKey | undefined => {
  const text = path.map(String).join(".");
  const matching = configKeys.keys.filter((key) => key.path.join(".") === text);
  return matching.find((key) => key.onlyWith === selector) ?? matching[0];
};

/** What a list says of being seen holds for its items, and not for a text that came in place of the list. */
const shownAt = (path: readonly PropertyKey[], input: unknown): Shown | undefined => {
  const isItem = typeof path.at(-1) === "number";
  const place = isItem ? path.slice(0, -1) : path;
  const key = keyAt(place, selectorAt(place.slice(0, -1), input));
  return key?.list === isItem ? key.shown : undefined;
};

/** The zod issue's own words, for a place that the key table does not hold, for example an item of a list. */
const expectedByIssue = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected;
    case "invalid_value":
      return issue.values.map(String).join(" or ");
    case "too_small":
      return `${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}`;
    case "too_big":
      return `${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}`;
    default:
      return issue.message;
  }
};

const numberWanted = (issue: z.core.$ZodIssue, expected: string): boolean =>
  /^(integer|number)\b|\bor (integer|number)\b/.test(expected) ||
  ((issue.code === "too_small" || issue.code === "too_big") && (issue.origin === "number" || issue.origin === "int"));

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown => {
  let current = value;
  for (const part of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
};

export interface Problem {
  /** To look the place up; its last name may be one that came, so it is not told. */
  readonly path: readonly string[];
  /** As it may be told. */
  readonly place: string;
  readonly text: string;
}

/** One problem per wrong key. `input` is the tree that was checked. */
export const describeIssue = (issue: z.core.$ZodIssue, input: unknown): Problem[] => {
  if (issue.code === "unrecognized_keys") {
    const known = configKeys.namesUnder(issue.path.map(String));
    return issue.keys.map((name) => {
      const path = [...issue.path.map(String), name];
      const meant = didYouMean(name, known);
      const hint = meant === undefined ? `expected one of ${known.join(", ")}` : `did you mean ${meant}?`;
      const selector = selectorAt(issue.path, input);
      const place = selector === undefined ? "" : ` with ${selector}`;
      const belongs = configKeys.keys.find((key) => key.path.join(".") === path.join(".") && key.onlyWith !== undefined);
      const text = belongs
        ? `is a key of ${belongs.onlyWith}, found${place}`
        : `unknown key${ofCharacters(name)}${place}, ${hint}`;
      // A name that is no key at all may be a secret in the wrong place; Q3 of quoting.ts.
      if (belongs) return { path, place: pathText(path), text: `${pathText(path)}: ${text}` };
      const group = pathText(issue.path);
      return { path, place: group, text: `${group === "" ? "top" : group}: ${text}` };
    });
  }
  const path = issue.path.map(String);
  const found = valueAt(input, issue.path);
  const known = keyAt(issue.path, selectorAt(issue.path.slice(0, -1), input));
  const expected = known?.expected.replaceAll("`", "") ?? expectedByIssue(issue);
  const shown = shownAt(issue.path, input);
  const numeric = numberWanted(issue, expected);
  const meant =
    typeof found === "string" && expected.includes(" or ")
      ? didYouMean(
          found,
          expected.split(" or ").filter((word) => !word.includes(" ")),
        )
      : undefined;
  return [
    {
      path,
      place: pathText(issue.path),
      text: `${pathText(issue.path)}: expected ${expected}, found ${describeCame(found, { shown, numeric })}${meant === undefined ? "" : `, did you mean ${meant}?`}`,
    },
  ];
};

const selectorAt = (path: readonly PropertyKey[], input: unknown): string | undefined => {
  const union = configKeys.unions.find((one) => one.path.join(".") === path.map(String).join("."));
  if (!union) return undefined;
  const chosen = valueAt(input, [...path, union.discriminator]);
  return typeof chosen === "string" ? `${union.discriminator}: ${chosen}` : undefined;
};
