/** The path of commands over a real nats-server: who asks is who logged in, whatever the message says. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { connect, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startGate } from "../../src/actors/gate.ts";
import { startWarden } from "../../src/actors/warden.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { connectOperator, type Oona } from "../../src/bus/create.ts";
import { CommandReceipt } from "../../src/contracts/commands.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import { commandKinds, commandRules, mayCommand, type PersonRole, personRoles } from "../../src/contracts/roles.ts";
import type { AdmittedCommand } from "../../src/contracts/subjects.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { createWardenStore } from "../../src/store/warden-store.ts";
import type { RunningChild } from "../../src/supervision/spec.ts";
import { clock, ports, startTestServer, type TestServer } from "../bus/support.ts";
import { temporaryDatabase, testLedger } from "../store/support.ts";
import { commandExamples } from "../support/commands.ts";
import { createActorWorld } from "./support.ts";

const many = 100_000;
const control = ControlConfig.parse({
  commandsPerMinuteMax: { admin: many, operator: many, developer: many, observer: many, anonymous: many },
});
let server: TestServer;
let oona: Oona;
let gate: RunningChild;
let kasmina: Bus;
const admitted: AdmittedCommand[] = [];
const stops: (() => Promise<unknown>)[] = [];

/** Takes what the Gate lets through, on the disk, as Kasmina does. */
const takeCommands = async (runs: ReturnType<typeof createRunStore>): Promise<void> => {
  await kasmina.respond("control.kasmina.admitted", async (asked) => {
    admitted.push(asked);
    const { command, by } = asked;
    const { requestId } = command;
    const receipt: CommandReceipt = { kind: "accepted", requestId, runId: "r-1", appliesAtEpoch: 2, detail: command.kind };
    const nowMs = clock.nowMs();
    runs.recordCommand({ command, receipt, sender: by.principal, runId: "r-1", pending: true, nowMs, outbox: [] });
    return receipt;
  });
};

let startTheGate: () => Promise<RunningChild>;

beforeAll(async () => {
  server = await startTestServer();
  oona = server.oona;
});

const start = async (): Promise<void> => {
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 300_000, outboxMessagesMax: 100_000, boundariesMax: 4 });
  runs.createRun({ runId: "r-1", arm: "grown", nowMs: clock.nowMs() });
  const windows = createGateStore({ database, loginsMax: 100 });
  const actorPorts = { ...createActorWorld(10_000).ports, clock, connect: oona.connect };
  startTheGate = () => startGate(actorPorts, { runs, windows, control, requestTimeoutMs: 20_000 });
  gate = await startTheGate();
  const store = createWardenStore({ database });
  const warden = await startWarden(actorPorts, { store, control, rememberedMs: 300_000, learnedAt: new Map() });
  kasmina = await oona.connect("kasmina");
  await takeCommands(runs);
  admitted.length = 0;
  stops.push(
    () => warden.stop("the test is over"),
    () => gate.stop("the test is over"),
    () => kasmina.close(),
  );
};

afterAll(() => server.stop());

const stopAll = async (): Promise<void> => {
  for (const stop of stops.splice(0)) await stop();
};

const login = async (role: PersonRole): Promise<NatsConnection> => {
  const { url, user, password } = JSON.parse(await readFile(join(server.dataDir, `${role}.json`), "utf8"));
  return connect({ servers: url, user, pass: password, inboxPrefix: `_INBOX.${role}`, noAsyncTraces: true });
};

const ask = async (connection: NatsConnection, subject: string, body: unknown): Promise<unknown> =>
  (await connection.request(subject, JSON.stringify(body), { timeout: 10_000 })).json();

describe("on a real server", () => {
  it("every role has a login of its own, in files that only the owner reads", async () => {
    for (const role of personRoles)
      for (const file of [`${role}.json`, `${role}.context.json`])
        expect((await stat(join(server.dataDir, file))).mode & 0o777, file).toBe(0o600);
    const users = await Promise.all(
      personRoles.map(async (role) => JSON.parse(await readFile(join(server.dataDir, `${role}.json`), "utf8")).user as string),
    );
    expect(users).toEqual([...personRoles]);
  });

  it("D2 a plain client commands as who it is: it cannot say that it is somebody else", async () => {
    await start();
    const observer = await login("observer");
    const developer = await login("developer");
    expect(
      await ask(developer, "control.kasmina.commands.developer", { kind: "cull", requestId: "c", seedId: "seed:h2" }),
    ).toMatchObject({ kind: "accepted" });
    expect(admitted.at(-1)).toMatchObject({ by: { principal: "developer", role: "developer", transport: "nats" } });
    expect(await ask(observer, "control.kasmina.commands.observer", { kind: "pause", requestId: "p" })).toMatchObject({
      code: "forbidden",
    });
    const envelope = {
      id: "e",
      subject: "control.kasmina.commands",
      sender: "admin",
      sentAtMs: 1,
      traceId: "0".repeat(32),
      schemaVersion: 1,
      payload: { kind: "pause", requestId: "p2" },
    };
    expect(await ask(observer, "control.kasmina.commands.observer", envelope)).toMatchObject({ code: "invalid" });
    for (const subject of ["control.kasmina.commands", "control.kasmina.commands.admin", "control.kasmina.admitted"])
      await expect(ask(observer, subject, { kind: "pause", requestId: "p3" }), subject).rejects.toThrow(/permission/i);
    expect(admitted).toHaveLength(1);
    await Promise.all([observer.close(), developer.close()]);
    await stopAll();
  });

  it("every role and every command: what the table forbids is refused, and nothing of it reaches Kasmina", async () => {
    await start();
    let forbidden = 0;
    for (const role of personRoles) {
      const connection = await login(role);
      for (const kind of commandKinds) {
        const requestId = `${role}-${kind}`;
        const answer = CommandReceipt.parse(
          await ask(connection, `control.kasmina.commands.${role}`, { ...commandExamples[kind], requestId }),
        );
        const refused = answer.kind === "refused" && answer.code === "forbidden";
        expect([requestId, refused]).toEqual([requestId, !mayCommand(role, kind)]);
        if (refused) forbidden += 1;
        if (refused) expect(admitted.some(({ command }) => command.requestId === requestId)).toBe(false);
      }
      await connection.close();
    }
    // Operator 3, developer 16, observer 27, anonymous 42.
    expect(forbidden).toBe(88);
    await stopAll();
  });

  it("a thousand of one request at once, across a restart of the Gate: one effect, equal receipts", async () => {
    await start();
    const operator = await connectOperator(server.dataDir, ports, { requestTimeoutMs: 30_000 });
    const command = { kind: "pause", requestId: "once" } as const;
    const send = (count: number) =>
      Promise.all(Array.from({ length: count }, () => operator.request("control.kasmina.commands", command)));
    const before = await send(500);
    gate.kill?.();
    await gate.exited;
    gate = await startTheGate();
    const outcomes = [...before, ...(await send(500))];
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
    expect(outcomes[0]).toMatchObject({ kind: "reply", value: { kind: "accepted" } });
    expect(admitted).toHaveLength(1);
    await operator.close();
    await stopAll();
  });

  it("whatever bytes come, the answer is a receipt, nothing is done, and the Gate goes on", async () => {
    await start();
    const observer = await login("observer");
    const text = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .tuple(fc.constantFrom(...commandKinds), fc.jsonValue(), fc.jsonValue())
        .map(([kind, requestId, target]) => JSON.stringify({ kind, requestId, target, seedId: target })),
      fc.jsonValue().map((payload) => JSON.stringify({ schemaVersion: 1, subject: "control.kasmina.commands", payload })),
    );
    const bodies = fc.sample(
      fc.oneof(
        fc.uint8Array(),
        text.map((each) => new TextEncoder().encode(each)),
      ),
      2_000,
    );
    const kinds = new Set<string>();
    for (let from = 0; from < bodies.length; from += 200) {
      const answers = await Promise.all(
        bodies
          .slice(from, from + 200)
          .map((body) => observer.request("control.kasmina.commands.observer", body, { timeout: 20_000 })),
      );
      for (const answer of answers) {
        const receipt = CommandReceipt.parse(answer.json());
        kinds.add(receipt.kind === "refused" ? receipt.code : receipt.kind);
      }
    }
    expect([...kinds]).toContain("invalid");
    expect(admitted.filter(({ command }) => commandRules[command.kind].access === "change")).toEqual([]);
    expect(
      await ask(await login("operator"), "control.kasmina.commands", { kind: "pause", requestId: "after the flood" }),
    ).toMatchObject({ kind: "accepted" });
    await observer.close();
    await stopAll();
  });

  it("another role's login is used when it is named", async () => {
    const observer = await connectOperator(server.dataDir, ports, { role: "observer" });
    expect(observer.principal).toBe("observer");
    await observer.close();
  });
});
