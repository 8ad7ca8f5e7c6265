/** What the real bus does beyond the contract: plain clients, services, broken bytes, messages that nobody answers for. */
import { readFile, stat } from "node:fs/promises";
import { connect, type NatsConnection, RequestStrategy } from "nats";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { connectOperator, type DeadLetter } from "../../src/bus/create.ts";
import { consumerSpecs, streamSpecs } from "../../src/bus/streams.ts";
import { ports, refusal, startTestServer, statusCommand, supervision, type TestServer, until } from "./support.ts";

let server: TestServer;
let raw: NatsConnection;
const deadLetters: DeadLetter[] = [];
const buses: { close(): Promise<void> }[] = [];
const keep = <T extends { close(): Promise<void> }>(bus: T): T => {
  buses.push(bus);
  return bus;
};
const open = async (...[principal]: Parameters<TestServer["oona"]["connect"]>): Promise<Bus> =>
  keep(await server.oona.connect(principal));

beforeAll(async () => {
  server = await startTestServer({
    durable: { ackWaitMs: 300, deliveriesMax: 2, retryMsMin: 10, retryMsMax: 20, handlerMsMax: 1 },
    onDeadLetter: (letter) => void deadLetters.push(letter),
  });
  const { url, user, password } = JSON.parse(await readFile(server.oona.operatorFile, "utf8"));
  // A stock client: no prefix for its inboxes, no envelope.
  raw = await connect({ servers: url, user, pass: password, noAsyncTraces: true });
});
afterEach(async () => {
  deadLetters.length = 0;
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
});
afterAll(async () => {
  await raw.close();
  await server.stop();
});

it("the operator's files are private, hold no more than the operator's login, and connect", async () => {
  for (const file of [server.oona.operatorFile, server.oona.operatorFile.replace(".json", ".context.json")])
    expect((await stat(file)).mode & 0o777, file).toBe(0o600);
  expect((await stat(`${server.dataDir}/nats/nats-server.conf`)).mode & 0o777).toBe(0o600);
  const written = JSON.parse(await readFile(server.oona.operatorFile, "utf8"));
  expect(written).toMatchObject({ url: server.oona.url, user: "operator", dataDir: server.dataDir, pid: process.pid });
  const context = JSON.parse(await readFile(server.oona.operatorFile.replace(".json", ".context.json"), "utf8"));
  expect(context).toMatchObject({
    url: server.oona.url,
    user: "operator",
    password: written.password,
    inbox_prefix: "_INBOX.operator",
  });
  for (const path of [server.dataDir, server.oona.operatorFile]) {
    const operator = await connectOperator(path, ports);
    expect(operator.principal).toBe("operator");
    await operator.close();
  }
});

it("a plain client's bare command is answered bare; one that does not fit gets a typed refusal", async () => {
  const gate = await open("gate");
  await gate.respond("control.kasmina.commands", async ({ requestId }, { sender }) => refusal(requestId, `asked by ${sender}`));
  const ask = async (body: unknown) =>
    (await raw.request("control.kasmina.commands", JSON.stringify(body), { timeout: 5_000 })).json();
  expect(await ask(statusCommand("b1"))).toEqual(refusal("b1", "asked by operator"));
  expect(await ask({ kind: "fly", requestId: "b2" })).toMatchObject({
    kind: "refused",
    requestId: "b2",
    code: "invalid",
    reason: expect.stringContaining("kind"),
  });
  expect(await ask("nonsense")).toMatchObject({ kind: "refused", code: "invalid" });
});

it("actors are services: $SRV.PING finds them, INFO lists what they answer, STATS counts", async () => {
  const [gate, operator] = [await open("gate"), await open("operator")];
  await open("nissa");
  await gate.respond("control.kasmina.commands", async ({ requestId }) => {
    if (requestId === "bad") throw new Error("no");
    return refusal(requestId);
  });
  await operator.request("control.kasmina.commands", statusCommand("ok"));
  await operator.request("control.kasmina.commands", statusCommand("bad"));
  const pings: string[] = [];
  for await (const answer of await raw.services.client({ strategy: RequestStrategy.JitterTimer, maxWait: 2_000 }).ping())
    pings.push(answer.name);
  expect([...new Set(pings)].sort()).toEqual(["gate", "nissa"]);
  const info = (await raw.request("$SRV.INFO.gate", "", { timeout: 5_000 })).json<{ endpoints: { subject: string }[] }>();
  expect(info.endpoints.map(({ subject }) => subject)).toEqual(["control.kasmina.commands", "control.kasmina.commands.*"]);
  const stats = (await raw.request("$SRV.STATS.gate", "", { timeout: 5_000 })).json<{
    endpoints: { num_requests: number; data: object }[];
  }>();
  expect(stats.endpoints[0]).toMatchObject({
    num_requests: 2,
    data: { failures: 1, waiting: 0, lastFailure: expect.stringContaining("no") },
  });
});

it("B2 broken bytes on a live subject are a dead letter of every listener and reach no handler", async () => {
  const operator = await open("operator");
  let calls = 0;
  await operator.subscribe("telemetry.run.progress", () => void calls++);
  const tolaria = await loginAs("tolaria");
  tolaria.publish("telemetry.run.progress", "{");
  await until(() => deadLetters.length === 1, "the dead letter came");
  expect(deadLetters[0]).toMatchObject({
    principal: "operator",
    subject: "telemetry.run.progress",
    reason: expect.stringContaining("expected JSON"),
  });
  expect(calls).toBe(0);
});

it("D5 broken bytes in a stream are a dead letter at once, and the next message is handled", async () => {
  const supervisor = await loginAs("supervisor");
  await supervisor.request("system.events.supervision", JSON.stringify({ schemaVersion: 1 }), { timeout: 5_000 });
  const [bus, nissa] = [await open("supervisor"), await open("nissa")];
  await bus.publish("system.events.supervision", supervision("after the broken one"));
  const details: string[] = [];
  await nissa.subscribe("system.events.supervision", ({ detail }) => void details.push(detail));
  await until(() => details.length === 1, "the sound one came");
  expect(details).toEqual(["after the broken one"]);
  expect(deadLetters[0]).toMatchObject({
    principal: "nissa",
    reason: expect.stringContaining("does not fit"),
    raw: '{"schemaVersion":1}',
    place: { stream: "EVENTS", deliveries: 1 },
  });
});

it("O3 a message that its actor never answers for is handed over again and then reported by the server's own count", async () => {
  const [supervisor, first] = [await open("supervisor"), await open("nissa")];
  const redeliveries: number[] = [];
  // An actor that hangs: past `handlerMsMax` it is no longer vouched for.
  await first.subscribe("system.events.supervision", (_, context) => {
    redeliveries.push(context.redeliveries);
    return new Promise(() => undefined);
  });
  await supervisor.publish("system.events.supervision", supervision("stuck"));
  await until(() => redeliveries.length === 1, "it hangs");
  const second = await open("nissa");
  await second.subscribe("system.events.supervision", (_, context) => {
    redeliveries.push(context.redeliveries);
    return new Promise(() => undefined);
  });
  await until(() => redeliveries.length === 2, "the other node got it");
  const third = await open("nissa");
  await third.subscribe("system.events.supervision", () => void redeliveries.push(99));
  const counted = () => deadLetters.find(({ reason }) => reason.includes("never acknowledged"));
  await until(() => counted() !== undefined, "the server gave up");
  expect(redeliveries).toEqual([0, 1]);
  expect(counted()).toMatchObject({
    principal: "nissa",
    subject: "system.events.supervision",
    reason: "handed over 2 times and never acknowledged",
    envelope: { sender: "supervisor", payload: supervision("stuck") },
    place: { stream: "EVENTS", deliveries: 2 },
  });
});

it("a work queue has one listening actor for each subject, and every durable subject has a consumer", () => {
  for (const { retention, subjects } of streamSpecs(1_000)) {
    for (const subject of subjects.filter((each) => !each.startsWith("$JS."))) {
      const actors = consumerSpecs.filter((spec) => spec.subject === subject);
      expect(actors.length, subject).toBeGreaterThan(0);
      if (retention === "work-queue") expect(actors, subject).toHaveLength(1);
    }
  }
  expect(streamSpecs(1_000).reduce((sum, { bytesMax }) => sum + bytesMax, 0)).toBeLessThanOrEqual(1_000);
});

/** A plain connection with a principal's login, to send what the bus itself would not. */
const loginAs = async (principal: string): Promise<NatsConnection> => {
  const text = await readFile(`${server.dataDir}/nats/nats-server.conf`, "utf8");
  const pass = new RegExp(`user: "${principal}", password: "([^"]+)"`).exec(text)?.[1];
  if (pass === undefined) throw new Error(`no password of ${principal} in the server's configuration`);
  return keep(
    await connect({ servers: server.oona.url, user: principal, pass, inboxPrefix: `_INBOX.${principal}`, noAsyncTraces: true }),
  );
};

it("an actor that is closed while its handler hangs is closed all the same", async () => {
  const [operator, gate] = [await open("operator"), await open("gate")];
  let asked = false;
  await gate.respond("control.kasmina.commands", () => {
    asked = true;
    return new Promise(() => undefined);
  });
  const outcome = operator.request("control.kasmina.commands", statusCommand("x"), { timeoutMs: 300 });
  await until(() => asked, "it hangs");
  await gate.close();
  expect((await outcome).kind).toBe("timeout");
});
