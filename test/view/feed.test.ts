import { appendFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ViewConfig } from "../../src/contracts/config-view.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import type { ViewState } from "../../src/contracts/view.ts";
import { createViewFeed, startViewFeed } from "../../src/http/view-feed.ts";
import { replayLog } from "../../src/node/recorded-runs.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { ViewHub } from "../../src/view/hub.ts";
import { ViewReader } from "../../src/view/read-event.ts";
import { applyChanges, emptyView, findRun, findSeed } from "../../src/view/reduce.ts";
import { envelope, goldenEvents, started, windowOf } from "./support.ts";

const clock = createSystemClock();
const ends: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const stateOf = (events: readonly Envelope[]): ViewState => {
  const [reader, state] = [new ViewReader(), emptyView("live")];
  for (const event of events) applyChanges(state, reader.read(event));
  return state;
};

const golden = (): Envelope[] => [
  started("r-1", 3, { growth: true }),
  windowOf("r-1", 1),
  ...goldenEvents("fossilized"),
  windowOf("r-1", 14),
];

const setUp = async (logged: readonly Envelope[] = [], waitingMax?: number, whileRead: () => void = () => undefined) => {
  const folder = await mkdtemp(join(tmpdir(), "esper-feed-"));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const fileOf = (runId: string): string => join(folder, runId, "events.jsonl");
  await mkdir(join(folder, "r-1"), { recursive: true });
  const lines = logged.map((event) => `${JSON.stringify(event)}\n`);
  await writeFile(fileOf("r-1"), lines.join(""));
  const hub = new ViewHub({ clock, config: ViewConfig.parse({}), instance: "one", state: emptyView("live") });
  ends.push(() => hub.close());
  let reads = 0;
  const feed = createViewFeed({
    hub,
    reader: new ViewReader(),
    log: silentLog,
    replay: async function* (runId, from, reader) {
      reads += 1;
      yield* replayLog(nodeFileSystem, clock, fileOf(runId), from, reader);
      if (reads === 1) whileRead();
    },
    ...(waitingMax === undefined ? {} : { waitingMax }),
  });
  /** A server that listens to the bus until it is gone. */
  const serve = async (runs: readonly string[]) => {
    const handlers = new Map<string, (payload: never, context: never) => unknown>();
    const bus = {
      subscribe: async (subject: string, handler: (payload: never, context: never) => unknown) => {
        handlers.set(subject, handler);
        return { close: async () => undefined };
      },
    };
    await startViewFeed(bus, feed, runs);
    return ({ subject, payload, ...context }: Envelope) => void handlers.get(subject)?.(payload as never, context as never);
  };
  const until = async (done: (state: ViewState) => boolean): Promise<ViewState> => {
    while (!done(hub.state)) await new Promise((resolve) => setImmediate(resolve));
    return hub.state;
  };
  const write = (events: readonly Envelope[]): void =>
    appendFileSync(fileOf("r-1"), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  const writeTo = async (runId: string, events: readonly Envelope[]): Promise<void> => {
    await mkdir(join(folder, runId), { recursive: true });
    appendFileSync(fileOf(runId), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  };
  return { write, writeTo, feed, hub, serve, until, reads: () => reads };
};

describe("the feed", () => {
  test("F1: what came before it listened is read from the log, what comes meanwhile waits, and nothing is applied twice", async () => {
    const events = golden();
    const { serve, until, feed } = await setUp(events.slice(0, 8));
    const bus = await serve(["r-1", "r-gone"]);
    // The last three of the log are told again, as from a bus that is behind, and once more by Nissa.
    for (const event of events.slice(5)) bus(event);
    for (const event of events.slice(5)) feed.tell(event);
    const wanted = stateOf(events);
    expect(await until(({ events: read }) => read >= wanted.events)).toEqual(wanted);
  });

  test("F1: a run that goes on from a checkpoint brings its past with it", async () => {
    const events = golden();
    const { serve, until } = await setUp(events);
    const bus = await serve([]);
    for (const event of [started("r-1", 3, { growth: true, resumedAtEpoch: 14 }), windowOf("r-1", 15)]) bus(event);
    const state = await until((now) => (findRun(now, "r-1")?.epoch ?? 0) === 15);
    const run = findRun(state, "r-1");
    expect(run?.series.epochs).toEqual([1, 14, 15]);
    expect(run && findSeed(run, "seed:h2")?.state).toBe("FOSSILIZED");
  });

  test("F1: a log of more events than ids are remembered is read once, and its end that comes again by the bus gives nothing", async () => {
    const events = [started("r-1", 3), ...Array.from({ length: 60_000 }, (_, index) => windowOf("r-1", index + 1))];
    const { serve, until, reads, feed } = await setUp(events);
    const bus = await serve(["r-1"]);
    for (const event of events.slice(-5_000)) bus(event);
    const next = windowOf("r-1", 60_001);
    bus(next);
    const state = await until(({ events: read }) => read > events.length);
    expect(state).toEqual(stateOf([...events, next]));
    // The server is started again: the log is not read again, however long it is.
    await serve(["r-1"]);
    for (const event of events.slice(-5_000)) feed.tell(event);
    expect(state.events).toBe(events.length + 1);
    expect(reads()).toBe(1);
  }, 60_000);

  test("F2: more than may wait while a log is read is read from the log, in its order", async () => {
    const past = [started("r-1", 3), windowOf("r-1", 1)];
    const coming = Array.from({ length: 40 }, (_, index) => windowOf("r-1", index + 2));
    // All of it comes when the log was read to its end, and is written by then.
    const { serve, until, write, hub } = await setUp(past, 5, () => {
      write(coming);
      for (const event of coming) bus(event);
    });
    const bus = await serve(["r-1"]);
    const wanted = stateOf([...past, ...coming]);
    expect(await until(({ events }) => events >= wanted.events)).toEqual(wanted);
    expect(findRun(hub.state, "r-1")?.series.epochs).toEqual(Array.from({ length: 41 }, (_, index) => index + 1));
  });

  test("F2: what does not fit of a run that is not known is read from its log; of one that is, and of the node, it is counted as lost", async () => {
    const [past, other] = [
      [started("r-1", 3), windowOf("r-1", 1)],
      [started("r-2", 3), windowOf("r-2", 1), windowOf("r-2", 2)],
    ];
    const known = [windowOf("r-0", 2), windowOf("r-0", 3)];
    const node = envelope("system.events.supervision", { kind: "restarting", child: "http", detail: "in 100 ms: http" });
    const late = [...other, ...known, node];
    const { serve, until, writeTo, hub, feed } = await setUp(past, 1, () => {
      for (const event of late) bus(event);
      for (const event of late) feed.tell(event);
    });
    await writeTo("r-2", other);
    const bus = await serve([]);
    for (const event of [started("r-0", 3), windowOf("r-0", 1)]) bus(event);
    feed.listen(["r-1"]);
    await until((state) => findRun(state, "r-1") !== undefined);
    for (let turns = 0; turns < 200; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(findRun(hub.state, "r-2")?.series.epochs).toEqual([1, 2]);
    expect(findRun(hub.state, "r-0")?.series.epochs).toEqual([1]);
    // Two windows of a run that is known, and one event of the node: each once, though it came twice.
    expect(hub.state.unreadable).toBe(3);
    expect(hub.state.supervision).toEqual([]);
  });

  test("F4: no server listened for a while: what Nissa tells of that time comes before what the bus brings since, and nothing is lost", async () => {
    const restarted = envelope("system.events.supervision", { kind: "restarting", child: "http", detail: "in 100 ms: http" });
    const events = [...golden(), windowOf("r-1", 15), restarted, windowOf("r-1", 16), windowOf("r-1", 17), windowOf("r-1", 18)];
    const { serve, feed, hub } = await setUp();
    const first = await serve([]);
    for (const event of events.slice(0, -5)) first(event);
    // The first server is gone: the next four are told by Nissa alone, the last two of them late.
    for (const event of events.slice(-5, -3)) feed.tell(event);
    const second = await serve(["r-1"]);
    second(events.at(-1)!);
    for (const event of events.slice(-3)) feed.tell(event);
    expect(hub.state).toEqual(stateOf(events));
    expect(findRun(hub.state, "r-1")?.series.epochs.slice(-4)).toEqual([15, 16, 17, 18]);
    expect(hub.state.supervision.map(({ child }) => child)).toEqual(["http"]);
  });

  test("F4: where Nissa is silent, what the bus brings is shown all the same", async () => {
    const { serve, hub } = await setUp();
    const first = await serve([]);
    first(started("r-1", 3));
    const second = await serve(["r-1"]);
    for (let epoch = 1; epoch <= 400; epoch += 1) second(windowOf("r-1", epoch));
    expect(findRun(hub.state, "r-1")?.epoch).toBe(400);
  });
});
