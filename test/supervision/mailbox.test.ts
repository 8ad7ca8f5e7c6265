import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMailbox, type DeadLetter, type Mailbox } from "../../src/supervision/mailbox.ts";
import { createSimulatedClock } from "../support/clock.ts";

const setUp = (capacity: number, handler: (n: number) => void | Promise<void>, burstMessages = 1000) => {
  const clock = createSimulatedClock();
  const letters: DeadLetter<number>[] = [];
  const crashes: unknown[] = [];
  const mailbox = createMailbox<number>({
    capacity,
    clock,
    handler,
    burstMessages,
    onCrash: (error) => crashes.push(error),
    onDeadLetter: (letter) => letters.push(letter),
  });
  return { clock, letters, crashes, mailbox };
};

describe("mailbox", () => {
  it("M1 handles one at a time in order, though a handler is slow", async () => {
    const trace: string[] = [];
    const m = setUp(8, async (n) => {
      trace.push(`in ${n}`);
      await new Promise<void>((resolve) => m.clock.schedule(n === 1 ? 50 : 1, resolve));
      trace.push(`out ${n}`);
    });
    m.mailbox.enqueue(1);
    m.mailbox.enqueue(2);
    await m.clock.advance(49);
    expect(trace).toEqual(["in 1"]);
    await m.clock.advance(10);
    expect(trace).toEqual(["in 1", "out 1", "in 2", "out 2"]);
    expect(m.mailbox.stats()).toMatchObject({ processed: 2, processingMsTotal: 51, processingMsMax: 50, mailboxDepthMax: 2 });
  });

  it("M2 takes `capacity` messages and refuses the next", async () => {
    const handled: number[] = [];
    const m = setUp(3, (n) => {
      handled.push(n);
    });
    expect([1, 2, 3].map((n) => m.mailbox.enqueue(n).kind)).toEqual(["accepted", "accepted", "accepted"]);
    expect(m.mailbox.enqueue(4)).toEqual({ kind: "overflow" });
    expect(m.letters).toEqual([{ message: 4, reason: "overflow" }]);
    await m.clock.flush();
    expect(handled).toEqual([1, 2, 3]);
    expect(m.mailbox.enqueue(5)).toEqual({ kind: "accepted" });
  });

  it("M3 a ping-pong of 100k messages between peers does not overflow the stack", async () => {
    const clock = createSimulatedClock();
    const hops = 100_000;
    let seen = 0;
    const peers: Mailbox<number>[] = [0, 1].map((me) =>
      createMailbox<number>({
        capacity: 1,
        clock,
        onCrash: (error) => {
          throw error;
        },
        handler: (n) => {
          seen++;
          if (n < hops) peers[1 - me]!.enqueue(n + 1);
        },
      }),
    );
    peers[0]!.enqueue(1);
    await clock.flush();
    expect(seen).toBe(hops);
  });

  it("M3 the handler never runs inside enqueue", () => {
    let ran = false;
    const m = setUp(1, () => {
      ran = true;
    });
    m.mailbox.enqueue(1);
    expect(ran).toBe(false);
  });

  it("M4 M5 a throw is reported once; the message and those behind it are dead letters, and so is every later one", async () => {
    const m = setUp(8, (n) => {
      if (n === 2) throw new Error("two");
    });
    for (const n of [1, 2, 3, 4]) m.mailbox.enqueue(n);
    await m.clock.flush();
    expect(m.crashes).toEqual([new Error("two")]);
    expect(m.mailbox.enqueue(5)).toEqual({ kind: "closed" });
    await m.clock.flush();
    expect(m.crashes).toHaveLength(1);
    expect(m.letters).toEqual([
      { message: 2, reason: "failed" },
      { message: 3, reason: "crashed" },
      { message: 4, reason: "crashed" },
      { message: 5, reason: "crashed" },
    ]);
    expect(m.mailbox.stats()).toMatchObject({ processed: 1, deadLetters: 4, mailboxDepth: 0 });
  });

  it("M4 a rejection is the same crash", async () => {
    const m = setUp(2, () => Promise.reject(new Error("later")));
    m.mailbox.enqueue(1);
    await m.clock.flush();
    expect(m.crashes).toEqual([new Error("later")]);
  });

  it("close drains", async () => {
    const handled: number[] = [];
    const m = setUp(8, (n) => {
      handled.push(n);
    });
    for (const n of [1, 2, 3]) m.mailbox.enqueue(n);
    const closing = m.mailbox.close("drain");
    expect(m.mailbox.enqueue(4)).toEqual({ kind: "closed" });
    await closing;
    expect(handled).toEqual([1, 2, 3]);
    expect(m.letters).toEqual([{ message: 4, reason: "closed" }]);
  });

  it("close drops, but waits for the message in hand", async () => {
    const handled: number[] = [];
    const m = setUp(8, async (n) => {
      await new Promise<void>((resolve) => m.clock.schedule(10, resolve));
      handled.push(n);
    });
    for (const n of [1, 2, 3]) m.mailbox.enqueue(n);
    await m.clock.flush();
    let closedAtMs = -1;
    void m.mailbox.close("drop").then(() => {
      closedAtMs = m.clock.monotonicMs();
    });
    expect(m.letters.map((letter) => letter.message)).toEqual([2, 3]);
    await m.clock.advance(20);
    expect(closedAtMs).toBe(10);
    expect(handled).toEqual([1]);
  });

  it("close of an idle mailbox resolves", async () => {
    await setUp(1, () => {}).mailbox.close("drain");
  });

  it("M6 gives the event loop a turn after a burst", async () => {
    const handled: number[] = [];
    const m = setUp(100, (n) => void handled.push(n), 10);
    for (let n = 0; n < 25; n++) m.mailbox.enqueue(n);
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled).toHaveLength(10);
    await m.clock.flush();
    expect(handled).toHaveLength(25);
  });

  it("a throw of the dead-letter callback is counted and harms nobody", async () => {
    const clock = createSimulatedClock();
    const mailbox = createMailbox<number>({
      capacity: 1,
      clock,
      handler: () => {},
      onCrash: () => {},
      onDeadLetter: () => {
        throw new Error("no bus");
      },
    });
    mailbox.enqueue(1);
    expect(mailbox.enqueue(2)).toEqual({ kind: "overflow" });
    await clock.flush();
    expect(mailbox.stats()).toMatchObject({ processed: 1, deadLetterErrors: 1 });
  });

  it.each(Array.from({ length: 12 }, (_, hops) => hops))(
    "a message %i microtasks after the first is not forgotten",
    async (hops) => {
      const handled: number[] = [];
      const m = setUp(4, (n) => void handled.push(n));
      m.mailbox.enqueue(1);
      for (let hop = 0; hop < hops; hop++) await Promise.resolve();
      m.mailbox.enqueue(2);
      await m.clock.flush();
      expect(handled).toEqual([1, 2]);
    },
  );

  it.each([0, 1.5, Number.NaN])("refuses a capacity of %s", (capacity) => {
    expect(() => setUp(capacity, () => {})).toThrow("expected capacity to be an integer ≥ 1");
  });

  it("M5 holds for any traffic: processed + dead letters + waiting = sent, in order", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.constantFrom("send", "poison", "flush", "drop", "drain"), { maxLength: 40 }),
        async (capacity, steps) => {
          const handled: number[] = [];
          const poison = new Set<number>();
          const m = setUp(capacity, (n) => {
            if (poison.has(n)) throw new Error("poison");
            handled.push(n);
          });
          let sent = 0;
          for (const step of steps) {
            if (step === "flush") await m.clock.flush();
            else if (step === "drop" || step === "drain") void m.mailbox.close(step);
            else {
              sent++;
              if (step === "poison") poison.add(sent);
              m.mailbox.enqueue(sent);
            }
            expect(m.mailbox.stats().mailboxDepth).toBeLessThanOrEqual(capacity);
          }
          await m.clock.flush();
          const stats = m.mailbox.stats();
          expect(stats.mailboxDepth).toBe(0);
          expect(stats.processed + stats.deadLetters).toBe(sent);
          expect([...handled, ...m.letters.map((letter) => letter.message)].sort((a, b) => a - b)).toEqual(
            Array.from({ length: sent }, (_, index) => index + 1),
          );
          expect(handled).toEqual([...handled].sort((a, b) => a - b));
          expect(m.crashes.length).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 200 },
    );
  });
});
