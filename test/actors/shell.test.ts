/** The shell of every actor: A1 to A5. */
import { describe, expect, it } from "vitest";
import { type ActorScope, startActor } from "../../src/actors/shell.ts";
import type { ReplyOf } from "../../src/contracts/subjects.ts";
import { fieldReport } from "../store/support.ts";
import { createActorWorld, gate } from "./support.ts";

const report = (n: number) => fieldReport("r-1", `report ${n}`);

/** Urza's shell with a handler of the test's own for field reports. */
const start = async (handler: (reason: string, scope: ActorScope) => void | Promise<void>, mailboxMessagesMax?: number) => {
  const world = createActorWorld(mailboxMessagesMax);
  let disposed = 0;
  const child = await startActor("urza", world.ports, async (scope) => {
    scope.onEnd(() => {
      disposed += 1;
    });
    await scope.on("innovation.field_reports", ({ reason }) => handler(reason, scope));
    await scope.answer("library.kernel.find", async ({ keyHash }): Promise<ReplyOf<"library.kernel.find">> => {
      await handler(keyHash, scope);
      return { kind: "missing" };
    });
  });
  const kasmina = await world.as("kasmina");
  const tezzeret = await world.as("tezzeret");
  return { ...world, child, kasmina, tezzeret, disposed: () => disposed };
};

const key = "a".repeat(64);

describe("A1 one message at a time", () => {
  it("a question waits for the message that is at work", async () => {
    const door = gate();
    const order: string[] = [];
    const world = await start(async (what) => {
      order.push(`begin ${what.slice(0, 8)}`);
      if (what === "report 1") await door.passed;
      order.push(`end ${what.slice(0, 8)}`);
    });
    await world.kasmina.publish("innovation.field_reports", report(1));
    await world.clock.flush();
    const asked = world.tezzeret.request("library.kernel.find", { keyHash: key });
    await world.clock.flush();
    expect(order).toEqual(["begin report 1"]);
    door.open();
    expect(await asked).toEqual({ kind: "reply", value: { kind: "missing" } });
    expect(order).toEqual(["begin report 1", "end report 1", "begin aaaaaaaa", "end aaaaaaaa"]);
  });
});

describe("A2 and A3", () => {
  it("A3 a handler that throws ends the actor as a crash; A2 the message comes again to the next generation", async () => {
    const seen: string[] = [];
    const world = await start((reason) => {
      throw new Error(`cannot take ${reason}`);
    });
    await world.kasmina.publish("innovation.field_reports", report(1));
    await world.clock.flush();
    expect(await world.child.exited).toMatchObject({ kind: "crash", error: { message: "cannot take report 1" } });
    expect(world.disposed()).toBe(1);
    await startActor("urza", world.ports, async ({ on }) => {
      await on("innovation.field_reports", ({ reason }) => void seen.push(reason));
    });
    await world.clock.advance(5_000);
    expect(seen).toEqual(["report 1"]);
  });

  it("A2 a message that finds the mailbox full is a dead letter of the actor", async () => {
    const door = gate();
    const world = await start(() => door.passed, 1);
    const asked = [1, 2, 3].map(() => world.tezzeret.request("library.kernel.find", { keyHash: key }));
    await world.kasmina.publish("innovation.field_reports", report(1));
    for (let i = 0; i < 5; i += 1) await world.clock.flush();
    door.open();
    await world.clock.advance(10_000);
    const outcomes = await Promise.all(asked);
    expect(outcomes.some(({ kind }) => kind === "reply")).toBe(true);
    expect((await world.child.inspect?.())?.processed).toBeGreaterThan(0);
  });
});

describe("A4 and A5", () => {
  it("A4 a lost connection ends the actor as a crash that says so", async () => {
    const world = await start(() => undefined);
    world.broker.lose("urza", "the server is gone");
    expect(await world.child.exited).toMatchObject({
      kind: "crash",
      error: { message: "urza lost its connection to the bus: the server is gone" },
    });
  });

  it("A5 after stop no handler starts, the disposer ran once, and nobody answers", async () => {
    const seen: string[] = [];
    const world = await start((reason) => void seen.push(reason));
    await world.child.stop("for the test");
    await world.child.stop("for the test");
    expect(await world.child.exited).toEqual({ kind: "shutdown" });
    await world.kasmina.publish("innovation.field_reports", report(1));
    await world.clock.advance(1_000);
    expect(seen).toEqual([]);
    expect(world.disposed()).toBe(1);
    expect((await world.tezzeret.request("library.kernel.find", { keyHash: key })).kind).toBe("unavailable");
  });

  it("A5 kill counts as a crash; `end` without an error as the normal end", async () => {
    const killed = await start(() => undefined);
    killed.child.kill?.();
    expect(await killed.child.exited).toMatchObject({ kind: "crash", error: { message: "urza was killed" } });
    const ended = await start((_, scope) => scope.end());
    await ended.kasmina.publish("innovation.field_reports", report(1));
    await ended.clock.flush();
    expect(await ended.child.exited).toEqual({ kind: "normal" });
  });

  it("a build that fails closes the connection and throws its error", async () => {
    const world = createActorWorld();
    let disposed = false;
    const started = startActor("urza", world.ports, async (scope) => {
      scope.onEnd(() => {
        disposed = true;
      });
      await scope.answer("control.kasmina.commands", () => {
        throw new Error("never asked");
      });
    });
    await expect(started).rejects.toThrow("expected a listener of control.kasmina.commands, got urza");
    expect(disposed).toBe(true);
  });
});
