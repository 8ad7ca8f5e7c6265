/**
 * A command out of a request: path, query, body and headers. Pure. What the fields may be, the Gate judges; here they are only brought
 * together.
 *
 * Q1 A field has one value: said in two places it must be the same in both.
 * Q2 A query's text becomes a number, a truth value or a list where the field's schema has one.
 */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { type CommandRoute, fieldSchemasOf } from "./command-routes.ts";

export interface CommandSource {
  readonly id?: string | undefined;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
  /** The Idempotency-Key header as it came. */
  readonly key: string | undefined;
}

export type BuiltCommand =
  | { readonly kind: "command"; readonly command: Readonly<Record<string, unknown>> }
  | { readonly kind: "unfit"; readonly detail: string };

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** The draft's header is a quoted string (draft-ietf-httpapi-idempotency-key-header); bare text is taken as well. */
const keyOf = (header: string): string => /^"(.*)"$/.exec(header)?.[1] ?? header;

const numeric = (text: string): string | number => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/** Q2 */
const fromText = (value: unknown, schema: z.core.JSONSchema.BaseSchema | undefined): unknown => {
  if (schema?.type === "array") return (Array.isArray(value) ? value : [value]).flatMap((each) => String(each).split(","));
  if (typeof value !== "string") return value;
  switch (schema?.type) {
    case "integer":
    case "number":
      return numeric(value);
    case "boolean":
      return value === "true" ? true : value === "false" ? false : value;
    default:
      return value;
  }
};

const seedOf = (id: string): string => (id.startsWith("seed:") ? id : `seed:${id}`);

const built = (parts: readonly Fields[], newId: () => string): BuiltCommand => {
  const merged = new Map<string, unknown>();
  for (const [name, value] of parts.flatMap((part) => Object.entries(part))) {
    // Q1
    if (merged.has(name) && !isDeepStrictEqual(merged.get(name), value))
      return { kind: "unfit", detail: `expected one value of ${name.slice(0, 64)}, got two; say it in one place` };
    merged.set(name, value);
  }
  if (!merged.has("requestId")) merged.set("requestId", newId());
  return { kind: "command", command: Object.fromEntries(merged) };
};

const keyFields = (key: string | undefined): Fields => (key === undefined ? {} : { requestId: keyOf(key) });

const bodyFields = (body: unknown): Fields | undefined => (body === undefined ? {} : isFields(body) ? body : undefined);

const noObject: BuiltCommand = {
  kind: "unfit",
  detail: "expected a JSON object with the command's fields as the body, got something else",
};

/** How the route's requests become its command; the field's schemas are looked up once. */
export const commandBuilder = ({
  method,
  kind,
  id: idField,
}: CommandRoute): ((source: CommandSource, newId: () => string) => BuiltCommand) => {
  const schemas = fieldSchemasOf(kind);
  return ({ id, query, body, key }, newId) => {
    const queried = Object.entries(query);
    if (method === "POST" && queried.length > 0)
      return { kind: "unfit", detail: "expected the command's fields in the body, got a query; send them as JSON" };
    const given = method === "GET" ? {} : bodyFields(body);
    if (given === undefined) return noObject;
    const named: Fields =
      idField === undefined || id === undefined ? {} : { [idField.field]: idField.of === "seed" ? seedOf(id) : id };
    const asked = Object.fromEntries(queried.map(([name, value]) => [name, fromText(value, schemas[name])]));
    return built([{ kind }, named, given, asked, keyFields(key)], newId);
  };
};

/** A command as it stands in the body. */
export const anyCommand = (body: unknown, key: string | undefined, newId: () => string): BuiltCommand => {
  const given = bodyFields(body);
  return given === undefined || body === undefined ? noObject : built([given, keyFields(key)], newId);
};
