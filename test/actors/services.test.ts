/** Urza, Nissa, Tamiyo and the outbox, each alone on the bus in memory. */
import { describe, expect, it } from "vitest";
import { createNissaMemory, startNissa } from "../../src/actors/nissa.ts";
import { createOutbox } from "../../src/actors/outbox.ts";
import { type PolicyMemory, startTamiyo } from "../../src/actors/tamiyo.ts";
import { startUrza } from "../../src/actors/urza.ts";
import type { KernelTags } from "../../src/contracts/characterization.ts";
import type { CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { ServiceError } from "../../src/contracts/errors.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import type { InputOf } from "../../src/contracts/subjects.ts";
import { createDecisionStore } from "../../src/store/decision-store.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { kernelKeyHash } from "../../src/store/library.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { config, signal } from "../policy/fixtures.ts";
import {
  blueprint,
  fieldReport,
  host as hostAsset,
  kernel,
  tags,
  temporaryDatabase,
  temporaryFolder,
  testArtifacts,
  testLedger,
  transition,
} from "../store/support.ts";
import { authority, characterizeTask, compileTask, doorPorts } from "../support/forge.ts";
import { createActorWorld, gate } from "./support.ts";

describe("Urza", () => {
  const start = async () => {
    const world = createActorWorld();
    const disk = { fileSystem: nodeFileSystem, dataDir: temporaryFolder() };
    const { library } = await testArtifacts({ ...disk, database: temporaryDatabase() });
    await startUrza(world.ports, library, doorPorts);
    return { ...world, library, tolaria: await world.as("tolaria"), kasmina: await world.as("kasmina") };
  };

  it("stores an asset once and hands it out by its hash", async () => {
    const { tolaria } = await start();
    const put = { kind: "blueprint" as const, asset: blueprint(), inputs: [], producer: "tolaria" };
    const stored = await tolaria.request("library.asset.put", put);
    if (stored.kind !== "reply" || stored.value.kind !== "stored") throw new Error(JSON.stringify(stored));
    const { hash } = stored.value;
    expect(await tolaria.request("library.asset.put", put)).toMatchObject({ value: { kind: "stored", hash, existed: true } });
    expect(await tolaria.request("library.asset.get", { kind: "blueprint", hash })).toMatchObject({
      value: { kind: "found", asset: blueprint() },
    });
    expect(await tolaria.request("library.asset.get", { kind: "kernel", hash })).toMatchObject({
      value: { kind: "missing", reason: `no kernel with the hash ${hash}` },
    });
  });

  it("refuses what does not fit with the reason, and goes on", async () => {
    const { tolaria } = await start();
    const outcome = await tolaria.request("library.asset.put", { kind: "kernel", asset: { no: 1 }, inputs: [], producer: "t" });
    expect(outcome).toMatchObject({ kind: "reply", value: { kind: "refused", reason: expect.stringMatching(/kernel/) } });
    expect(await tolaria.request("library.asset.get", { kind: "kernel", hash: "a".repeat(64) })).toMatchObject({
      value: { kind: "missing" },
    });
  });

  it("keeps what a kernel was measured to be, finds it by kind, machine and tags, and keeps no problem", async () => {
    const { as, clock, tolaria } = await start();
    const stored = await tolaria.request("library.asset.put", { kind: "kernel", asset: kernel(), inputs: [], producer: "t" });
    if (stored.kind !== "reply" || stored.value.kind !== "stored") throw new Error(JSON.stringify(stored));
    const kernelHash = stored.value.hash;
    const urabrask = await as("urabrask");
    const tamiyo = await as("tamiyo");
    const keep = (characterized: KernelTags) => {
      const ofKernel = { kernelHash, keyHash: kernelKeyHash(kernel().key) };
      const { token } = characterizeTask(clock.nowMs(), 60_000, {}, ofKernel);
      return urabrask.request("library.tags.put", { characterized, token });
    };
    const { measured: _measured, ...bare } = tags({ kernelHash, tags: [] });
    // It is the library's word which kernel the task is about, not that of whoever measured one.
    expect(await keep(tags({ kernelHash: "e".repeat(64) }))).toMatchObject({
      value: { kind: "refused", code: "other_artifact" },
    });
    const find = async (query: InputOf<"library.tags.find">) => {
      const outcome = await tamiyo.request("library.tags.find", query);
      return outcome.kind === "reply" ? outcome.value.found : outcome;
    };
    expect(await keep({ ...bare, problem: "the lane was lost" })).toMatchObject({ value: { kind: "stored" } });
    expect(await find({})).toEqual([]);
    const known = tags({ kernelHash });
    expect(await keep(known)).toMatchObject({ value: { kind: "stored" } });
    expect(await find({})).toEqual([known]);
    expect(await find({ kind: "dense", machine: "here", tags: ["stable", "fast"] })).toEqual([known]);
    expect(await find({ tags: ["stable", "heavy"] })).toEqual([]);
    expect(await find({ machine: "there" })).toEqual([]);
    expect(await find({ kernelHash: "e".repeat(64) })).toEqual([]);
  });

  it("Z1 whoever works on a task gets and writes what the task names, and nothing else", async () => {
    const { as, clock, tolaria } = await start();
    const tezzeret = await as("tezzeret");
    const forge = await as("forge");
    const { token, goal } = compileTask(clock.nowMs());
    const { keyHash } = goal;
    const put = (asset: unknown, kind: "blueprint" | "kernel" | "host", opened?: string) =>
      forge.request("library.asset.put", {
        kind,
        asset,
        inputs: [],
        producer: "tezzeret",
        ...(opened === undefined ? {} : { token: opened }),
      });
    const refused = (code: string) => ({ kind: "reply", value: { kind: "refused", code } });
    expect(await put(kernel(), "kernel")).toMatchObject(refused("no_token"));
    expect(await put(kernel(), "kernel", `${token}A`)).toMatchObject(refused("forged_token"));
    const others = kernel({ key: { ...kernel().key, seedId: "seed:h9" } });
    expect(await put(others, "kernel", token)).toMatchObject(refused("other_artifact"));
    expect(await put({ ...blueprint(), request: { ...blueprint().request, hiddenWidth: 5 } }, "blueprint", token)).toMatchObject(
      refused("other_artifact"),
    );
    expect(await put({ key: 1 }, "kernel", token)).toMatchObject(refused("other_artifact"));
    expect(await put(hostAsset, "host", token)).toMatchObject(refused("other_artifact"));
    expect(await put(blueprint(), "blueprint", token)).toMatchObject({ value: { kind: "stored" } });
    const stored = await put(kernel(), "kernel", token);
    if (stored.kind !== "reply" || stored.value.kind !== "stored") throw new Error(JSON.stringify(stored));

    // Its own kernel it may have again; another's only with that task's word.
    const { hash } = stored.value;
    const get = (hash: string, opened: string) => tezzeret.request("library.asset.get", { kind: "kernel", hash, token: opened });
    expect(await get(hash, token)).toMatchObject({ value: { kind: "found", hash } });
    const elsewhere = await tolaria.request("library.asset.put", { kind: "kernel", asset: others, inputs: [], producer: "t" });
    if (elsewhere.kind !== "reply" || elsewhere.value.kind !== "stored") throw new Error(JSON.stringify(elsewhere));
    expect(await get(elsewhere.value.hash, token)).toMatchObject(refused("other_artifact"));
    expect(await tezzeret.request("library.kernel.find", { keyHash, token })).toMatchObject({ value: { kind: "found", hash } });
    expect(await tezzeret.request("library.kernel.find", { keyHash: "0".repeat(64), token })).toMatchObject(
      refused("other_artifact"),
    );
    expect(await forge.request("library.tags.find", { kernelHash: hash, token })).toMatchObject({
      value: { found: [], refused: { code: "other_subject" } },
    });
    expect(await forge.request("library.tags.put", { characterized: tags(), token })).toMatchObject(refused("other_subject"));
    await clock.advance(120_000);
    expect(await get(hash, token)).toMatchObject(refused("expired_token"));
    expect(authority.read(token)?.taskId).toMatch(/^compile-/);
  });

  it("keeps a field report once, however often it comes", async () => {
    const { kasmina, library, clock } = await start();
    await kasmina.publish("innovation.field_reports", fieldReport(), { messageId: "one" });
    await kasmina.publish("innovation.field_reports", fieldReport(), { messageId: "one" });
    await clock.flush();
    expect(library.fieldReports(10)).toHaveLength(1);
  });
});

describe("Nissa", () => {
  const start = async (append: (runId: string | undefined, envelope: Envelope) => Promise<boolean>) => {
    const world = createActorWorld();
    const shown: string[] = [];
    const child = await startNissa(world.ports, {
      sink: { append },
      watch: ({ subject }) => shown.push(subject),
      performance: () => ({ atMs: 1, breakers: [], queues: [] }),
      health: () => ({ atMs: 1, live: true, ready: true, reasons: [], actors: [] }),
      memory: createNissaMemory(),
      decisions: createDecisionStore(temporaryDatabase()),
    });
    return { ...world, child, shown, kasmina: await world.as("kasmina"), tolaria: await world.as("tolaria") };
  };

  it("N1 an event is shown, and acknowledged, only once it is in the log", async () => {
    const door = gate();
    const { kasmina, shown, clock } = await start(() => door.passed.then(() => true));
    await kasmina.publish("system.events.seed", transition(1, "DORMANT", "GERMINATED"));
    await clock.flush();
    expect(shown).toEqual([]);
    door.open();
    await clock.flush();
    expect(shown).toEqual(["system.events.seed"]);
  });

  it("N2 a log that cannot be written is tried again until it can; nothing is lost and the order stays", async () => {
    let full = true;
    const written: string[] = [];
    const { kasmina, shown, clock } = await start(async (runId) => {
      if (full) throw new ServiceError("the disk is full");
      written.push(`${runId}`);
      return true;
    });
    await kasmina.publish("system.events.seed", transition(1, "DORMANT", "GERMINATED"));
    await clock.advance(10_000);
    expect([written, shown]).toEqual([[], []]);
    full = false;
    await clock.advance(10_000);
    expect(written).toEqual(["r-1"]);
    expect(shown).toEqual(["system.events.seed"]);
  });

  it("N3 what the log holds already is not shown again; telemetry is shown and never logged", async () => {
    const logged: string[] = [];
    const { kasmina, tolaria, shown, clock } = await start(async (_, { subject }) => {
      logged.push(subject);
      return false;
    });
    await kasmina.publish("system.events.seed", transition(1, "DORMANT", "GERMINATED"));
    const progress = { runId: "r-1", arm: "grown", epoch: 1, work: "host", step: 1, steps: 2, loss: 1 };
    await tolaria.publish("telemetry.run.progress", progress);
    await clock.flush();
    expect(logged).toEqual(["system.events.seed"]);
    expect(shown).toEqual(["telemetry.run.progress"]);
  });

  it("a command goes to the log of the run it was told to, and one to a run that is unknown to none", async () => {
    const runs: (string | undefined)[] = [];
    const { kasmina, clock } = await start(async (runId) => {
      runs.push(runId);
      return true;
    });
    const command: KasminaControlCommand = { requestId: "q", kind: "pause", runId: "r-1" };
    const refused = (code: "already_paused" | "unknown_run"): CommandReceipt => ({
      kind: "refused",
      requestId: "q",
      code,
      reason: "no",
    });
    await kasmina.publish("system.events.command", { command, sender: "operator", receipt: refused("already_paused") });
    await kasmina.publish("system.events.command", { command, sender: "operator", receipt: refused("unknown_run") });
    await clock.flush();
    expect(runs).toEqual(["r-1", undefined]);
  });
});

describe("Tamiyo", () => {
  const start = async (receipt: (command: KasminaControlCommand) => CommandReceipt, memory: PolicyMemory = new Map()) => {
    const world = createActorWorld();
    const urza = await world.as("urza");
    await urza.respond("library.tags.find", async () => ({ found: [] }));
    await startTamiyo(world.ports, { morphogenetic: config, validationBatches: 2, memory, machine: "here" });
    const [kasmina, gate] = [await world.as("kasmina"), await world.as("gate")];
    const commands: KasminaControlCommand[] = [];
    await gate.respond("control.kasmina.commands", async (command) => {
      commands.push(command);
      return receipt(command);
    });
    return { ...world, kasmina, commands, memory };
  };
  const accepted = ({ requestId }: KasminaControlCommand): CommandReceipt => ({
    kind: "accepted",
    requestId,
    runId: "r-1",
    appliesAtEpoch: 9,
    detail: "",
  });
  const sick = (epoch: number) => signal(epoch, { h1: 0.0001, h2: 0.3, h3: 0.0001 });

  it("asks for a repair after as many checks as configured, and tells each decision", async () => {
    const world = await start(accepted);
    for (const epoch of [4, 5]) {
      await world.kasmina.publish("telemetry.seed.health", sick(epoch));
      await world.clock.flush();
    }
    expect(world.commands).toMatchObject([{ kind: "germinate", seedId: "seed:h2" }]);
    expect(world.sent("system.events.decision").map(({ outcome }) => outcome)).toEqual(["wait", "germinate"]);
  });

  it("Y1 a refusal is told as one, with its reason; so is silence", async () => {
    const refusing = await start(({ requestId }) => ({
      kind: "refused",
      requestId,
      code: "lock_held",
      reason: "h1 is in trial",
    }));
    const silent = createActorWorld();
    await startTamiyo(silent.ports, { morphogenetic: config, validationBatches: 2, memory: new Map(), machine: "here" });
    const kasmina = await silent.as("kasmina");
    for (const epoch of [4, 5]) {
      await refusing.kasmina.publish("telemetry.seed.health", sick(epoch));
      await kasmina.publish("telemetry.seed.health", sick(epoch));
      await refusing.clock.flush();
      await silent.clock.advance(6_000);
    }
    expect(refusing.sent("system.events.decision").at(-1)).toMatchObject({
      outcome: "refused",
      reason: expect.stringMatching(/refused \(lock_held\): h1 is in trial$/),
    });
    expect(silent.sent("system.events.decision").at(-1)).toMatchObject({
      outcome: "refused",
      reason: expect.stringMatching(/the Gate gave no receipt \(unavailable\)/),
    });
  });

  it("Y2 what she remembers outlives her: the next Tamiyo needs one more check, not two", async () => {
    const first = await start(accepted);
    await first.kasmina.publish("telemetry.seed.health", sick(4));
    await first.clock.flush();
    const second = await start(accepted, first.memory);
    await second.kasmina.publish("telemetry.seed.health", sick(5));
    await second.clock.flush();
    expect(second.commands).toHaveLength(1);
  });
});

describe("the outbox", () => {
  const start = async () => {
    const world = createActorWorld();
    const database = temporaryDatabase();
    const ledger = testLedger(database);
    const runs = createRunStore({ database, ledger, idempotencyMs: 1000, outboxMessagesMax: 1000, boundariesMax: 4 });
    const bus = await world.as("kasmina");
    return { ...world, runs, bus, outbox: createOutbox(bus, runs, world.clock, silentLog) };
  };
  const message = (n: number) => ({ subject: "innovation.field_reports", payload: fieldReport("r-1", `report ${n}`) });

  it("sends in order, more than one batch, and marks each as sent", async () => {
    const { runs, outbox, sent } = await start();
    runs.enqueue(Array.from({ length: 300 }, (_, n) => message(n)));
    await outbox.flush();
    expect(sent("innovation.field_reports").map(({ reason }) => reason)).toEqual(
      Array.from({ length: 300 }, (_, n) => `report ${n}`),
    );
    expect(runs.pendingOutbox(10)).toEqual([]);
  });

  it("what cannot be sent stays, in order, for the next time", async () => {
    const { runs, outbox, sent, bus, ports, clock } = await start();
    runs.enqueue([message(1), message(2)]);
    await bus.close();
    await outbox.flush();
    expect(runs.pendingOutbox(10)).toHaveLength(2);
    await createOutbox(await ports.connect("kasmina"), runs, clock, silentLog).flush();
    expect(sent("innovation.field_reports").map(({ reason }) => reason)).toEqual(["report 1", "report 2"]);
  });

  it("many calls while one is being sent are one more attempt", async () => {
    const { runs, bus, clock } = await start();
    const { passed, open } = gate();
    let attempts = 0;
    const publish: typeof bus.publish = async () => {
      attempts += 1;
      if (attempts === 1) await passed;
      return { kind: "failed", reason: "the stream is full" };
    };
    const outbox = createOutbox({ ...bus, publish }, runs, clock, silentLog);
    runs.enqueue([message(1)]);
    const first = outbox.flush();
    await clock.flush();
    const others = Array.from({ length: 50 }, () => outbox.flush());
    open();
    await Promise.all([first, ...others]);
    expect(attempts).toBe(2);
    await outbox.flush();
    expect(attempts).toBe(3);
  });

  it("B1 what a lost stream made wait again goes out before what is newer, though a batch was under way", async () => {
    const { runs, bus, clock, sent } = await start();
    runs.enqueue([message(1)]);
    await createOutbox(bus, runs, clock, silentLog).flush();
    runs.enqueue([message(2), message(3)]);
    let lose = true;
    const publish: typeof bus.publish = async (subject, payload, options) => {
      const outcome = await bus.publish(subject, payload, { ...options, messageId: `${options?.messageId} ${lose}` });
      // While the second is on its way.
      if (lose) runs.sendAgain({ subjects: ["innovation.field_reports"], nowMs: clock.nowMs() });
      lose = false;
      return outcome;
    };
    await createOutbox({ ...bus, publish }, runs, clock, silentLog).flush();
    expect(sent("innovation.field_reports").map(({ reason }) => reason)).toEqual([1, 2, 1, 2, 3].map((n) => `report ${n}`));
    expect(runs.pendingOutbox(10)).toEqual([]);
  });

  it("B2 B3 it does not wait for a stream that is gone, and tries again by itself until it is told to end", async () => {
    const { runs, bus, clock, sent } = await start();
    let away = true;
    const options: unknown[] = [];
    const publish: typeof bus.publish = async (subject, payload, send) => {
      options.push(send?.atOnce);
      return away ? { kind: "failed", reason: "no stream keeps it" } : bus.publish(subject, payload, send);
    };
    const outbox = createOutbox({ ...bus, publish }, runs, clock, silentLog);
    const end = outbox.keepSending();
    runs.enqueue([message(1)]);
    await clock.advance(2_000);
    expect([options, runs.pendingOutbox(10).length]).toEqual([[true], 1]);
    away = false;
    await clock.advance(2_000);
    expect([sent("innovation.field_reports").length, runs.pendingOutbox(10)]).toEqual([1, []]);
    end();
    expect(clock.pending()).toBe(0);
  });

  it("messages of two databases that share a number are two messages; the same one again is one", async () => {
    const first = await start();
    first.runs.enqueue([message(1)]);
    await first.outbox.flush();
    const send = async (n: number): Promise<void> => {
      const database = temporaryDatabase();
      const runs = createRunStore({
        database,
        ledger: testLedger(database),
        idempotencyMs: 1000,
        outboxMessagesMax: 10,
        boundariesMax: 4,
      });
      runs.enqueue([message(n)]);
      await createOutbox(first.bus, runs, first.clock, silentLog).flush();
      expect(runs.pendingOutbox(1)).toEqual([]);
    };
    await send(2);
    await send(1);
    expect(first.sent("innovation.field_reports").map(({ reason }) => reason)).toEqual(["report 1", "report 2"]);
  });

  it("a message without a known subject is dropped and does not block the others", async () => {
    const { runs, outbox, sent } = await start();
    runs.enqueue([{ subject: "system.events.nothing", payload: {} }, message(1)]);
    await outbox.flush();
    expect(sent("innovation.field_reports")).toHaveLength(1);
    expect(runs.pendingOutbox(10)).toEqual([]);
  });
});
