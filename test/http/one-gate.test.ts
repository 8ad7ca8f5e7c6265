/** Both transports, one Gate: a real nats-server, a real HTTP server, and what comes of the same command by either. */
import { Agent, request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startGate } from "../../src/actors/gate.ts";
import { startHttp } from "../../src/actors/http.ts";
import { startWarden } from "../../src/actors/warden.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { connectOperator } from "../../src/bus/create.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import { HttpConfig } from "../../src/contracts/config-http.ts";
import { commandRules, mayCommand, type PersonRole, personRoles } from "../../src/contracts/roles.ts";
import type { AdmittedCommand } from "../../src/contracts/subjects.ts";
import { commandRoutes } from "../../src/http/command-routes.ts";
import { openHttp } from "../../src/http/open.ts";
import { routeTable } from "../../src/http/openapi.ts";
import { readTokenKey, tokenKeyFile } from "../../src/http/token-key.ts";
import { mintToken } from "../../src/http/tokens.ts";
import { openDatabase } from "../../src/store/database.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
import { migrations } from "../../src/store/migrations.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { createWardenStore } from "../../src/store/warden-store.ts";
import { createActorWorld } from "../actors/support.ts";
import { clock, ports, startTestServer, type TestServer } from "../bus/support.ts";
import { testLedger } from "../store/support.ts";
import { commandExamples } from "../support/commands.ts";

const limits = ControlConfig.parse({}).commandsPerMinuteMax;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

let server: TestServer;
let kasmina: Bus;
let url: string;
const admitted: AdmittedCommand[] = [];
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startTestServer({ payloadBytesMax: 1_048_576 });
  const { oona, dataDir } = server;
  const database = openDatabase({ file: join(dataDir, "gate.db"), migrations, busyTimeoutMs: 5_000 });
  stops.push(async () => database.close());
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 300_000, outboxMessagesMax: 100_000, boundariesMax: 4 });
  runs.createRun({ runId: "r-1", arm: "grown", nowMs: clock.nowMs() });
  const control = ControlConfig.parse({});
  const actorPorts = { ...createActorWorld(10_000).ports, clock, connect: oona.connect };
  const windows = createGateStore({ database, loginsMax: 1_000 });
  // The Gate's minute does not pass, however slow the machine is.
  const beganMs = clock.nowMs();
  const still = { ...actorPorts, clock: { ...clock, nowMs: () => beganMs } };
  const gate = await startGate(still, { runs, windows, control, requestTimeoutMs: 20_000 });
  const store = createWardenStore({ database });
  const warden = await startWarden(actorPorts, { store, control, rememberedMs: 300_000, learnedAt: new Map() });
  kasmina = await oona.connect("kasmina");
  await kasmina.respond("control.kasmina.admitted", async (asked) => {
    const { command, by } = asked;
    admitted.push(asked);
    const { requestId } = command;
    const receipt: CommandReceipt = { kind: "accepted", requestId, runId: "r-1", appliesAtEpoch: 2, detail: command.kind };
    if (commandRules[command.kind].access === "change")
      runs.recordCommand({
        command,
        receipt,
        sender: by.principal,
        runId: "r-1",
        pending: true,
        nowMs: clock.nowMs(),
        outbox: [],
      });
    return receipt;
  });
  const artifacts = { has: () => false, read: async () => undefined };
  const http = await startHttp(actorPorts, async (scope) => {
    const config = HttpConfig.parse({ port: 0, requestTimeoutMs: 60_000, keepAliveMs: 600_000 });
    const door = await openHttp({ ...scope, artifacts, entropy: ports.entropy, config, dataDir, portBefore: undefined });
    url = door.url;
    return door;
  });
  for (const child of [warden, gate, http]) stops.push(() => child.stop("the test is over"));
});
afterAll(async () => {
  agent.destroy();
  for (const stop of stops.reverse()) await stop();
  await kasmina.close();
  await server.stop();
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

const send = (method: string, path: string, token: string | undefined, body?: unknown): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const sent = request(new URL(path, url), { method, headers, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });

const tokenOf = async (role: PersonRole, principal: string): Promise<string | undefined> =>
  role === "anonymous" && principal === "anonymous"
    ? undefined
    : mintToken(await readTokenKey(tokenKeyFile(server.dataDir)), { principal, role, lifetimeMs: 600_000, nowMs: clock.nowMs() });

const overNats = async (
  role: PersonRole,
  count: number,
  command: (i: number) => Record<string, unknown>,
): Promise<CommandReceipt[]> => {
  const bus = await connectOperator(server.dataDir, ports, { requestTimeoutMs: 30_000, role });
  const outcomes = await Promise.all(
    Array.from({ length: count }, (_, i) => bus.request("control.kasmina.commands", command(i) as never)),
  );
  await bus.close();
  return outcomes.map((outcome) => {
    if (outcome.kind !== "reply") throw new Error(`${outcome.kind}: ${outcome.reason}`);
    return outcome.value;
  });
};
const overHttp = async (
  token: string | undefined,
  count: number,
  command: (i: number) => Record<string, unknown>,
): Promise<Answer[]> => Promise.all(Array.from({ length: count }, (_, i) => send("POST", "/commands", token, command(i))));

const isRate = (receipt: CommandReceipt): boolean => receipt.kind === "refused" && receipt.code === "rate";

describe("G6 the rate is exact", () => {
  it.each(personRoles)("%s over HTTP alone, all at once", async (role) => {
    const most = limits[role];
    // Nobody without a token shares the count of those without one; so this one has a name.
    const token = await tokenOf(role, "rate-http");
    const answers = await overHttp(token, most + 7, (i) => ({ kind: "status", requestId: `rate-${role}-${i}` }));
    expect(answers.filter(({ status }) => status === 200 || status === 202)).toHaveLength(most);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(7);
  });

  it.each(personRoles)("%s by both at once: one login, one count", async (role) => {
    const most = limits[role];
    const half = Math.ceil(most / 2) + 4;
    const token = await tokenOf(role, role);
    const [nats, http] = await Promise.all([
      overNats(role, half, (i) => ({ kind: "status", requestId: `nats-${role}-${i}` })),
      overHttp(token, half, (i) => ({ kind: "status", requestId: `http-${role}-${i}` })),
    ]);
    const refused = nats.filter(isRate).length + http.filter(({ status }) => status === 429).length;
    expect(2 * half - refused).toBe(most);
  });
});

describe("one request id", () => {
  it("a thousand at once over both transports: one effect, a thousand same receipts", async () => {
    const before = admitted.length;
    const token = await tokenOf("admin", "twin");
    const command = { kind: "cull", requestId: "once", seedId: "seed:h2" };
    const [nats, http] = await Promise.all([overNats("developer", 500, () => command), overHttp(token, 500, () => command)]);
    const receipts = [...nats.map((receipt) => JSON.stringify(receipt)), ...http.map(({ body }) => body)];
    const accepted = receipts.filter((receipt) => !receipt.includes('"rate"'));
    expect(admitted.length - before).toBe(1);
    // The developer's own minute is used up by the test before: a known id is answered all the same.
    expect(accepted).toHaveLength(1_000);
    expect(new Set(accepted).size).toBe(1);
    expect(http.every(({ status }) => status === 202)).toBe(true);
  });

  it("with another command it is refused", async () => {
    const token = await tokenOf("admin", "other");
    const { status, body } = await send("POST", "/commands", token, { kind: "stop", requestId: "once" });
    expect([status, JSON.parse(body).code]).toEqual([422, "request_id_used"]);
  });
});

describe("every role and every route", () => {
  it("is as the table says: 0 deviations, and nothing forbidden reaches anybody", async () => {
    const deviations: string[] = [];
    let asked = 0;
    for (const { method, path, roles } of routeTable()) {
      for (const role of personRoles) {
        const { kind, id } = commandRoutes.find((route) => route.method === method && route.path === path) ?? {};
        const example = kind === undefined ? {} : (commandExamples[kind] as Record<string, unknown>);
        const { requestId: _, kind: __, ...fields } = example;
        const filled = path
          .replace("{id}", encodeURIComponent(String(example[id?.field ?? ""] ?? "x")))
          .replace("{hash}", "e".repeat(64));
        const body = Object.fromEntries(Object.entries(fields).filter(([name]) => name !== id?.field));
        // A login of its own for each, so that no minute is used up.
        const token = role === "anonymous" ? await tokenOf(role, `anon-${asked}`) : await tokenOf(role, `${role}-${asked}`);
        const before = admitted.length;
        const { status } = await send(method, filled, token, method === "POST" ? body : undefined);
        const forbidden = status === 401 || status === 403;
        if (forbidden === roles.includes(role)) deviations.push(`${role} ${method} ${path}: ${status}`);
        if (forbidden && admitted.length !== before) deviations.push(`${role} ${method} ${path}: was admitted`);
        if (kind !== undefined && roles.includes(role) !== mayCommand(role, kind))
          deviations.push(`${role} ${path}: another table`);
        asked += 1;
      }
    }
    expect(deviations).toEqual([]);
    expect(asked).toBe(routeTable().length * personRoles.length);
  });

  it("POST /commands: every role and every kind", async () => {
    const deviations: string[] = [];
    for (const role of personRoles)
      for (const [kind, example] of Object.entries(commandExamples)) {
        const token = await tokenOf(role, `${role}-${kind.replaceAll("_", "-")}`);
        const { status } = await send("POST", "/commands", token, { ...example, requestId: `all-${role}-${kind}` });
        if ((status === 403) === mayCommand(role, example.kind)) deviations.push(`${role} ${kind}: ${status}`);
      }
    expect(deviations).toEqual([]);
  });
});

describe("who asks", () => {
  it("is told with the transport that it came by", async () => {
    const token = await tokenOf("operator", "ann");
    await send("POST", "/seeds/h3/germinate", token, {});
    expect(admitted.at(-1)?.by).toEqual({ principal: "ann", role: "operator", transport: "http" });
  });

  it("the HTTP actor alone may speak for those who come over HTTP, and not as one of the node's own", async () => {
    const operator = await connectOperator(server.dataDir, ports);
    const asked = { by: { principal: "x", role: "admin" as const }, command: { kind: "stop", requestId: "x" }, bytes: 1 };
    expect((await operator.request("control.gate.requests", asked)).kind).toBe("denied");
    await operator.close();
    const http = await server.oona.connect("http");
    const own = await http.request("control.gate.requests", {
      ...asked,
      by: { principal: "tamiyo", role: "controller" as never },
    });
    expect(own.kind).toBe("invalid");
    expect((await http.request("control.kasmina.commands", { kind: "stop", requestId: "y" })).kind).toBe("denied");
    await http.close();
  });
});
