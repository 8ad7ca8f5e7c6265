/**
 * Canaries: secrets that are put into every key of a schema, and the search for them in what the program tells.
 *
 * N1 The leaves are read off the schema, nothing is listed by hand: a key that is added to it has its canaries at once.
 * N2 A canary counts as told when any eight characters of it in a row are told: a text that was cut leaks too.
 */
import { randomBytes } from "node:crypto";
import type { z } from "zod";
import { configSchema, shownKey } from "../../src/config/keys.ts";
import type { Shown } from "../../src/contracts/shown.ts";

type Json = z.core.JSONSchema.BaseSchema;
export type Path = readonly (string | number)[];

export interface Leaf {
  readonly path: Path;
  /** The path, and the members of unions that it goes through. */
  readonly name: string;
  readonly schema: Json;
  readonly shown: Shown | undefined;
  /** A valid tree in which this leaf has the value. */
  tree(value: unknown): unknown;
  /** The same with the least value that the leaf takes. */
  valid(): unknown;
}

const object = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
const members = (schema: Json): Json[] => (schema.oneOf ?? schema.anyOf ?? []).filter(object);
const properties = (schema: Json): [string, Json][] =>
  Object.entries(schema.properties ?? {}).filter((entry): entry is [string, Json] => object(entry[1]));

/** The least value that a schema takes. */
const least = (schema: Json): unknown => {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const [first] = members(schema);
  if (first !== undefined) return least(first);
  if (schema.type === "array")
    return Array.from({ length: schema.minItems ?? 0 }, () => (object(schema.items) ? least(schema.items) : null));
  if (schema.type === "object")
    return Object.fromEntries(
      properties(schema)
        .filter(([name]) => schema.required?.includes(name))
        .map(([name, property]) => [name, least(property)]),
    );
  if (schema.type === "boolean") return false;
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? Number(schema.exclusiveMinimum ?? 0) + 1;
  return "a".repeat(64); // Also the form of a hash.
};

/** N1 */
export const leavesOf = (schema: z.ZodType): readonly Leaf[] => {
  const leaves: Leaf[] = [];
  const visit = (json: Json, path: Path, place: string, tree: (value: unknown) => unknown): void => {
    const leaf = (): void => {
      leaves.push({
        path,
        name: place,
        schema: json,
        shown: json[shownKey] as Shown | undefined,
        tree,
        valid: () => tree(least(json)),
      });
    };
    const groups = members(json).filter(({ type }) => type === "object");
    if (groups.length > 0) {
      for (const [index, group] of groups.entries()) visit(group, path, `${place}<${index}>`, tree);
      return;
    }
    const items = json.items;
    if (json.type === "array" && object(items)) {
      leaf();
      const others = (least(json) as unknown[]).slice(1);
      visit(items, [...path, 0], `${place}[]`, (value) => tree([value, ...others]));
      return;
    }
    if (json.type !== "object" || json.properties === undefined) {
      leaf();
      return;
    }
    const given = least(json) as Record<string, unknown>;
    for (const [name, property] of properties(json))
      visit(property, [...path, name], place === "" ? name : `${place}.${name}`, (value) => tree({ ...given, [name]: value }));
  };
  visit(configSchema(schema), [], "", (value) => value);
  return leaves;
};

export const isText = ({ schema }: Leaf): boolean =>
  schema.type === "string" && schema.enum === undefined && schema.const === undefined;

/** 64 characters of hexadecimal: fits wherever a name, a hash, a path or a part of a URL fits. */
export const newCanary = (): string => `cafe${randomBytes(30).toString("hex")}`;

/** Shapes that a secret may have in a text: bare, a path, and each part of a URL. */
export const shapesOf = (canary: string): readonly string[] => [
  canary,
  canary.slice(0, 40),
  `/nowhere/${canary}/file`,
  `./${canary}.json`,
  `nats://127.0.0.1:1/?token=${canary}`,
  `nats://someone:${canary}@127.0.0.1:1`,
  `nats://${canary}@127.0.0.1:1`,
  `nats://127.0.0.1:1/${canary}#${canary}`,
  `nats://someone:pass/${canary}@127.0.0.1:1`,
  `http://user:${canary}@[::1]:1/${canary}`,
  `${canary}:${canary}@127.0.0.1`,
  `!${canary} ${canary}`,
  `{"password": "${canary}"}`,
  `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`,
];

const windowLength = 8;

/** N2 The first place of the text that tells the canary; undefined: none. */
export const leakIn = (text: string, canary: string): string | undefined => {
  for (let start = 0; start + windowLength <= canary.length; start++) {
    const at = text.indexOf(canary.slice(start, start + windowLength));
    if (at >= 0) return text.slice(Math.max(0, at - 80), at + 60);
  }
  return undefined;
};

/** Everything that an error carries, as text. */
export const allOf = (error: unknown, depth = 0): string => {
  if (!(error instanceof Error) || depth > 8) return JSON.stringify(error) ?? String(error);
  const own = Object.fromEntries(Object.getOwnPropertyNames(error).map((name) => [name, Reflect.get(error, name)]));
  const { cause, ...rest } = own;
  return `${error.name}\n${String(error)}\n${error.stack}\n${JSON.stringify(rest)}\n${cause === undefined ? "" : allOf(cause, depth + 1)}`;
};
