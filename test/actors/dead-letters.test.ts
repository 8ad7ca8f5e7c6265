/** The dead-letter desk on the bus in memory: kept, shown, sent again, dropped. */
import { describe, expect, it } from "vitest";
import { startDeadLetters } from "../../src/actors/dead-letters.ts";
import type { DeadLetter } from "../../src/bus/create.ts";
import type { DeadLetterReport } from "../../src/contracts/dead-letter.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { createLetterTeller, toldOfConsumer } from "../../src/node/dead-letters.ts";
import { createDeadLetterStore, type DeadLetterStore } from "../../src/store/dead-letters.ts";
import { temporaryDatabase } from "../store/support.ts";
import { createActorWorld } from "./support.ts";

const start = async (over: Partial<DeadLetterStore> = {}) => {
  const world = createActorWorld();
  const store = createDeadLetterStore({ database: temporaryDatabase(), lettersMax: 10 });
  const child = await startDeadLetters(world.ports, { ...store, ...over });
  const operator = await world.broker.connect("operator");
  const supervisor = await world.as("supervisor");
  const { clock } = world;
  const { tell } = createLetterTeller({ bus: () => supervisor, clock, log: silentLog, letterBytesMax: 2_000 });
  const list = async () => {
    const outcome = await operator.request("query.dead_letters", { kind: "list" });
    return outcome.kind === "reply" && outcome.value.kind === "letters" ? outcome.value.letters : [];
  };
  const gate = await world.as("gate");
  const by = { principal: "operator", role: "operator", transport: "nats" } as const;
  const order = async (action: "retry" | "drop", id: number, requestId = `${action}-${id}`) => {
    const command = { kind: "dead_letter", action, id, requestId } as const;
    const outcome = await gate.request("control.letters.admitted", { by, command });
    return outcome.kind === "reply" ? outcome.value : outcome;
  };
  return { ...world, store, child, operator, supervisor, tell, list, order };
};

/** Nissa cannot handle one message; its letter. */
const die = async (world: Awaited<ReturnType<typeof start>>, works: () => boolean, seen: string[] = []) => {
  const nissa = await world.as("nissa");
  await nissa.subscribe("system.events.run", (_, { id }) => {
    if (!works()) throw new Error("the disk is full");
    seen.push(id);
  });
  const tolaria = await world.as("tolaria");
  await tolaria.publish("system.events.run", { kind: "paused", runId: "r-1", epoch: 1 }, { messageId: "the-message" });
  await world.clock.advance(5_000);
  return world.broker.deadLetters.at(-1)!;
};

describe("the dead-letter desk", () => {
  it("Q2 a letter is kept, listed, shown, and sent again with its own id; the retry is told", async () => {
    const world = await start();
    let works = false;
    const seen: string[] = [];
    await world.tell(await die(world, () => works, seen));
    await world.clock.flush();
    const [letter] = await world.list();
    expect(letter).toMatchObject({
      state: "waiting",
      principal: "nissa",
      subject: "system.events.run",
      messageId: "the-message",
      deliveries: 5,
      occurrences: 1,
      retries: 0,
      reason: "handed over 5 times, the last time: the disk is full",
    });
    expect(letter).not.toHaveProperty("stuck");
    const shown = await world.operator.request("query.dead_letters", { kind: "show", id: letter!.id });
    expect(shown).toMatchObject({ value: { kind: "letter", envelope: { id: "the-message", sender: "tolaria" } } });

    works = true;
    const done = {
      kind: "done",
      requestId: `retry-${letter!.id}`,
      detail: "the-message was put on system.events.run again",
    };
    expect(await world.order("retry", letter!.id)).toEqual(done);
    await world.clock.flush();
    expect(seen).toEqual(["the-message"]);
    expect(await world.list()).toMatchObject([{ state: "retried", retries: 1 }]);
    expect(world.sent("system.events.dead_letter").at(-1)).toMatchObject({
      kind: "retried",
      by: "operator",
      messageId: "the-message",
    });
    // The same request again is the same retry.
    await world.order("retry", letter!.id);
    await world.clock.flush();
    expect(seen).toEqual(["the-message"]);
  });

  it("L4 a retry in vain comes back as the same letter", async () => {
    const world = await start();
    await world.tell(await die(world, () => false));
    await world.clock.flush();
    await world.order("retry", 1);
    await world.clock.advance(5_000);
    await world.tell(world.broker.deadLetters.at(-1)!);
    await world.clock.flush();
    expect(await world.list()).toMatchObject([{ id: 1, state: "waiting", occurrences: 2, retries: 1 }]);
  });

  it("drop forgets it, and what there is not is refused", async () => {
    const world = await start();
    await world.tell(await die(world, () => false));
    await world.clock.flush();
    expect(await world.order("drop", 1)).toMatchObject({ kind: "done", detail: "dropped" });
    expect(await world.list()).toEqual([]);
    for (const kind of ["retry", "drop"] as const)
      expect(await world.order(kind, 1, "again")).toMatchObject({ kind: "refused", code: "unknown_letter" });
    expect(await world.operator.request("query.dead_letters", { kind: "show", id: 1 })).toMatchObject({
      value: { kind: "unknown" },
    });
  });

  it("Q3 a letter without its message, one that is none, and one that no longer fits are stuck, and stay", async () => {
    const world = await start();
    const base: DeadLetter = { principal: "nissa", subject: "system.events.run", reason: "no" };
    const place = (sequence: number) => ({ stream: "EVENTS", sequence, deliveries: 1 }) as const;
    const envelope = {
      id: "x",
      subject: "system.events.run",
      sender: "tolaria",
      sentAtMs: 1,
      traceId: "0".repeat(32),
      schemaVersion: 1 as const,
      payload: { kind: "nonsense" },
    };
    await world.tell({ ...base, place: place(1), raw: "{" });
    await world.tell({ ...base, place: place(2), envelope });
    await world.tell({ ...base, place: place(3), envelope: { ...envelope, id: "y", payload: "x".repeat(3_000) } });
    await world.clock.flush();
    const letters = await world.list();
    expect(letters.map(({ stuck }) => stuck)).toEqual([
      "it is no message of this program",
      expect.stringMatching(/^it does not fit system\.events\.run/),
      expect.stringMatching(/larger than is kept/),
    ]);
    for (const { id } of letters) expect(await world.order("retry", id)).toMatchObject({ kind: "refused", code: "stuck" });
    expect(await world.list()).toHaveLength(3);
  });

  it("told twice of the same place it is one letter; what dies of live messages and requests is told to people alone", async () => {
    const world = await start();
    const letter = await die(world, () => false);
    await world.tell(letter);
    await world.tell(letter);
    await world.tell({ principal: "nissa", subject: "telemetry.run.progress", reason: "more than 4 messages wait" });
    await world.clock.flush();
    expect(await world.list()).toHaveLength(1);
    expect(world.sent("system.events.supervision").map(({ detail }) => detail)).toEqual([
      "system.events.run: handed over 5 times, the last time: the disk is full",
      "telemetry.run.progress: more than 4 messages wait",
    ]);
  });

  it("a dead letter about a dead letter is logged and goes round no further; nor does one about an event of supervision", async () => {
    const world = await start();
    const place = { stream: "DEAD_LETTERS", sequence: 1, deliveries: 5 } as const;
    await world.tell({ principal: "supervisor", subject: "system.events.dead_letter", reason: "no", place });
    await world.tell({ principal: "nissa", subject: "system.events.supervision", reason: "no" });
    expect(world.broker.sent).toEqual([]);
  });

  it("a letter that cannot be told is an error, so that the message is kept", async () => {
    const letter: DeadLetter = {
      principal: "nissa",
      subject: "system.events.run",
      reason: "no",
      place: { stream: "EVENTS", sequence: 1, deliveries: 5 },
    };
    const { clock } = createActorWorld();
    const { tell } = createLetterTeller({ bus: () => undefined, clock, log: silentLog, letterBytesMax: 10 });
    await expect(tell(letter)).rejects.toThrow(
      /expected the dead letter of nissa on system\.events\.run to be stored: the bus is down/,
    );
  });

  it("Q1 a disk that refuses a letter is tried until it takes it, and the desk stays up", async () => {
    let full = true;
    const stored: DeadLetterReport[] = [];
    const world = await start({
      add: (report) => {
        if (full) throw new Error("no space left");
        stored.push(report);
        return { id: 1, isNew: true, pushedOut: 0 };
      },
    });
    await world.tell(await die(world, () => false));
    await world.clock.advance(30_000);
    expect(stored).toEqual([]);
    full = false;
    await world.clock.advance(1_000);
    expect(stored).toMatchObject([{ principal: "nissa", envelope: { id: "the-message" } }]);
  });

  it("an observer may look and not act", async () => {
    const world = await start();
    const observer = await world.broker.connect("observer");
    expect(await observer.request("query.dead_letters", { kind: "list" })).toMatchObject({ kind: "reply" });
    const by = { principal: "observer", role: "operator", transport: "nats" } as const;
    const command = { kind: "dead_letter", action: "drop", id: 1, requestId: "x" } as const;
    expect(await observer.request("control.letters.admitted", { by, command })).toMatchObject({ kind: "denied" });
  });
});

describe("telling", () => {
  it("E2 what dies in a row of live messages is told at once, then once in a while with its number", async () => {
    const world = await start();
    const lost: DeadLetter = { principal: "nissa", subject: "telemetry.run.progress", reason: "more than 4 messages wait" };
    for (let i = 0; i < 100; i++) await world.tell(lost);
    await world.tell({ ...lost, principal: "observer" });
    await world.clock.advance(1_000);
    await world.tell(lost);
    await world.clock.advance(5_000);
    expect(world.sent("system.events.supervision").map(({ child, detail }) => `${child} ${detail}`)).toEqual([
      "nissa telemetry.run.progress: more than 4 messages wait",
      "observer telemetry.run.progress: more than 4 messages wait",
      "nissa telemetry.run.progress: 99 more within 1000 ms",
      "nissa telemetry.run.progress: more than 4 messages wait",
    ]);
  });

  it("who does not keep up is told in words, however much was made again", () => {
    const place = { principal: "nissa", subject: "system.events.run" };
    expect(toldOfConsumer({ kind: "slow", ...place, waiting: 11, dropped: 0 })).toEqual({
      kind: "slow_consumer",
      child: "nissa",
      detail: "system.events.run: 11 messages wait",
    });
    expect(toldOfConsumer({ kind: "recovered", ...place, waiting: 2, dropped: 3 })).toMatchObject({
      kind: "consumer_recovered",
      detail: "system.events.run: 2 messages wait, 3 dropped",
    });
    const made = Array.from({ length: 10 }, (_, i) => `s${i}`);
    expect(toldOfConsumer({ kind: "restored", made })).toEqual({
      kind: "consumers_restored",
      child: "oona",
      detail: "were gone and are made again: s0, s1, s2, s3, s4, s5, s6, s7 and 2 more",
    });
  });
});
