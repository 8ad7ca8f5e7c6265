/** Who does not keep up is told; what is gone is made again, also after a server that lost everything. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { type ConsumerEvent, type ConsumerLook, keepStreams } from "../../src/bus/kept-streams.ts";
import { consumerSpecs, streamNames } from "../../src/bus/streams.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { outcomeFailed, progress, quietLog, startTestServer, supervision, type TestServer, until } from "./support.ts";

describe("keepStreams", () => {
  const limits = { healthMs: 100, slowMessagesMax: 10 };
  const start = (look: () => Promise<readonly ConsumerLook[] | undefined>, ensure: () => Promise<readonly string[]>) => {
    const clock = createSimulatedClock();
    const events: ConsumerEvent[] = [];
    const back: (() => void)[] = [];
    const state = { connected: true, looks: 0, ensures: 0 };
    const end = keepStreams({
      link: {
        connected: () => state.connected,
        onReconnect: (callback) => {
          back.push(callback);
          return () => back.splice(back.indexOf(callback), 1);
        },
      },
      ensure: () => {
        state.ensures++;
        return ensure();
      },
      look: () => {
        state.looks++;
        return look();
      },
      onConsumer: (event) => events.push(event),
      limits,
      clock,
      log: quietLog,
    });
    const reconnect = (): void => {
      for (const callback of back) callback();
    };
    return { clock, events, state, end, reconnect, listeners: () => back.length };
  };
  const waits = (waiting: number): readonly ConsumerLook[] => [{ principal: "nissa", subject: "system.events.run", waiting }];

  it("W2 at the bound all is well, above it slow is told once, and recovered at half of it", async () => {
    let waiting = 10;
    const { clock, events } = start(
      async () => waits(waiting),
      async () => [],
    );
    const whenWaiting = async (now: number) => {
      waiting = now;
      await clock.advance(100);
      return events.map((event) => (event.kind === "restored" ? event.kind : `${event.kind} ${event.waiting}`));
    };
    expect(await whenWaiting(10)).toEqual([]);
    expect(await whenWaiting(11)).toEqual(["slow 11"]);
    expect(await whenWaiting(50)).toEqual(["slow 11"]);
    expect(await whenWaiting(6)).toEqual(["slow 11"]);
    expect(await whenWaiting(5)).toEqual(["slow 11", "recovered 5"]);
    expect(await whenWaiting(11)).toEqual(["slow 11", "recovered 5", "slow 11"]);
  });

  it("W1 what a look finds gone is made again and told; so is what is gone after a reconnection", async () => {
    let gone = true;
    const { clock, events, state, reconnect } = start(
      async () => (gone ? undefined : waits(0)),
      async () => (gone ? ["EVENTS", "EVENTS/nissa-system-events-run"] : []),
    );
    await clock.advance(100);
    expect(events).toEqual([{ kind: "restored", made: ["EVENTS", "EVENTS/nissa-system-events-run"] }]);
    gone = false;
    await clock.advance(300);
    reconnect();
    await clock.flush();
    expect([events.length, state.ensures]).toEqual([1, 2]);
  });

  it("W3 without a connection nobody looks; a look that fails changes nothing; what could not be made is tried again", async () => {
    let failing = true;
    let waiting = 11;
    const { clock, events, state, end, reconnect, listeners } = start(
      async () => {
        if (failing) throw new Error("no answer");
        return waits(waiting);
      },
      async () => {
        if (failing) throw new Error("no answer");
        return ["EVENTS"];
      },
    );
    state.connected = false;
    await clock.advance(500);
    expect(state.looks).toBe(0);
    state.connected = true;
    await clock.advance(200);
    expect([state.looks, events]).toEqual([2, []]);
    reconnect();
    await clock.advance(100);
    failing = false;
    await clock.advance(1_000);
    expect(events.map(({ kind }) => kind)).toEqual(["restored", "slow"]);
    end();
    waiting = 0;
    await clock.advance(1_000);
    expect([events.length, clock.pending(), listeners()]).toEqual([2, 0, 0]);
  });
});

describe("a real server", () => {
  let server: TestServer;
  const buses: Bus[] = [];
  const events: ConsumerEvent[] = [];
  const kinds = () => events.map(({ kind }) => kind);
  const begin = async (
    health = { healthMs: 100, slowMessagesMax: 5 },
    over: Parameters<typeof startTestServer>[0] = {},
  ): Promise<void> => {
    events.length = 0;
    server = await startTestServer({
      health,
      mailboxMessagesMax: 4,
      durable: { retryMsMin: 10, retryMsMax: 20, pullMs: 500 },
      onConsumer: (event) => events.push(event),
      ...over,
    });
  };
  const connect = async (...[principal]: Parameters<TestServer["oona"]["connect"]>): Promise<Bus> => {
    const bus = await server.oona.connect(principal);
    buses.push(bus);
    return bus;
  };
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
    await server.stop();
  });

  it("O5 a durable consumer with more waiting than allowed is slow, and recovers once it has caught up", async () => {
    await begin();
    const supervisor = await connect("supervisor");
    for (let i = 0; i < 6; i++) await supervisor.publish("system.events.supervision", supervision(`s${i}`));
    await until(() => kinds().includes("slow"), "it is told");
    expect(events[0]).toEqual({
      kind: "slow",
      principal: "nissa",
      subject: "system.events.supervision",
      waiting: 6,
      dropped: 0,
    });
    const nissa = await connect("nissa");
    let handled = 0;
    await nissa.subscribe("system.events.supervision", () => void handled++);
    await until(() => kinds().includes("recovered"), "it has caught up");
    expect([handled, kinds()]).toEqual([6, ["slow", "recovered"]]);
  });

  it("B10 a live listener at its bound is slow once, and recovered with the number it lost", async () => {
    await begin({ healthMs: 60_000, slowMessagesMax: 5 });
    const [tolaria, nissa] = [await connect("tolaria"), await connect("nissa")];
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const steps: number[] = [];
    let begun = false;
    await nissa.subscribe("telemetry.run.progress", async ({ step }) => {
      begun = true;
      await opened;
      steps.push(step);
    });
    await tolaria.publish("telemetry.run.progress", progress(0));
    await until(() => begun, "the first is at work");
    for (let step = 1; step <= 7; step++) await tolaria.publish("telemetry.run.progress", progress(step));
    await until(() => kinds().includes("slow"), "it is told");
    open();
    await until(() => kinds().includes("recovered"), "it has caught up");
    const place = { principal: "nissa", subject: "telemetry.run.progress" };
    expect(events[0]).toEqual({ kind: "slow", ...place, waiting: 4, dropped: 1 });
    expect(events[1]).toMatchObject({ kind: "recovered", ...place, dropped: 3 });
    await until(() => steps.length === 5, "what waited was handled");
    expect(events).toHaveLength(2);
  });

  it("O2 a server killed with -9 that lost its whole store gets streams and consumers back, and actors go on by themselves", async () => {
    await begin({ healthMs: 60_000, slowMessagesMax: 1_000 });
    const [supervisor, nissa, tezzeret, kasmina] = [
      await connect("supervisor"),
      await connect("nissa"),
      await connect("tezzeret"),
      await connect("kasmina"),
    ];
    const heard: string[] = [];
    await nissa.subscribe("system.events.supervision", ({ detail }) => void heard.push(detail));
    await kasmina.subscribe("compilation.kernel.ready", (outcome) => {
      if (outcome.kind === "failed") heard.push(outcome.reason);
    });
    await supervisor.publish("system.events.supervision", supervision("before"));
    await until(() => heard.includes("before"), "it works");
    const pid = server.oona.serverPid() ?? 0;
    await rm(join(server.dataDir, "nats", "store"), { recursive: true, maxRetries: 20, retryDelay: 20 });
    process.kill(pid, "SIGKILL");
    await until(() => kinds().includes("restored"), "what was lost is made again");
    const { made } = events.find((event) => event.kind === "restored") as Extract<ConsumerEvent, { kind: "restored" }>;
    expect(made.filter((name) => !name.includes("/"))).toEqual(streamNames);
    expect(made.filter((name) => name.includes("/"))).toHaveLength(consumerSpecs.length + 1);
    expect(await supervisor.publish("system.events.supervision", supervision("after"))).toEqual({ kind: "sent" });
    expect(await tezzeret.publish("compilation.kernel.ready", outcomeFailed("a kernel after"))).toEqual({ kind: "sent" });
    await until(() => heard.includes("after") && heard.includes("a kernel after"), "actors hear again");
    expect(server.oona.serverPid()).not.toBe(pid);
  });

  it("O2 D6 killed with -9 eight times in mid-stream: every message that was said to be sent is handled", async () => {
    // The pause before a restart doubles with each death in a row.
    const killsMax = 8;
    await begin({ healthMs: 60_000, slowMessagesMax: 10_000 }, { restartsMax: 100, reconnectMsMax: 60_000 });
    const [supervisor, nissa] = [await connect("supervisor"), await connect("nissa")];
    const handled = new Set<string>();
    let redelivered = 0;
    await nissa.subscribe("system.events.supervision", (_, { id }) => {
      if (handled.has(id)) redelivered++;
      handled.add(id);
    });
    const sent: string[] = [];
    const killed = new Set<number | undefined>([undefined]);
    for (let n = 0; n < 10 * killsMax; n++) {
      if (n % 10 === 5) {
        await until(() => !killed.has(server.oona.serverPid()), "the server was started again");
        const pid = server.oona.serverPid()!;
        process.kill(pid, "SIGKILL");
        killed.add(pid);
      }
      const messageId = `storm-${n}`;
      const outcome = await supervisor.publish("system.events.supervision", supervision(messageId), {
        messageId,
        timeoutMs: 20_000,
      });
      if (outcome.kind === "sent") sent.push(messageId);
    }
    await until(() => sent.every((id) => handled.has(id)), "every sent message was handled");
    expect([killed.size - 1, sent.length, handled.size]).toEqual([killsMax, 10 * killsMax, 10 * killsMax]);
    // A kill takes acknowledgements back, at worst those of the whole stream: handlers know the ids.
    expect(redelivered).toBeLessThanOrEqual(killsMax * sent.length);
  }, 120_000);
});
