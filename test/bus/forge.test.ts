/** Forges of other machines on a real server: they share the work, lose none of it, and are what their login says. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { forgeFile } from "../../src/bus/forge-file.ts";
import { type JoinedBus, joinBus } from "../../src/bus/join.ts";
import { listServices } from "../../src/bus/service-list.ts";
import { NatsConfig } from "../../src/contracts/config.ts";
import { ServiceError } from "../../src/contracts/errors.ts";
import type { ReplyOf } from "../../src/contracts/subjects.ts";
import { compileTask } from "../support/forge.ts";
import { ports, refusal, startTestServer, type TestServer, temporaryFolder, until } from "./support.ts";

const work = { ackWaitMs: 1_000, deliveriesMax: 10 };
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const serverWith = async (options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> => {
  const server = await startTestServer({ durable: { work }, ...options });
  cleanups.push(server.stop);
  return server;
};

const externalOf = (fields: object) => {
  const config = NatsConfig.parse({ mode: "external", ...fields });
  if (config.mode !== "external") throw new Error("expected an external server");
  return config;
};

const joinAs = async (connection: string, over: Partial<Parameters<typeof joinBus>[0]> = {}): Promise<JoinedBus> => {
  const joined = await joinBus({
    ...ports,
    config: externalOf({ connection }),
    payloadBytesMax: 65_536,
    mailboxMessagesMax: 100,
    requestTimeoutMs: 2_000,
    joinMsMax: 5_000,
    work,
    description: { node: "forge-1", tags: ["avx512"], costTier: 2 },
    ...over,
  });
  cleanups.push(() => joined.stop());
  return joined;
};

const connectTo = async (joined: JoinedBus): Promise<Bus> => {
  const bus = await joined.connect("tezzeret");
  cleanups.push(() => bus.close());
  return bus;
};

/** Orders so many compilations; the run's id tells them apart. */
const order = async (server: TestServer, count: number): Promise<string[]> => {
  const kasmina = await server.oona.connect("kasmina");
  cleanups.push(() => kasmina.close());
  const runIds = Array.from({ length: count }, (_, index) => `r-${index}`);
  for (const runId of runIds) {
    const task = compileTask(Date.now());
    const sent = await kasmina.publish("compilation.blueprint.submitted", { ...task, context: { ...task.context, runId } });
    expect(sent).toEqual({ kind: "sent" });
  }
  return runIds;
};

describe("a forge's login", () => {
  it("stands in a file that its owner alone reads, and stays the same over a restart of the node", async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const first = await startTestServer({ dataDir: folder.path });
    const before = JSON.parse(await readFile(forgeFile(folder.path), "utf8"));
    expect((await stat(forgeFile(folder.path))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder.path, "forge", "password"))).mode & 0o777).toBe(0o600);
    await first.oona.stop();
    const second = await serverWith({ dataDir: folder.path });
    const after = JSON.parse(await readFile(forgeFile(folder.path), "utf8"));
    expect(before.password).toHaveLength(after.password.length);
    expect(after).toMatchObject({ user: "forge", password: before.password, url: second.oona.url, work });
  });

  it("with another password joins nothing, and says so after the time it was given", async () => {
    const server = await serverWith();
    const file = join(server.dataDir, "guessed.json");
    await writeFile(file, JSON.stringify({ url: server.oona.url, user: "forge", password: "guess" }));
    await expect(joinAs(file, { joinMsMax: 400 })).rejects.toThrow(
      /no bus to join within 400 ms.*refused the user or the password/,
    );
    await expect(joinAs(join(server.dataDir, "none.json"), { joinMsMax: 1 })).rejects.toThrow(ServiceError);
  });

  it("J1 waits for a node that starts later", async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const joining = joinAs(forgeFile(folder.path), { joinMsMax: 20_000 });
    await serverWith({ dataDir: folder.path });
    expect((await joining).url).toMatch(/^nats:\/\/127/);
  });
});

describe("work in the queue", () => {
  it("is shared: each task goes to one forge, and both get some", async () => {
    const server = await serverWith();
    const file = forgeFile(server.dataDir);
    const done = new Map<string, string[]>();
    for (const name of ["one", "two"]) {
      const bus = await connectTo(await joinAs(file));
      await bus.subscribe("compilation.blueprint.submitted", async ({ context }) => {
        done.set(context.runId, [...(done.get(context.runId) ?? []), name]);
        await new Promise((resolve) => ports.clock.schedule(20, () => resolve(undefined)));
      });
    }
    const runIds = await order(server, 12);
    await until(() => done.size === runIds.length, "every task was done");
    expect([...done.values()].every((names) => names.length === 1)).toBe(true);
    expect(new Set([...done.values()].flat())).toEqual(new Set(["one", "two"]));
  });

  it("D3 of a forge that dies at work goes to another, once; nothing is lost", async () => {
    const server = await serverWith();
    const file = forgeFile(server.dataDir);
    const dying = await joinAs(file);
    const bus = await dying.connect("tezzeret");
    let begun = 0;
    // It never ends, and never says anything: a process that was killed.
    await bus.subscribe("compilation.blueprint.submitted", () => {
      begun += 1;
      return new Promise<void>(() => undefined);
    });
    const runIds = await order(server, 2);
    await until(() => begun === 1, "one is at work");
    const other = await connectTo(await joinAs(file));
    const done: string[] = [];
    await other.subscribe("compilation.blueprint.submitted", ({ context }, { redeliveries }) => {
      done.push(`${context.runId} ${redeliveries}`);
    });
    void bus.close();
    await until(() => done.length === runIds.length, "all is done");
    expect(done.map((each) => each.split(" ")[0]).sort()).toEqual(runIds);
    expect(done.filter((each) => each.endsWith(" 1"))).toHaveLength(1);
  });

  it("D8 that a forge declines goes to another at once", async () => {
    const server = await serverWith();
    const file = forgeFile(server.dataDir);
    let declined = 0;
    const choosy = await connectTo(await joinAs(file));
    await choosy.subscribe("compilation.blueprint.submitted", () => {
      declined += 1;
      return { kind: "declined", reason: "another engine" };
    });
    const runIds = await order(server, 1);
    await until(() => declined >= 1, "the first had it");
    const done: string[] = [];
    const able = await connectTo(await joinAs(file));
    await able.subscribe("compilation.blueprint.submitted", ({ context }) => void done.push(context.runId));
    await until(() => done.length === 1, "the other did it");
    expect(done).toEqual(runIds);
    expect(declined).toBeLessThan(work.deliveriesMax);
  });

  it("that everybody declines ends as a dead letter, told by the node whose bus it is", async () => {
    const letters: string[] = [];
    const server = await serverWith({
      durable: { work: { ackWaitMs: 500, deliveriesMax: 3 }, retryMsMin: 20, retryMsMax: 50 },
      onDeadLetter: ({ principal, reason }) => void letters.push(`${principal} ${reason}`),
    });
    const choosy = await connectTo(await joinAs(forgeFile(server.dataDir)));
    let declined = 0;
    await choosy.subscribe("compilation.blueprint.submitted", () => {
      declined += 1;
      return { kind: "declined", reason: "another engine" };
    });
    await order(server, 1);
    await until(() => letters.length === 1, "the letter was told");
    expect(letters[0]).toMatch(/^tezzeret handed over 3 times/);
    expect(declined).toBe(3);
  });
});

describe("the registry", () => {
  it("tells every actor with its node, its subjects and their schemas; a forge's tasks with its words and its cost", async () => {
    const server = await serverWith({ description: { node: "first", tags: [], costTier: 4 }, payloadBytesMax: 4_194_304 });
    const urza = await server.oona.connect("urza");
    cleanups.push(() => urza.close());
    await urza.respond("library.kernel.find", async (): Promise<ReplyOf<"library.kernel.find">> => ({ kind: "missing" }));
    await connectTo(await joinAs(forgeFile(server.dataDir), { payloadBytesMax: 4_194_304 }));
    const found = await listServices(server.dataDir, ports, { waitMs: 500 });
    const library = found.find(({ service }) => service === "urza");
    expect(library).toMatchObject({ node: "first", costTier: 4, tags: [] });
    expect(library?.offers[0]).toMatchObject({
      kind: "request",
      subject: "library.kernel.find",
      payload: { type: "object", properties: { keyHash: { type: "string" } } },
      reply: { oneOf: expect.any(Array) },
    });
    const forge = found.find(({ service }) => service === "tezzeret");
    expect(forge).toMatchObject({ node: "forge-1", costTier: 2, tags: ["avx512"] });
    expect(forge?.offers).toMatchObject([
      { kind: "task", subject: "compilation.blueprint.submitted", payload: { type: "object", required: expect.any(Array) } },
    ]);
  });

  it("of a server whose messages are small tells what fits", async () => {
    const server = await serverWith();
    const gate = await server.oona.connect("gate");
    cleanups.push(() => gate.close());
    await gate.respond("control.kasmina.commands", async ({ requestId }) => refusal(requestId));
    const found = await listServices(server.dataDir, ports, { waitMs: 500 });
    const offer = found.find(({ service }) => service === "gate")?.offers[0];
    expect(offer).toMatchObject({ kind: "request", subject: "control.kasmina.commands" });
    expect(offer).not.toHaveProperty("payload");
  });
});
