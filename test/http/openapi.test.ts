/** The document says what the server does: every route, every reference, the roles of the one table. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommandLine } from "../../src/cli/program.ts";
import { ViewConfig } from "../../src/contracts/config-view.ts";
import { commandKinds, commandRules, personRoles } from "../../src/contracts/roles.ts";
import { commandRoutes } from "../../src/http/command-routes.ts";
import { apiVersion, openApiDocument, routeTable } from "../../src/http/openapi.ts";
import { temporaryFolder } from "../bus/support.ts";
import { createTestContext } from "../cli/context.ts";
import { clock, type Door, done, openDoor } from "./support.ts";

type Json = { readonly [name: string]: unknown };
const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null;

interface Shape {
  readonly openapi: string;
  readonly paths: Record<
    string,
    Record<
      string,
      Json & {
        readonly "x-roles": string[];
        readonly responses: Json;
        readonly operationId: string;
        readonly parameters: Json[];
        readonly security: unknown[];
      }
    >
  >;
  readonly components: { readonly schemas: Record<string, Json>; readonly securitySchemes: Json };
}

const document = JSON.parse(JSON.stringify(openApiDocument(apiVersion))) as Shape;
const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
);

/** Every object inside, with its place. */
const within = function* (value: unknown, place = "#"): Generator<[string, Json]> {
  if (!isJson(value)) return;
  yield [place, value];
  for (const [name, inner] of Object.entries(value))
    yield* within(inner, `${place}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
};

let door: Door;
const served: string[] = [];
beforeAll(async () => {
  door = await openDoor({
    gate: done,
    onRoute: (method, url) => served.push(`${method} ${url}`),
    ports: {
      artifacts: { has: () => false, read: async () => undefined },
      view: {
        config: ViewConfig.parse({}),
        streamsMax: 1,
        clock,
        signal: new AbortController().signal,
        live: undefined,
        recorded: { list: async () => [], events: async () => undefined, checkpoints: async () => undefined },
        machines: [],
      },
    },
  });
});
afterAll(() => door.close());

/** The exact routes of rows E56 to E73, G16 and H22 to H25. */
const rows = [
  "POST /blueprints",
  "GET /blueprints/{id}",
  "GET /kernels/{id}",
  "POST /kernels/{id}/status",
  "POST /step",
  "POST /analyze",
  "GET /policy/status",
  "GET /policy/version",
  "POST /policy/load",
  "POST /policy/update",
  "GET /decisions/history",
  "POST /training/experience",
  "POST /seeds/{id}/germinate",
  "GET /seeds/{id}/status",
  "POST /seeds/{id}/transition",
  "POST /layers/{id}/load_kernel",
  "GET /layers/{id}/stats",
  "POST /layers/{id}/unload_kernel",
  "POST /escalations/{id}/resolve",
  "GET /health",
  "GET /metrics",
  "GET /alerts",
  "GET /performance",
];

it("E56–E73 G16 H22–H25 every route of the specification is there", () => {
  expect(rows.filter((row) => !documented.includes(row))).toEqual([]);
});

it("every route that is served is described, and the other way round", () => {
  // Pages for people are no API.
  const described = served
    .filter((route) => !/ \/docs|^HEAD |^OPTIONS | \/$| \*$/.test(route))
    .map((route) => route.replaceAll(/:(\w+)/g, "{$1}"));
  expect([...new Set(described)].sort()).toEqual([...documented].sort());
});

describe("a known path with a method that it does not take", () => {
  const wrong = Object.entries(document.paths).flatMap(([path, methods]) =>
    (["GET", "POST", "PUT"] as const)
      .filter((method) => !(method.toLowerCase() in methods))
      .map((method) => [method, path, Object.keys(methods)] as const),
  );

  it("is 405, and says in `Allow` and in words which it takes", async () => {
    expect(wrong.length).toBeGreaterThan(documented.length);
    for (const [method, path, methods] of wrong) {
      const answer = await door.ask("admin", method, path.replaceAll(/\{\w+\}/g, "x"), method === "GET" ? undefined : {});
      const taken = methods.flatMap((each) => (each === "get" ? ["GET", "HEAD"] : [each.toUpperCase()])).sort();
      expect([answer.statusCode, answer.headers.allow], `${method} ${path}`).toEqual([405, taken.join(", ")]);
      expect(answer.headers["content-type"]).toContain("application/problem+json");
      expect(answer.json()).toMatchObject({
        title: "Method Not Allowed",
        status: 405,
        detail: expect.stringContaining(`expected ${taken.join(" or ")} on this path`),
      });
    }
  });

  it("an unknown path stays 404, whatever the method", async () => {
    for (const path of ["/nothing", "/seeds/x/nothing", "/seedsx", "/SEEDS"])
      for (const method of ["GET", "POST", "PUT"] as const) {
        const answer = await door.ask("admin", method, path, method === "GET" ? undefined : {});
        expect([path, answer.statusCode, answer.headers.allow]).toEqual([path, 404, undefined]);
      }
  });
});

it("every reference resolves, and none leads out of the document", () => {
  const refs = [...within(document)].flatMap(([place, value]) =>
    typeof value.$ref === "string" ? [[place, value.$ref] as const] : [],
  );
  expect(refs.length).toBeGreaterThan(100);
  for (const [place, ref] of refs) {
    expect(ref, place).toMatch(/^#\/components\/schemas\/\w+$/);
    expect(document.components.schemas[ref.split("/").at(-1)!], `${place} → ${ref}`).toBeDefined();
  }
  const mapped = [...within(document)].flatMap(([, value]) => (isJson(value.mapping) ? Object.values(value.mapping) : []));
  for (const ref of mapped) expect(document.components.schemas[String(ref).split("/").at(-1)!], String(ref)).toBeDefined();
});

describe("what OpenAPI 3.1 asks for", () => {
  it("version, unique operation ids, an answer everywhere, path parameters that are declared and required", () => {
    expect(document.openapi).toBe("3.1.0");
    const ids = new Set<string>();
    for (const [path, methods] of Object.entries(document.paths))
      for (const operation of Object.values(methods)) {
        expect(ids.has(operation.operationId), operation.operationId).toBe(false);
        ids.add(operation.operationId);
        expect(Object.keys(operation.responses).every((status) => /^([1-5]\d\d|[1-5]XX|default)$/.test(status))).toBe(true);
        for (const answer of Object.values(operation.responses))
          expect(isJson(answer) && typeof answer.description).toBe("string");
        const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        const declared = operation.parameters.filter((each) => each.in === "path");
        expect(declared.map(({ name }) => name)).toEqual(named);
        expect(declared.every(({ required }) => required === true)).toBe(true);
        const keys = operation.parameters.map((each) => `${each.in} ${each.name}`);
        expect(new Set(keys).size).toBe(keys.length);
      }
  });

  it("no schema carries a dialect of its own or definitions that cannot be reached", () => {
    for (const [place, value] of within(document.components)) {
      expect("$schema" in value, place).toBe(false);
      expect("$defs" in value, place).toBe(false);
    }
  });
});

it("roles are those of the table, and only what anybody may ask needs no token", () => {
  for (const { method, path, kind } of commandRoutes) {
    const operation = document.paths[path]?.[method.toLowerCase()];
    expect(operation?.["x-roles"], path).toEqual(personRoles.filter((role) => commandRules[kind].roles.includes(role)));
    expect(JSON.stringify(operation?.security).includes("{}"), path).toBe(commandRules[kind].roles.includes("anonymous"));
  }
  expect(routeTable()).toHaveLength(documented.length - 1);
});

it("a body has no field that the path says; every kind has a schema", () => {
  const body = document.components.schemas.GerminateBody;
  expect(Object.keys(body?.properties as Json)).toEqual(expect.arrayContaining(["toSite", "blueprint", "requestId"]));
  expect(Object.keys(body?.properties as Json)).not.toEqual(expect.arrayContaining(["seedId"]));
  expect(body?.required).toBeUndefined();
  expect(document.components.schemas.ResolveBody?.required).toEqual(["verdict"]);
  for (const kind of commandKinds)
    expect(
      isJson(document.components.schemas.Command?.discriminator) &&
        Object.keys((document.components.schemas.Command.discriminator as { mapping: Json }).mapping),
    ).toContain(kind);
});

it("is served as it is, and printed without a node", async () => {
  const answer = await door.ask(undefined, "GET", "/openapi.json");
  expect(answer.json()).toEqual(document);
  const { context, out } = createTestContext(() => Promise.reject(new Error("no node is needed")));
  expect(await runCommandLine(["openapi"], context)).toBe(0);
  expect(JSON.parse(out.text())).toEqual(document);
  const folder = await temporaryFolder();
  expect(await runCommandLine(["openapi", "--out", join(folder.path, "api.json")], context)).toBe(0);
  expect(JSON.parse(await readFile(join(folder.path, "api.json"), "utf8"))).toEqual(document);
  await folder.remove();
});

it("the page that shows it loads nothing from elsewhere and runs no inline script", async () => {
  const page = await door.ask(undefined, "GET", "/docs/");
  expect(page.statusCode).toBe(200);
  expect(page.headers["content-security-policy"]).toContain("script-src 'self'");
  expect(page.headers["content-security-policy"]).not.toContain("unsafe");
  const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source!);
  expect(sources.length).toBeGreaterThan(4);
  for (const source of sources) {
    const url = new URL(source, "http://localhost/docs/");
    expect(url.host).toBe("localhost");
    expect((await door.ask(undefined, "GET", url.pathname)).statusCode, url.pathname).toBe(200);
  }
  expect([...page.body.matchAll(/<script[^>]*>([^<]*)/g)].map(([, text]) => text!.trim())).toEqual(Array(3).fill(""));
  expect(page.body).not.toContain("<style");
});
