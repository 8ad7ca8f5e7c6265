/**
 * The OpenAPI 3.1 document, made of the tables of routes and of roles, and of the schemas that check every message. Nothing in it is
 * written twice.
 */
import { z } from "zod";
import { CommandReceipt } from "../contracts/commands.ts";
import { commandKinds, commandRules, type PersonRole, personRoles } from "../contracts/roles.ts";
import { anyCommandPath, type CommandRoute, commandRoutes, fieldSchemasOf, schemaOf } from "./command-routes.ts";
import { type Operation, operationSchemas, operations } from "./operations.ts";
import { Problem } from "./problem.ts";

type Json = Readonly<Record<string, unknown>>;

export const apiVersion = "0.1.0";

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

const jsonSchema = (schema: z.ZodType, io: "input" | "output"): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
};

/** `load_kernel` → `LoadKernel`. */
const pascal = (name: string): string =>
  name
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");

const commandName = (kind: string): string => `${pascal(kind)}Command`;
const bodyName = (kind: string): string => `${pascal(kind)}Body`;
const receiptName = (kind: string): string => `${pascal(kind)}Receipt`;

const discriminated = (names: readonly string[], kinds: readonly string[]): Json => ({
  oneOf: names.map(ref),
  discriminator: {
    propertyName: "kind",
    mapping: Object.fromEntries(kinds.map((kind, i) => [kind, `#/components/schemas/${names[i]}`])),
  },
});

const without = (schema: Json, names: readonly string[]): Json => {
  const { properties, required, ...rest } = schema;
  const kept = Object.entries(properties ?? {}).filter(([name]) => !names.includes(name));
  const needed = Array.isArray(required) ? required.filter((name) => !names.includes(name)) : [];
  return { ...rest, properties: Object.fromEntries(kept), ...(needed.length === 0 ? {} : { required: needed }) };
};

/** A command's fields without those that the path, the route and the header say. */
const bodyOf = ({ kind, id }: CommandRoute): Json => {
  const schema = without(jsonSchema(schemaOf(kind), "input"), ["kind", ...(id === undefined ? [] : [id.field])]);
  const required = Array.isArray(schema.required) ? schema.required.filter((name) => name !== "requestId") : [];
  const { required: _, ...rest } = schema;
  return required.length === 0 ? rest : { ...rest, required };
};

const posted = commandRoutes.filter(({ method }) => method === "POST");

const schemas = (): Json => {
  const receiptKinds = CommandReceipt.options.map((option) => option.shape.kind.value);
  return {
    Command: discriminated(commandKinds.map(commandName), commandKinds),
    ...Object.fromEntries(commandKinds.map((kind) => [commandName(kind), jsonSchema(schemaOf(kind), "input")])),
    ...Object.fromEntries(posted.map((route) => [bodyName(route.kind), bodyOf(route)])),
    Receipt: discriminated(receiptKinds.map(receiptName), receiptKinds),
    ...Object.fromEntries(
      CommandReceipt.options.map((option) => [receiptName(option.shape.kind.value), jsonSchema(option, "output")]),
    ),
    ...Object.fromEntries(Object.entries(operationSchemas).map(([name, schema]) => [name, jsonSchema(schema, "output")])),
    Problem: jsonSchema(Problem, "output"),
  };
};

const headerParameters: readonly Json[] = [
  {
    name: "Request-Timeout",
    in: "header",
    description: "Seconds that the client waits.",
    schema: { type: "number", exclusiveMinimum: 0 },
  },
  {
    name: "X-Deadline-Ms",
    in: "header",
    description: "Until when the client waits, in milliseconds since the Unix epoch.",
    schema: { type: "number", exclusiveMinimum: 0 },
  },
  {
    name: "traceparent",
    in: "header",
    description: "The trace that the command belongs to (W3C Trace Context).",
    schema: { type: "string" },
  },
];

const idempotencyKey: Json = {
  name: "Idempotency-Key",
  in: "header",
  description: "The command's requestId: sent again with it, the first receipt is given again and nothing is done twice.",
  schema: { type: "string", minLength: 1, maxLength: 128 },
};

const receiptAnswers = (access: "read" | "change"): Json => {
  const receipt = (description: string): Json => ({ description, content: { "application/json": { schema: ref("Receipt") } } });
  const refused = (description: string): Json => ({
    description,
    content: {
      "application/json": { schema: ref(receiptName("refused")) },
      "application/problem+json": { schema: ref("Problem") },
    },
  });
  return {
    200: receipt("Answered, or carried out."),
    ...(access === "read"
      ? {}
      : { 201: receipt("Stored."), 202: receipt("Accepted; it takes effect at the next window. Or held for approval.") }),
    401: refused("For somebody who says who it is."),
    403: refused("Not for this role."),
    429: refused("More than the role may send in a minute; Retry-After says when again."),
    "4XX": refused("Refused, with a code and a reason."),
    "5XX": refused("Not now; Retry-After says when again."),
  };
};

/** Whether it can be asked without a token. */
const security = (roles: readonly string[]): Json =>
  roles.includes("anonymous") ? { security: [{}, { bearer: [] }] } : { security: [{ bearer: [] }] };

const forRoles = (roles: readonly string[]): Json => ({
  "x-roles": personRoles.filter((role) => roles.includes(role)),
  ...security(roles),
});

const operationId = (method: string, path: string): string =>
  [method.toLowerCase(), ...path.split(/[/{}.]+/).filter((part) => part !== "")]
    .map((part, i) => (i === 0 ? part : pascal(part)))
    .join("");

const tagOf = (path: string): string => path.split("/")[1] ?? "";

const idSchemas: Readonly<Record<NonNullable<CommandRoute["id"]>["of"], string>> = {
  seed: "A seed, for example `seed:h2`; or a layer, which stands for its first seed.",
  layer: "A layer, for example `h2`.",
  hash: "SHA-256, 64 hexadecimal digits.",
};

const commandOperation = (route: CommandRoute): Json => {
  const { method, path, kind, id, about } = route;
  const { access, roles } = commandRules[kind];
  const path_ =
    id === undefined
      ? []
      : [{ name: "id", in: "path", required: true, description: idSchemas[id.of], schema: { type: "string" } }];
  const query =
    method === "POST"
      ? []
      : Object.entries(fieldSchemasOf(kind))
          .filter(([name]) => name !== "kind" && name !== "requestId" && name !== id?.field)
          .map(([name, schema]) => ({ name, in: "query", schema }));
  const body = method === "GET" ? {} : { requestBody: { content: { "application/json": { schema: ref(bodyName(kind)) } } } };
  return {
    operationId: operationId(method, path),
    tags: [tagOf(path)],
    summary: about,
    description: `The command \`${kind}\`.`,
    ...forRoles(roles),
    parameters: [...path_, ...query, ...(method === "POST" ? [idempotencyKey] : []), ...headerParameters],
    ...body,
    responses: receiptAnswers(access),
  };
};

const anyOperation: Json = {
  operationId: "postCommands",
  tags: ["commands"],
  summary: "Any command, as it is.",
  description: "Who may send which kind, `x-roles` of the kind's own route or the README's table says.",
  ...forRoles(personRoles),
  parameters: [idempotencyKey, ...headerParameters],
  requestBody: { required: true, content: { "application/json": { schema: ref("Command") } } },
  responses: receiptAnswers("change"),
};

const plainOperation = ({ path, about, roles, parameters = [], answers }: Operation): Json => ({
  operationId: operationId("GET", path),
  tags: [tagOf(path)],
  summary: about,
  ...forRoles(roles),
  parameters: parameters.map((each) => ({
    name: each.name,
    in: each.in,
    ...(each.in === "path" ? { required: true } : {}),
    description: each.about,
    schema: { type: "string" },
  })),
  responses: {
    ...Object.fromEntries(
      Object.entries(answers).map(([status, { about: description, schema, type }]) => [
        status,
        {
          description,
          ...(schema === undefined && type === undefined
            ? {}
            : {
                content: {
                  [schema === "Problem" ? "application/problem+json" : (type ?? "application/json")]: {
                    schema: schema === undefined ? {} : ref(schema),
                  },
                },
              }),
        },
      ]),
    ),
    "4XX": { description: "Refused.", content: { "application/problem+json": { schema: ref("Problem") } } },
    "5XX": { description: "Not now.", content: { "application/problem+json": { schema: ref("Problem") } } },
  },
});

/** Who may ask what by which route: what the document says, for tests and tables. */
export const routeTable = (): readonly {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly roles: readonly PersonRole[];
}[] => [
  ...commandRoutes.map(({ method, path, kind }) => ({
    method,
    path,
    roles: personRoles.filter((role) => commandRules[kind].roles.includes(role)),
  })),
  ...operations.map(({ path, roles }) => ({ method: "GET" as const, path, roles })),
];

export const openApiDocument = (version: string): Json => {
  const paths = new Map<string, Record<string, Json>>();
  const add = (method: string, path: string, operation: Json): void => {
    paths.set(path, { ...paths.get(path), [method.toLowerCase()]: operation });
  };
  for (const route of commandRoutes) add(route.method, route.path, commandOperation(route));
  add("POST", anyCommandPath, anyOperation);
  for (const operation of operations) add("GET", operation.path, plainOperation(operation));
  return {
    openapi: "3.1.0",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "Esper",
      version,
      description:
        "Every change goes through one gate, here as over NATS, and ends in a receipt. A token is made by `esper token`; without one a client is anonymous.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "This node" }],
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "Made by `esper token`." } },
      schemas: schemas(),
    },
  };
};
