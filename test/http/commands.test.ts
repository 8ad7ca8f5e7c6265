/** Requests become commands, receipts become answers. */
import { afterEach, describe, expect, it } from "vitest";
import { type CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import { commandRoutes } from "../../src/http/command-routes.ts";
import { problemType } from "../../src/http/problem.ts";
import { refusalStatus } from "../../src/http/receipt.ts";
import { commandExamples } from "../support/commands.ts";
import { type Door, done, openDoor } from "./support.ts";

let door: Door;
afterEach(() => door.close());

describe("a route is its command", () => {
  it.each(commandRoutes)("$method $path: $kind", async ({ method, path, kind, id }) => {
    door = await openDoor({ gate: done });
    const { requestId: _, kind: __, ...example } = commandExamples[kind] as Record<string, unknown>;
    const value = id === undefined ? undefined : String(example[id.field]);
    const fields = Object.fromEntries(Object.entries(example).filter(([name]) => name !== id?.field));
    const url = path.replace("{id}", encodeURIComponent(value ?? ""));
    const query = new URLSearchParams(
      Object.entries(fields).flatMap(([name, each]) =>
        Array.isArray(each)
          ? each.map((one): [string, string] => [name, String(one)])
          : [[name, String(each)] as [string, string]],
      ),
    );
    const answer =
      method === "GET"
        ? await door.ask("admin", "GET", `${url}?${query}`, undefined, { "idempotency-key": "q" })
        : await door.ask("admin", "POST", url, fields, { "idempotency-key": "q" });
    expect(answer.statusCode).toBe(200);
    expect(KasminaControlCommand.parse(door.asked[0]?.command)).toEqual(commandExamples[kind]);
    expect(door.asked[0]?.by).toEqual({ principal: "admin", role: "admin" });
  });

  it("a layer stands for its first seed; a seed's id is taken with its colon escaped or not", async () => {
    door = await openDoor({ gate: done });
    for (const id of ["h2", "seed:h2", "seed%3Ah2"]) await door.ask("operator", "GET", `/seeds/${id}/status`);
    await door.ask("operator", "POST", "/seeds/h2.prune/germinate", {});
    expect(door.asked.map(({ command }) => (command as { seedId: string }).seedId)).toEqual([
      "seed:h2",
      "seed:h2",
      "seed:h2",
      "seed:h2.prune",
    ]);
  });

  it("any command goes by POST /commands; its size as it came is told", async () => {
    door = await openDoor({ gate: done });
    const body = { kind: "cull", seedId: "seed:h2", requestId: "c-1" };
    const answer = await door.ask("operator", "POST", "/commands", body);
    expect(answer.json()).toEqual({ kind: "done", requestId: "c-1", detail: "done" });
    expect(door.asked).toEqual([
      { by: { principal: "operator", role: "operator" }, command: body, bytes: Buffer.byteLength(JSON.stringify(body)) },
    ]);
  });

  it("no body is none of the fields; without an id of its own a request gets a new one", async () => {
    door = await openDoor({ gate: done });
    const first = await door.ask("operator", "POST", "/step");
    const second = await door.ask("operator", "POST", "/step", undefined, { "content-type": "application/json" });
    const ids = [first, second].map((answer) => answer.json().requestId as string);
    expect(ids.every((id) => /^http-\w{18}$/.test(id))).toBe(true);
    expect(ids[0]).not.toBe(ids[1]);
  });
});

describe("Q1 a field has one value", () => {
  it.each([
    ["id in path and body", "/seeds/h2/germinate", { seedId: "seed:h3" }, {}],
    ["kind in path and body", "/seeds/h2/germinate", { kind: "cull" }, {}],
    ["request id in header and body", "/commands", { kind: "status", requestId: "a" }, { "idempotency-key": "b" }],
  ])("%s: 400, and nothing is asked", async (_, url, body, headers) => {
    door = await openDoor({ gate: done });
    const answer = await door.ask("operator", "POST", url, body, headers);
    expect([answer.statusCode, answer.headers["content-type"]]).toEqual([400, problemType]);
    expect(door.asked).toEqual([]);
  });

  it("said twice and equal, it is taken; a quoted key is what stands in the quotes", async () => {
    door = await openDoor({ gate: done });
    const body = { kind: "germinate", seedId: "seed:h2", requestId: "a" };
    await door.ask("operator", "POST", "/seeds/h2/germinate", body, { "idempotency-key": '"a"' });
    expect(door.asked[0]?.command).toEqual(body);
  });
});

describe("what is no command", () => {
  it.each([
    ["a list", "[]", "application/json", 400],
    ["a text", '"x"', "application/json", 400],
    ["no JSON", "{", "application/json", 400],
    ["a prototype", '{"__proto__":{"role":"admin"}}', "application/json", 400],
    ["65 deep", `{"a":${"[".repeat(64)}${"]".repeat(64)}}`, "application/json", 400],
    ["a form", "kind=status", "application/x-www-form-urlencoded", 415],
    ["plain text", '{"kind":"status"}', "text/plain", 415],
  ])("%s: refused, and nothing is asked", async (_, payload, type, status) => {
    door = await openDoor({ gate: done });
    const headers = { host: "localhost", "content-type": type };
    const answer = await door.app.inject({ method: "POST", url: "/commands", payload, headers });
    expect([answer.statusCode, answer.headers["content-type"]]).toEqual([status, problemType]);
    expect(door.asked).toEqual([]);
  });

  it("64 deep is carried on; brackets in a text are no depth", async () => {
    door = await openDoor({ gate: done });
    for (const payload of [`{"a":${"[".repeat(63)}${"]".repeat(63)}}`, JSON.stringify({ a: '\\"['.repeat(100) })])
      expect(
        (
          await door.app.inject({
            method: "POST",
            url: "/commands",
            payload,
            headers: { host: "localhost", "content-type": "application/json" },
          })
        ).statusCode,
      ).toBe(200);
  });

  it("a body at its bound is taken, one byte more is 413", async () => {
    door = await openDoor({ gate: done, config: { bodyBytesMax: 1024 } });
    const send = (bytes: number) => door.ask("operator", "POST", "/commands", { a: "x".repeat(bytes - '{"a":""}'.length) });
    expect((await send(1024)).statusCode).toBe(200);
    const answer = await send(1025);
    expect([answer.statusCode, answer.headers["content-type"]]).toEqual([413, problemType]);
    expect(door.asked).toHaveLength(1);
  });

  it("a query beside a body is refused", async () => {
    door = await openDoor({ gate: done });
    expect((await door.ask("operator", "POST", "/seeds/h2/germinate?toSite=h3", {})).statusCode).toBe(400);
  });
});

describe("receipts", () => {
  it.each(Object.entries(refusalStatus))("%s is %i", async (code, status) => {
    door = await openDoor({
      gate: () => ({ kind: "refused", requestId: "q", code: code as keyof typeof refusalStatus, reason: "why" }),
    });
    const answer = await door.ask("operator", "POST", "/commands", { kind: "status" });
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toEqual({ kind: "refused", requestId: "q", code, reason: "why" });
  });

  it("what is forbidden without a token may be allowed with one: 401 with a challenge", async () => {
    door = await openDoor({ gate: () => ({ kind: "refused", requestId: "q", code: "forbidden", reason: "why" }) });
    const answer = await door.ask(undefined, "POST", "/commands", { kind: "stop" });
    expect([answer.statusCode, answer.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="esper"']);
    expect(door.asked[0]?.by).toEqual({ principal: "anonymous", role: "anonymous" });
  });

  it("accepted and held are 202; too many is 429 with the seconds to wait", async () => {
    const receipts: readonly [CommandReceipt, ...CommandReceipt[]] = [
      { kind: "accepted", requestId: "q", runId: "r", appliesAtEpoch: 2, detail: "d" },
      { kind: "held", requestId: "q", expiresAtMs: 1, approvers: ["admin"], detail: "d" },
      { kind: "refused", requestId: "q", code: "rate", reason: "r", retryAfterMs: 1_500 },
    ];
    let i = 0;
    door = await openDoor({ gate: () => receipts[i++] ?? receipts[0] });
    const answers = [];
    for (const _ of receipts) answers.push(await door.ask("operator", "POST", "/commands", { kind: "stop" }));
    expect(answers.map(({ statusCode, headers }) => [statusCode, headers["retry-after"]])).toEqual([
      [202, undefined],
      [202, undefined],
      [429, "2"],
    ]);
  });

  it("nobody at the Gate: 503, to be tried again", async () => {
    door = await openDoor();
    const answer = await door.ask("operator", "GET", "/status");
    expect([answer.statusCode, answer.headers["retry-after"]]).toEqual([503, "1"]);
  });
});

describe("time and trace", () => {
  it("Y2 a client that stops waiting gets 504; the Gate is told until when it waits", async () => {
    let answerAll: () => void = () => undefined;
    const patience = new Promise<void>((resolve) => {
      answerAll = resolve;
    });
    door = await openDoor({ gate: (asked) => patience.then(() => done(asked)) });
    const answer = await door.ask("operator", "GET", "/status", undefined, { "request-timeout": "0.05" });
    expect([answer.statusCode, answer.json().detail]).toEqual([504, expect.stringContaining("Idempotency-Key")]);
    expect(door.asked[0]?.clientDeadlineAtMs).toBeTypeOf("number");
    answerAll();
    const atMs = Date.now() + 9_000;
    await door.ask("operator", "GET", "/status", undefined, { "x-deadline-ms": String(atMs) });
    expect(door.asked[1]?.clientDeadlineAtMs).toBe(atMs);
  });

  it.each([{ "request-timeout": "999999999999999" }, { "x-deadline-ms": "999999999999999" }])(
    "a client that waits longer than the server gets its answer: %o",
    async (headers) => {
      door = await openDoor({ gate: done });
      const answer = await door.ask("operator", "GET", "/status", undefined, headers as Record<string, string>);
      expect([answer.statusCode, door.asked[0]?.clientDeadlineAtMs]).toEqual([200, undefined]);
    },
  );

  it.each([
    { "request-timeout": "soon" },
    { "request-timeout": "-1" },
    { "x-deadline-ms": "1e9" },
    { "request-timeout": "1", "x-deadline-ms": "1" },
  ])("a deadline that cannot be read is 400: %o", async (headers) => {
    door = await openDoor({ gate: done });
    expect((await door.ask("operator", "GET", "/status", undefined, headers as Record<string, string>)).statusCode).toBe(400);
    expect(door.asked).toEqual([]);
  });

  it("the trace of the request is the trace of the message; what is no trace begins a new one", async () => {
    const traces: string[] = [];
    door = await openDoor();
    const gate = await door.as("gate");
    await gate.respond("control.gate.requests", async (_, { traceId }) => {
      traces.push(traceId);
      return { kind: "done", requestId: "q", detail: "d" } as const;
    });
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (const traceparent of [`00-${traceId}-00f067aa0ba902b7-01`, `00-${"0".repeat(32)}-00f067aa0ba902b7-01`, "x"])
      await door.ask("operator", "GET", "/status", undefined, { traceparent });
    expect(traces[0]).toBe(traceId);
    expect(traces[1]).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
    expect(new Set(traces).size).toBe(3);
  });
});
