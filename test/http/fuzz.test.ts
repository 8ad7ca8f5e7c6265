/** Whatever a client sends: an answer, typed, and no change by somebody who may not. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import { commandKinds, commandRules, mayCommand } from "../../src/contracts/roles.ts";
import { commandRoutes } from "../../src/http/command-routes.ts";
import { Problem } from "../../src/http/problem.ts";
import { judgeRequest } from "../../src/machines/gate.ts";
import { commandExamples } from "../support/commands.ts";
import { type Asked, type Door, openDoor } from "./support.ts";

const control = ControlConfig.parse({});
const memory = { recall: () => undefined, counted: () => undefined };
const changed: Asked[] = [];

/** The Gate's own judgement, and what it would have let through. */
const judge = (asked: Asked): CommandReceipt => {
  const verdict = judgeRequest(
    { by: { ...asked.by, transport: "http" }, command: asked.command, bytes: asked.bytes, traceId: "0".repeat(32) },
    memory,
    control,
    1,
  );
  if (verdict.kind === "answered") return verdict.receipt;
  const { requestId, kind } = verdict.command;
  if (commandRules[kind].access === "change") changed.push(asked);
  return { kind: "done", requestId, detail: "done" };
};

let door: Door;
beforeAll(async () => {
  door = await openDoor({ gate: judge });
});
afterAll(() => door.close());

/** What every answer must be. */
const expectTyped = (answer: {
  readonly statusCode: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}): void => {
  expect(answer.statusCode).toBeGreaterThanOrEqual(200);
  expect(answer.statusCode, answer.body.slice(0, 300)).not.toBe(500);
  expect(answer.headers["x-content-type-options"]).toBe("nosniff");
  const type = String(answer.headers["content-type"]);
  if (type.startsWith("application/problem+json")) expect(Problem.safeParse(JSON.parse(answer.body)).success).toBe(true);
  else if (answer.statusCode >= 400 && type.startsWith("application/json"))
    expect(CommandReceipt.safeParse(JSON.parse(answer.body)).success).toBe(true);
  else if (answer.statusCode >= 400) expect(type).toMatch(/^application\/(problem\+)?json/);
};

const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "../../etc/passwd",
    "%00",
    "\u0000",
    "\u202e",
    "<script>alert(1)</script>",
    "'; DROP TABLE commands; --",
    "$ne",
    "{{7*7}}",
    "seed:".repeat(40),
    "💥".repeat(50),
  ),
);
const value = fc.oneof(
  hostile,
  fc.json({ maxDepth: 4 }).map((text): unknown => JSON.parse(text)),
  fc.double(),
  fc.integer(),
  fc.constant(null),
  fc.boolean(),
);

/** A command with something wrong in it, or right. */
const command = fc.oneof(
  fc.record(
    { kind: fc.oneof(fc.constantFrom(...commandKinds), hostile), requestId: value, seedId: value, reason: value, hash: value },
    { requiredKeys: [] },
  ),
  fc
    .tuple(fc.constantFrom(...commandKinds), fc.dictionary(hostile, value, { maxKeys: 3 }))
    .map(([kind, more]) => ({ ...commandExamples[kind], ...more })),
  fc.constantFrom(...commandKinds).map((kind) => commandExamples[kind]),
  value,
);
const headerValue = fc.string({ maxLength: 100 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, "?").trim());
const headers = fc.dictionary(
  fc.constantFrom(
    "idempotency-key",
    "traceparent",
    "request-timeout",
    "x-deadline-ms",
    "accept",
    "range",
    "if-none-match",
    "if-range",
    "x-forwarded-for",
    "x-http-method-override",
    "content-encoding",
    "expect",
    "cookie",
  ),
  fc.oneof(headerValue, fc.constantFrom("0.01", "1e308", "-1", "gzip", "bytes=0-", "9".repeat(15), "100-continue")),
  { maxKeys: 4 },
);

const runs = { seed: 11 };

describe("nobody without a token", () => {
  it("changes anything by any body of POST /commands", async () => {
    const before = changed.length;
    await fc.assert(
      fc.asyncProperty(command, headers, async (body, more) => {
        const payload = JSON.stringify(body) ?? "";
        const answer = await door.app.inject({
          method: "POST",
          url: "/commands",
          payload,
          headers: { host: "localhost", "content-type": "application/json", ...more },
        });
        expectTyped(answer);
      }),
      { ...runs, numRuns: 2_000 },
    );
    expect(changed.length).toBe(before);
  });

  it("changes anything by any path", async () => {
    const before = changed.length;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"),
        fc.oneof(
          fc.webPath(),
          fc
            .tuple(fc.constantFrom(...commandRoutes), hostile)
            .map(([{ path }, id]) => path.replace("{id}", encodeURIComponent(id))),
          fc
            .tuple(fc.constantFrom("/artifacts/", "/docs/", "/docs/static/", "/view/runs/", "/assets/", "/"), hostile)
            .map(([path, rest]) => path + encodeURIComponent(rest)),
          fc.constantFrom(
            "//",
            "/..",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/docs/static/..%2f..%2fpackage.json",
            "/%",
            "/%zz",
            `/${"a".repeat(3_000)}`,
          ),
        ),
        fc.webQueryParameters(),
        async (method, path, query) => {
          const answer = await door.app.inject({
            method: method as "GET",
            url: `${path}?${query}`,
            headers: { host: "localhost" },
          });
          expect(answer.statusCode, `${method} ${path}`).not.toBe(500);
          expect(answer.body).not.toContain("root:");
          expect(answer.body).not.toContain('"dependencies"');
        },
      ),
      { ...runs, numRuns: 2_000 },
    );
    expect(changed.length).toBe(before);
  });
});

it("somebody with a token changes only what fits its schema and its role", async () => {
  const tokens = {
    observer: await door.token("observer"),
    developer: await door.token("developer"),
    admin: await door.token("admin"),
  };
  const before = changed.length;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("observer", "developer", "admin" as const), command, headers, async (role, body, more) => {
      const payload = JSON.stringify(body) ?? "";
      const answer = await door.app.inject({
        method: "POST",
        url: "/commands",
        payload,
        headers: {
          host: "localhost",
          "content-type": "application/json",
          ...more,
          authorization: `Bearer ${tokens[role as "admin"]}`,
        },
      });
      expectTyped(answer);
    }),
    { ...runs, numRuns: 2_000 },
  );
  const passed = changed.slice(before);
  expect(passed.length).toBeGreaterThan(50);
  for (const { by, command: given } of passed) {
    const fits = KasminaControlCommand.parse(given);
    expect(mayCommand(by.role, fits.kind)).toBe(true);
  }
});

it("bytes that are no JSON are 400 or 415, never more", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 400 }),
      fc.constantFrom("application/json", "application/json; charset=utf-16", "text/json", "application/xml", ""),
      async (bytes, type) => {
        const answer = await door.app.inject({
          method: "POST",
          url: "/commands",
          payload: Buffer.from(bytes),
          headers: { host: "localhost", "content-type": type },
        });
        expectTyped(answer);
      },
    ),
    { ...runs, numRuns: 500 },
  );
});
