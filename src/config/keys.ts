/** Every key of the configuration, read off its zod schema: for the environment's names, for "did you mean", for the reference. */
import { z } from "zod";
import { EsperConfig } from "../contracts/config.ts";
import { type Shown, shownOf } from "../contracts/shown.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Where a JSON Schema made here carries what `shownOf` says. */
export const shownKey = "x-shown";

/** As JSON Schema, with what its texts say of being seen. */
export const configSchema = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, {
    io: "input",
    override: ({ zodSchema, jsonSchema }) => {
      const seen = shownOf(zodSchema);
      if (seen !== undefined) jsonSchema[shownKey] = seen;
    },
  });

export interface ConfigKey {
  /** From the root, for example `["optimization", "epochs"]`. */
  readonly path: readonly string[];
  /** What a value must be, in words. */
  readonly expected: string;
  /** True for a group of keys. */
  readonly group: boolean;
  /** True for a list of values. */
  readonly list: boolean;
  /** The default as JSON; absent when there is none. */
  readonly fallback: unknown;
  readonly description: string;
  /** Where its texts, or those of its list, are seen; undefined: they are secrets. */
  readonly shown: Shown | undefined;
  /** The member of a union that this key belongs to, for example `mode: external`. */
  readonly onlyWith: string | undefined;
}

/** A group whose keys depend on the value of one of them. */
export interface ConfigUnion {
  readonly path: readonly string[];
  readonly discriminator: string;
  readonly fallback: string | undefined;
}

export interface ConfigKeys {
  readonly keys: readonly ConfigKey[];
  readonly unions: readonly ConfigUnion[];
  /** Names legal directly under a path (`""` is the root). */
  namesUnder(path: readonly string[]): readonly string[];
}

const propertiesOf = (schema: JsonSchema): [string, JsonSchema][] =>
  Object.entries(schema.properties ?? {}).flatMap(([name, property]) => (typeof property === "object" ? [[name, property]] : []));

const membersOf = (schema: JsonSchema): JsonSchema[] =>
  (schema.oneOf ?? schema.anyOf ?? []).flatMap((member) => (typeof member === "object" ? [member] : []));

/** The property that is a different constant in every member. */
const discriminatorOf = (members: readonly JsonSchema[]): string | undefined => {
  const first = members[0];
  if (!first) return undefined;
  return propertiesOf(first).find(([name]) =>
    members.every((member) => propertiesOf(member).some(([other, schema]) => other === name && schema.const !== undefined)),
  )?.[0];
};

const integerMax = Number.MAX_SAFE_INTEGER;

const rangeOf = (schema: JsonSchema): string => {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  const low = exclusiveMinimum !== undefined ? `> ${exclusiveMinimum}` : minimum !== undefined ? `≥ ${minimum}` : "";
  const high =
    exclusiveMaximum !== undefined
      ? `< ${exclusiveMaximum}`
      : maximum !== undefined && maximum < integerMax
        ? `≤ ${maximum}`
        : "";
  if (minimum !== undefined && minimum > -integerMax && maximum !== undefined && maximum < integerMax)
    return ` ${minimum} to ${maximum}`;
  return [low, high]
    .filter((part) => part !== "")
    .map((part) => ` ${part}`)
    .join(" and");
};

/** What a value must be, in words, for messages and the reference. */
export const expectedOf = (schema: JsonSchema): string => {
  if (schema.enum)
    return schema.enum.length === 1 ? `\`${schema.enum[0]}\`` : schema.enum.map((value) => `\`${value}\``).join(" or ");
  if (schema.const !== undefined) return `\`${schema.const}\``;
  const members = membersOf(schema);
  if (members.length > 0) {
    const name = discriminatorOf(members);
    if (name === undefined) return members.map(expectedOf).join(" or ");
    return `group chosen by \`${name}\``;
  }
  switch (schema.type) {
    case "integer":
      return `integer${rangeOf(schema)}`;
    case "number":
      return `number${rangeOf(schema)}`;
    case "boolean":
      return "true or false";
    case "array": {
      const items = typeof schema.items === "object" && !Array.isArray(schema.items) ? expectedOf(schema.items) : "values";
      return `list of ${schema.minItems ?? 0} to ${schema.maxItems ?? "any number"}: ${items}`;
    }
    case "object":
      return "group";
    default:
      return "text";
  }
};

/** Of a text, or of every item of a list. */
const shownIn = (schema: JsonSchema): Shown | undefined => {
  const items = schema.items;
  if (schema.type === "array" && typeof items === "object" && !Array.isArray(items)) return shownIn(items);
  return schema[shownKey] as Shown | undefined;
};

const isGroup = (schema: JsonSchema): boolean => schema.type === "object" || discriminatorOf(membersOf(schema)) !== undefined;

const walk = (
  schema: JsonSchema,
  path: readonly string[],
  onlyWith: string | undefined,
  keys: ConfigKey[],
  unions: ConfigUnion[],
): void => {
  const members = membersOf(schema);
  const discriminator = discriminatorOf(members);
  if (discriminator !== undefined) {
    const fallback: unknown = schema.default;
    const chosen =
      typeof fallback === "object" && fallback !== null ? (fallback as Record<string, unknown>)[discriminator] : undefined;
    unions.push({ path, discriminator, fallback: typeof chosen === "string" ? chosen : undefined });
    const options = members.map((member) => {
      const property = propertiesOf(member).find(([name]) => name === discriminator)?.[1];
      return { value: String(property?.const), about: property?.description, member };
    });
    keys.push({
      path: [...path, discriminator],
      expected: options.map(({ value }) => `\`${value}\``).join(" or "),
      group: false,
      list: false,
      fallback: chosen,
      shown: undefined,
      description:
        options.flatMap(({ value, about }) => (about ? [`\`${value}\`: ${about}`] : [])).join(" ") || (schema.description ?? ""),
      onlyWith,
    });
    for (const { value, member } of options) {
      for (const [name, property] of propertiesOf(member)) {
        if (name !== discriminator) visit(property, [...path, name], `${discriminator}: ${value}`, keys, unions);
      }
    }
    return;
  }
  for (const [name, property] of propertiesOf(schema)) visit(property, [...path, name], onlyWith, keys, unions);
};

const visit = (
  schema: JsonSchema,
  path: readonly string[],
  onlyWith: string | undefined,
  keys: ConfigKey[],
  unions: ConfigUnion[],
): void => {
  const group = isGroup(schema);
  keys.push({
    path,
    expected: expectedOf(schema),
    group,
    list: schema.type === "array",
    fallback: schema.default,
    description: schema.description ?? "",
    shown: shownIn(schema),
    onlyWith,
  });
  if (group) walk(schema, path, onlyWith, keys, unions);
};

/** Reads a schema's keys, in the schema's order. */
export const readKeys = (schema: z.ZodType): ConfigKeys => {
  const keys: ConfigKey[] = [];
  const unions: ConfigUnion[] = [];
  walk(configSchema(schema), [], undefined, keys, unions);
  const namesUnder = (path: readonly string[]): readonly string[] => {
    const prefix = path.join(".");
    const names = keys.filter((key) => key.path.slice(0, -1).join(".") === prefix).map((key) => key.path.at(-1) ?? "");
    return [...new Set(names)];
  };
  return { keys, unions, namesUnder };
};

export const configKeys: ConfigKeys = readKeys(EsperConfig);

/** `optimization.epochSteps` is `ESPER_OPTIMIZATION__EPOCH_STEPS` in the environment. */
export const environmentName = (path: readonly string[]): string =>
  `ESPER_${path.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join("__")}`;
