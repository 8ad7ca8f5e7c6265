/**
 * What no client of ours would send: messages over NATS, requests over HTTP and bytes that are neither, of every role. The same seed gives
 * the same ones. Pure. A change that fits its schema and its role is left out, so that whatever changes is a defect.
 */
import fc from "fast-check";
import { KasminaControlCommand } from "../src/contracts/commands.ts";
import { StartConfig } from "../src/contracts/config.ts";
import { schemaVersion } from "../src/contracts/envelope.ts";
import { commandKinds, commandRules, mayCommand, type PersonRole, personRoles, type Role } from "../src/contracts/roles.ts";
import { type SubjectName, subjectNames, subjects } from "../src/contracts/subjects.ts";
import { anyCommandPath, commandRoutes } from "../src/http/command-routes.ts";
import { routeTable } from "../src/http/openapi.ts";

const commandSubject = "control.kasmina.commands";

const words = fc.oneof(
  { arbitrary: fc.string({ unit: "binary", maxLength: 200 }), weight: 400 },
  {
    arbitrary: fc.constantFrom(
      "",
      "__proto__",
      "constructor",
      "hasOwnProperty",
      "../../etc/passwd",
      "%00",
      "\u0000",
      "\u202e",
      "\ud800",
      "<script>alert(1)</script>",
      "'; DROP TABLE commands; --",
      "$ne",
      "{{7*7}}",
      "seed:h2",
      "seed:".repeat(40),
      "💥".repeat(50),
      "1e999",
      "NaN",
      "-0",
    ),
    weight: 200,
  },
);

const value: fc.Arbitrary<unknown> = fc.oneof(
  words,
  fc.json({ maxDepth: 4 }).map((text): unknown => JSON.parse(text)),
  fc.double(),
  fc.maxSafeInteger(),
  fc.constantFrom(null, true, false, [], {}),
);

const kind = fc.constantFrom(...commandKinds);

/** Each field that some command has, so that a wrong value lands where a right one could. */
const fieldNames = [
  ...new Set(KasminaControlCommand.options.flatMap((option) => Object.keys(option.shape)).filter((name) => name !== "kind")),
];
const fields = fc.dictionary(fc.oneof(fc.constantFrom(...fieldNames), words), value, { maxKeys: 5 });

const hash = "e".repeat(64);
const asked = { requestId: "q", reason: "x" };

/** Right but for the one who sends them, or with one thing wrong. */
const wellFormed: readonly Readonly<Record<string, unknown>>[] = [
  { kind: "germinate", seedId: "seed:h2", ...asked },
  { kind: "cull", seedId: "seed:h2", ...asked },
  { kind: "transition", seedId: "seed:h2", to: "GERMINATED", ...asked },
  { kind: "pause", requestId: "q" },
  { kind: "stop", ...asked },
  { kind: "pin", target: "h2", ...asked },
  { kind: "limit", resource: "flops", max: 1, ...asked },
  { kind: "approve", target: "other", ...asked },
  { kind: "policy_update", set: { "trigger.confidenceMin": 0.9 }, ...asked },
  { kind: "policy_load", policy: { hash }, ...asked },
  { kind: "load_kernel", site: "h2", hash, ...asked },
  { kind: "start", config: StartConfig.parse({}), ...asked },
  { kind: "shutdown", ...asked },
  { kind: "seeds", requestId: "q", limit: 100 },
  { kind: "kernels", requestId: "q", tagsRequired: [], tagsPreferred: [], tagsExcluded: [], limit: 100 },
];

const command: fc.Arbitrary<unknown> = fc.oneof(
  fc.tuple(fc.oneof(kind, words), fields).map(([name, more]) => ({ requestId: "q", ...more, kind: name })),
  fc.tuple(fc.constantFrom(...wellFormed), fields).map(([right, more]) => ({ ...right, ...more })),
  fc.constantFrom(...wellFormed),
  fc.tuple(fc.constantFrom(...wellFormed), fc.constantFrom(...fieldNames)).map(([right, name]) => {
    const { [name]: _, ...rest } = right;
    return rest;
  }),
);

const deep = fc
  .tuple(fc.integer({ min: 2, max: 50_000 }), fc.constantFrom("[", '{"a":', '{"payload":', '{"command":['))
  .map(([depth, open]) => {
    const close = [...open]
      .toReversed()
      .flatMap((each) => (each === "[" ? ["]"] : each === "{" ? ["}"] : []))
      .join("");
    return `${open.repeat(depth)}1${close.repeat(depth)}`;
  });

/** Few are as large as the bus lets through; most of them are small enough to be sent by the thousand. */
const long = fc
  .tuple(fc.constantFrom(1_000, 10_000, 70_000, 300_000), fc.constantFrom("a", '"', "\\", "💥", "\u0000"))
  .map(([length, letter]) => JSON.stringify({ kind: "cull", requestId: letter.repeat(length), seedId: "seed:h2", reason: "x" }));

const envelopeOf = (payload: unknown, sender: string, subject: string): Readonly<Record<string, unknown>> => ({
  id: "f-1",
  subject,
  sender,
  sentAtMs: 1,
  traceId: "0".repeat(32),
  schemaVersion,
  payload,
});
const envelopeNames = [...Object.keys(envelopeOf(1, "", "")), "deadlineAtMs", "more"];

type Body = string | Uint8Array;

/** Whether it would be a change by somebody who may make it. */
const makesSense = (given: unknown, role: Role): boolean => {
  const parsed = KasminaControlCommand.safeParse(given);
  return parsed.success && commandRules[parsed.data.kind].access === "change" && mayCommand(role, parsed.data.kind);
};

export interface NatsMessage {
  readonly role: PersonRole;
  readonly subject: string;
  /** As they stand before the payload; undefined for a message without headers. */
  readonly head: string | undefined;
  readonly body: Body;
  /** Whether an answer is asked for. */
  readonly asks: boolean;
}

/** Subjects that a login of this role may publish on, as the table says. */
export const subjectsOf = (role: PersonRole): readonly SubjectName[] =>
  subjectNames.filter((name) => (subjects[name].publishers as readonly string[]).includes(role));

const natsHeads = fc.oneof(
  { arbitrary: fc.constant(undefined), weight: 600 },
  { arbitrary: words.map((text) => `NATS/1.0\r\ntraceparent: ${text.replaceAll(/[\r\n]/g, "")}\r\n\r\n`), weight: 200 },
  {
    arbitrary: fc.constantFrom(
      "",
      "\r\n",
      "NATS/1.0",
      "NATS/1.0\r\n\r\n",
      "NATS/1.0 503\r\n\r\n",
      "NATS/1.0 abc No\r\n\r\n",
      "NATS/9.9\r\na: b\r\n\r\n",
      "NATS/1.0\r\nno colon here\r\n\r\n",
      "NATS/1.0\r\n: nameless\r\n\r\n",
      "NATS/1.0\r\nbad name: x\r\n\r\n",
      "NATS/1.0\r\na: b\r\na: c\r\nA: d\r\n\r\n",
      "NATS/1.0\r\nNats-Service-Error-Code: 500\r\n\r\n",
      "NATS/1.0\r\nNats-Msg-Id: x\r\nNats-Rollup: all\r\n\r\n",
      `NATS/1.0\r\na: ${"x".repeat(4_000)}\r\n\r\n`,
      `NATS/1.0\r\n${"a: b\r\n".repeat(300)}\r\n`,
      "NATS/1.0\r\n\u0000: \u0000\r\n\r\n",
    ),
    weight: 200,
  },
  { arbitrary: fc.string({ unit: "binary", maxLength: 100 }), weight: 100 },
);

const bodies = new Map<string, fc.Arbitrary<Body>>();

/** Made once for each role and subject: they are many. */
const natsBody = (role: PersonRole, subject: string): fc.Arbitrary<Body> => {
  const name = `${role} ${subject}`;
  const made = bodies.get(name) ?? newNatsBody(role, subject);
  bodies.set(name, made);
  return made;
};

const newNatsBody = (role: PersonRole, subject: string): fc.Arbitrary<Body> => {
  const payload = subject === commandSubject ? fc.oneof(command, value) : value;
  const wrapped = fc.oneof(
    payload.map((each) => envelopeOf(each, role, subject)),
    fc.tuple(payload, fc.constantFrom(...envelopeNames), value).map(([each, name, wrong]) => ({
      ...envelopeOf(each, role, subject),
      [name]: wrong,
    })),
    // Somebody else's name, and somebody else's subject.
    fc
      .tuple(fc.constantFrom(...wellFormed), fc.constantFrom("admin", "kasmina", "gate", "operator", "nobody"))
      .map(([each, name]) => envelopeOf(each, name === role ? "tamiyo" : name, subject)),
    fc.tuple(payload, fc.constantFrom(...subjectNames)).map(([each, other]) => envelopeOf(each, role, other)),
    fc.constantFrom(...wellFormed).map((each) => ({ ...envelopeOf(each, role, subject), deadlineAtMs: 1 })),
  );
  return fc
    .oneof(
      { arbitrary: wrapped, weight: 600 },
      { arbitrary: payload, weight: 400 },
      { arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => ({ bytes })), weight: 100 },
      { arbitrary: fc.json({ maxDepth: 5 }).map((text) => ({ text })), weight: 100 },
      { arbitrary: deep.map((text) => ({ text })), weight: 2 },
      { arbitrary: long.map((text) => ({ text })), weight: 5 },
      {
        arbitrary: fc.constantFrom("", "null", "{", '{"schemaVersion":1}', "[]", "\ufeff{}").map((text) => ({ text })),
        weight: 30,
      },
    )
    .map((given) => rawOf(given, role, subject));
};

const textOf = (given: unknown): string => JSON.stringify(given) ?? "";

const rawOf = (given: unknown, role: PersonRole, subject: string): Body => {
  if (typeof given === "object" && given !== null) {
    if ("bytes" in given && given.bytes instanceof Uint8Array) return given.bytes;
    if ("text" in given && typeof given.text === "string" && Object.keys(given).length === 1) return given.text;
    const inner = "payload" in given ? given.payload : given;
    if (subject === commandSubject && (makesSense(given, role) || makesSense(inner, role))) return textOf({ kind: "nonsense" });
  }
  return textOf(given);
};

const natsMessage: fc.Arbitrary<NatsMessage> = fc.constantFrom(...personRoles).chain((role) => {
  const own = subjectsOf(role);
  const named = (subject: SubjectName): string =>
    subject === commandSubject && role !== "operator" ? `${subject}.${role}` : subject;
  const places = fc.oneof(
    // Commands are what changes things: half of all.
    { arbitrary: fc.constant({ subject: commandSubject, wire: named(commandSubject) }), weight: 600 },
    { arbitrary: fc.constantFrom(...own).map((subject) => ({ subject, wire: named(subject) })), weight: 400 },
    { arbitrary: fc.constantFrom(...subjectNames).map((subject) => ({ subject, wire: subject })), weight: 100 },
    {
      arbitrary: fc
        .constantFrom(...personRoles, "kasmina", "nobody", "x.y")
        .map((name) => ({ subject: commandSubject, wire: `${commandSubject}.${name}` })),
      weight: 100,
    },
    {
      arbitrary: fc
        .constantFrom("$SRV.INFO.gate", "$SRV.STATS.urza", "$SRV.PING.nobody", "$SRV.INFO.gate.x", "$SRV.STATS")
        .map((wire) => ({ subject: wire, wire })),
      weight: 50,
    },
  );
  return places.chain(({ subject, wire }) =>
    fc.record({
      role: fc.constant(role),
      subject: fc.constant(wire),
      head: natsHeads,
      body: natsBody(role, subject),
      asks: fc.integer({ min: 0, max: 19 }).map((each) => each > 0),
    }),
  );
});

export const natsMessages = (seed: number, count: number): readonly NatsMessage[] =>
  fc.sample(natsMessage, { seed, numRuns: count });

export interface HttpRequest {
  /** Undefined: without a token. */
  readonly role: PersonRole | undefined;
  /** In place of a token that is right. */
  readonly authorization: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body | undefined;
}

/** What Node's own client refuses to send is not worth making. */
const headerText = words.map((text) => text.replaceAll(/[^\x21-\x7e]/g, "?"));
const headers = fc.dictionary(
  fc.constantFrom(
    "idempotency-key",
    "traceparent",
    "request-timeout",
    "x-deadline-ms",
    "accept",
    "accept-encoding",
    "range",
    "if-none-match",
    "if-range",
    "last-event-id",
    "origin",
    "sec-fetch-site",
    "x-forwarded-for",
    "x-http-method-override",
    "content-encoding",
    "cookie",
  ),
  fc.oneof(headerText, fc.constantFrom("0.01", "1e308", "-1", "gzip", "bytes=0-", "9".repeat(15), '"q"', "cross-site")),
  { maxKeys: 3 },
);

const routes = [
  ...routeTable(),
  { method: "POST" as const, path: anyCommandPath },
  ...["/view/snapshot", "/view/machines", "/view/runs", "/view/runs/{id}/events", "/view/runs/{id}/checkpoints", "/docs"].map(
    (path) => ({ method: "GET" as const, path }),
  ),
];

/** Which command a route is, so that a change that is right can be left out. */
const kindOf = (path: string): string | undefined => commandRoutes.find((route) => route.path === path)?.kind;
const idFieldOf = (path: string): string | undefined => commandRoutes.find((route) => route.path === path)?.id?.field;

const httpRequest: fc.Arbitrary<HttpRequest> = fc
  .record({
    role: fc.constantFrom(...personRoles, ...personRoles, undefined),
    authorization: fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 1200 },
      { arbitrary: headerText.map((text) => `Bearer ${text}`), weight: 100 },
      { arbitrary: fc.constantFrom("Bearer", "Basic eDp5", "Bearer eyJhbGciOiJub25lIn0.e30.", "bearer a b"), weight: 100 },
    ),
    // Half of all are commands as they are, a fifth of the rest by a method that the route does not have.
    route: fc.oneof(
      { arbitrary: fc.constant({ method: "POST" as const, path: anyCommandPath }), weight: 100 },
      { arbitrary: fc.constantFrom(...routes), weight: 100 },
    ),
    other: fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 800 },
      { arbitrary: fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"), weight: 100 },
    ),
    id: words,
    query: fc.oneof({ arbitrary: fc.constant(""), weight: 300 }, { arbitrary: fc.webQueryParameters(), weight: 100 }),
    headers,
    type: fc.oneof(
      { arbitrary: fc.constant("application/json"), weight: 1200 },
      {
        arbitrary: fc.constantFrom(
          "application/json; charset=utf-16",
          "text/json",
          "application/xml",
          "multipart/form-data",
          ";",
        ),
        weight: 100,
      },
    ),
    given: fc.oneof(
      { arbitrary: fc.oneof(command, fields, value).map((each) => ({ each })), weight: 800 },
      { arbitrary: fc.json({ maxDepth: 5 }).map((text) => ({ text })), weight: 100 },
      { arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => ({ bytes })), weight: 100 },
      { arbitrary: deep.map((text) => ({ text })), weight: 2 },
      { arbitrary: long.map((text) => ({ text })), weight: 5 },
    ),
  })
  .map(({ role, authorization, route, other, id, query, headers: more, type, given }): HttpRequest => {
    const method = other ?? route.method;
    const url = route.path.replace(/\{(id|hash)\}/, () => encodeURIComponent(Buffer.from(id.slice(0, 60)).toString()));
    let body: Body | undefined;
    if ("bytes" in given) body = given.bytes;
    else if ("text" in given) body = given.text;
    else {
      const merged = typeof given.each === "object" && given.each !== null && !Array.isArray(given.each) ? given.each : {};
      const path = route.path;
      const field = idFieldOf(path);
      const whole = {
        requestId: "q",
        ...merged,
        ...(kindOf(path) === undefined ? {} : { kind: kindOf(path) }),
        ...(field === undefined ? {} : { [field]: id.startsWith("seed:") || field !== "seedId" ? id : `seed:${id}` }),
      };
      const key = more["idempotency-key"];
      const sense = [whole, { ...whole, requestId: key ?? "q" }].some((each) => makesSense(each, role ?? "anonymous"));
      body = textOf(sense ? { requestId: 1 } : given.each);
    }
    const bodied = method !== "GET" && method !== "HEAD";
    return {
      role,
      authorization,
      method,
      path: query === "" ? url : `${url}?${query}`,
      headers: bodied ? { "content-type": type, ...more } : more,
      body: bodied ? body : undefined,
    };
  });

export const httpRequests = (seed: number, count: number): readonly HttpRequest[] =>
  fc.sample(httpRequest, { seed, numRuns: count });

/** Requests that are none, byte by byte, each on a connection of its own. `{token}` stands for a token that is right. */
export const brokenRequests = (seed: number, count: number): readonly string[] => {
  const body = JSON.stringify({ kind: "nonsense", requestId: "q" });
  const head = (more: string): string =>
    `POST /commands HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n${more}\r\n`;
  const length = fc.constantFrom(
    "-1",
    "0",
    "1",
    "9".repeat(20),
    "0x10",
    "1e3",
    "",
    " ",
    "5, 5",
    "1048577",
    String(body.length + 9),
  );
  const chunk = fc.constantFrom("zz", "-1", "FFFFFFFFFFFFFFFFF", "", "5;x=y", "5 ", "5\n", "\u0000");
  const broken: fc.Arbitrary<string> = fc.oneof(
    length.map((each) => `${head(`Content-Length: ${each}\r\n`)}${body}`),
    chunk.map((each) => `${head("Transfer-Encoding: chunked\r\n")}${each}\r\n${body}\r\n0\r\n\r\n`),
    // Chunks that are right, of a body that makes no sense.
    fc.constant(
      `${head("Transfer-Encoding: chunked\r\n")}5\r\n${body.slice(0, 5)}\r\n${(body.length - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\n\r\n`,
    ),
    fc.constant(`${head(`Transfer-Encoding: chunked\r\nContent-Length: ${body.length}\r\n`)}${body}`),
    fc.constant(`${head("Transfer-Encoding: gzip, identity\r\n")}${body}`),
    fc.constant(`${head(`Content-Length: ${body.length}\r\nContent-Length: 3\r\n`)}${body}`),
    fc.constant(`${head(`Content-Length: ${body.length}\r\nExpect: nonsense\r\n`)}${body}`),
    fc.constant(`${head("Connection: Upgrade\r\nUpgrade: websocket\r\n")}`),
    fc.constant(head(`X: ${"x".repeat(20_000)}\r\n`)),
    fc.constant(head("x: y\r\n".repeat(3_000))),
    fc.constant(`${head("Transfer-Encoding: chunked\r\n")}${"10000\r\n".concat("a".repeat(65_536), "\r\n").repeat(20)}0\r\n\r\n`),
    fc.constantFrom(
      "GET / HTTP/9.9\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n",
      "get / http/1.1\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    fc.constantFrom(
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "\r\n\r\n\r\n",
    ),
    fc.constantFrom("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    words.map((text) => `GET /${text.replaceAll(/[\r\n]/g, "")} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    words.map((text) => head(`X-A: ${text}\r\n`)),
    fc.string({ unit: "binary", maxLength: 300 }),
    // Two in one: what follows the first must not be taken for a part of it.
    fc.constant(`${head("Content-Length: 2\r\n")}{}${head(`Content-Length: ${body.length}\r\n`)}${body}`),
  );
  return fc.sample(broken, { seed, numRuns: count });
};
