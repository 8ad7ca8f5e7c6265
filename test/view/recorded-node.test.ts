import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ViewConfig } from "../../src/contracts/config-view.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import type { RecordedChunk, ViewState } from "../../src/contracts/view.ts";
import type { RecordedRuns } from "../../src/http/view-ports.ts";
import { recordedFile, recordedIn } from "../../src/node/recorded-runs.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { type FileSystem, nodeFileSystem } from "../../src/store/file-system.ts";
import { applyChanges, emptyView } from "../../src/view/reduce.ts";
import { Recording } from "../../src/visualizer/data/recording.ts";
import { envelope, started, windowOf } from "./support.ts";

const clock = createSystemClock();
const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const told = (kind: string, child: string, detail = ""): Envelope =>
  envelope("system.events.supervision", { kind, child, detail });
const up = (child: string, generation: number): Envelope => told("started", child, `generation ${generation}, 12 ms`);
const breaker = (name: string, to: "OPEN" | "CLOSED"): Envelope =>
  envelope("system.events.breaker", { name, from: to === "OPEN" ? "CLOSED" : "OPEN", to, reason: "5 of 5 failed", atMs: 1 });

/** A node that was killed, started again, and then lost Tamiyo in the middle of a run. Each event is later than the one before. */
const story = () => {
  const [before, run, meanwhile, later, after] = [
    [up("oona", 1), up("gone", 3), up("oona", 1), up("tamiyo", 1), breaker("lane.forge", "OPEN")],
    [started("r-1", 3), windowOf("r-1", 1)],
    [told("exited", "tamiyo", "crashed"), told("restarting", "tamiyo", "in 100 ms: tamiyo")],
    [windowOf("r-1", 2)],
    [up("tamiyo", 2), breaker("lane.forge", "CLOSED")],
  ];
  return { node: [...before, ...meanwhile, ...after], run: [...run, ...later, windowOf("r-1", 3)] };
};

const written = async (node: readonly Envelope[] | undefined, run: readonly Envelope[]) => {
  const dataDir = await mkdtemp(join(tmpdir(), "esper-recorded-"));
  folders.push(dataDir);
  const lines = (events: readonly Envelope[]): string => events.map((event) => `${JSON.stringify(event)}\n`).join("");
  const file = join(dataDir, "runs", "r-1", "events.jsonl");
  await mkdir(join(dataDir, "runs", "r-1"), { recursive: true });
  await writeFile(file, lines(run));
  if (node !== undefined) await writeFile(join(dataDir, "events.jsonl"), lines(node));
  return { dataDir, file };
};

const chunksOf = async (runs: RecordedRuns): Promise<RecordedChunk[]> => {
  const chunks: RecordedChunk[] = [];
  for (let from: number | null = 0; from !== null; ) {
    let text = "";
    for await (const piece of (await runs.events("r-1", from)) ?? []) text += piece;
    const chunk = JSON.parse(text) as RecordedChunk;
    chunks.push(chunk);
    from = chunk.next;
  }
  return chunks;
};

const standing = (state: ViewState): readonly (readonly [string, string, number])[] =>
  state.actors.map(({ id, status, generation }) => [id, status, generation]);

describe("what the node did, in a recorded run", () => {
  const config = ViewConfig.parse({});

  test("R5: actors and breakers stand as they stood then, in every moment; what was measured nowhere is not shown as zero", async () => {
    const { node, run } = story();
    const { dataDir } = await written(node, run);
    const chunks = await chunksOf(recordedIn(dataDir, { fileSystem: nodeFileSystem, clock, config }, () => []));
    const recording = new Recording("r-1");
    for (const chunk of chunks) recording.add(chunk);
    const [began, restarting, ended] = [recording.stateAt(1), recording.stateAt(3), recording.stateAt(recording.length)];
    // N1, N2: nobody of the node that was killed; no story from before the run.
    expect(standing(began)).toEqual([
      ["oona", "up", 1],
      ["tamiyo", "up", 1],
    ]);
    expect(began.supervision).toEqual([]);
    expect(began.breakers.map(({ name, state, calls }) => [name, state, calls])).toEqual([["lane.forge", "OPEN", null]]);
    expect(standing(restarting)[1]).toEqual(["tamiyo", "restarting", 1]);
    expect(restarting.supervision.map(({ kind }) => kind)).toEqual(["exited", "restarting"]);
    expect(standing(ended)[1]).toEqual(["tamiyo", "up", 2]);
    expect(ended.breakers[0]?.state).toBe("CLOSED");
    expect(
      ended.actors.every(
        ({ mailboxDepth, processed, deadLetters }) => mailboxDepth === null && processed === null && deadLetters === null,
      ),
    ).toBe(true);
    expect(ended.nodeTold).toBe(true);
  });

  test("R2, R5: chunks that are asked for out of turn tell the same of the node", async () => {
    const { node, run } = story();
    const more = Array.from({ length: 30 }, (_, index) => windowOf("r-1", index + 4));
    const { dataDir } = await written([...node, up("http", 2)], [...run, ...more]);
    const given = { fileSystem: nodeFileSystem, clock, config: { ...config, chunkEventsMax: 10, recordedReadersMax: 1 } };
    const inTurn = await chunksOf(recordedIn(dataDir, given, () => []));
    expect(inTurn.length).toBeGreaterThan(2);
    for (const chunk of inTurn.toReversed()) {
      let text = "";
      for await (const piece of (await recordedIn(dataDir, given, () => []).events("r-1", chunk.from)) ?? []) text += piece;
      expect(JSON.parse(text)).toEqual(chunk);
    }
  });

  test("R5, T1: an old run is told what was then, however much the node told since; of that no more is read than it takes", async () => {
    const { node, run } = story();
    const since = Array.from({ length: 45_000 }, (_, index) => up("tamiyo", index + 3));
    const { dataDir } = await written([...node, ...since], run);
    let bytes = 0;
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      read: async (path, offset, length) => {
        const read = await nodeFileSystem.read(path, offset, length);
        if (path === join(dataDir, "events.jsonl")) bytes += read.length;
        return read;
      },
    };
    const stateOf = async (runs: RecordedRuns): Promise<ViewState> => {
      const state = emptyView("recorded");
      for (const { changes } of await chunksOf(runs)) for (const each of changes) applyChanges(state, each);
      return state;
    };
    const state = await stateOf(recordedIn(dataDir, { fileSystem, clock, config }, () => []));
    const alone = await written(node, run);
    const wanted = await stateOf(recordedIn(alone.dataDir, { fileSystem: nodeFileSystem, clock, config }, () => []));
    expect(standing(state).map(([id]) => id)).toEqual(["oona", "tamiyo"]);
    expect(state).toEqual(wanted);
    expect(bytes).toBeLessThanOrEqual(1_048_576);
  });

  test("T3: who reads on is told what the node's log gained meanwhile", async () => {
    const { node, run } = story();
    const more = Array.from({ length: 20 }, (_, index) => windowOf("r-1", index + 4));
    const gained = told("exited", "tamiyo", "crashed again");
    const last = windowOf("r-1", 24);
    const { dataDir } = await written(node, [...run, ...more, last]);
    const runs = recordedIn(dataDir, { fileSystem: nodeFileSystem, clock, config: { ...config, chunkEventsMax: 10 } }, () => []);
    const chunks: RecordedChunk[] = [];
    for (let from: number | null = 0; from !== null; ) {
      let text = "";
      for await (const piece of (await runs.events("r-1", from)) ?? []) text += piece;
      chunks.push(JSON.parse(text) as RecordedChunk);
      from = chunks.at(-1)?.next ?? null;
      if (chunks.length === 1) await appendFile(join(dataDir, "events.jsonl"), `${JSON.stringify(gained)}\n`);
    }
    const state = emptyView("recorded");
    for (const { changes } of chunks) for (const each of changes) applyChanges(state, each);
    expect(standing(state)[1]).toEqual(["tamiyo", "failed", 2]);
  });

  test("R6: no more answers are made at once than readers are kept; who is left in the middle makes room", async () => {
    const { node, run } = story();
    const { dataDir } = await written(node, run);
    const given = { fileSystem: nodeFileSystem, clock, config: { ...config, recordedReadersMax: 1 } };
    const runs = recordedIn(dataDir, given, () => []);
    const open = async (): Promise<AsyncIterator<string>> => (await runs.events("r-1", 0))![Symbol.asyncIterator]();
    const [first, second, third] = [await open(), await open(), await open()];
    const order: string[] = [];
    await first.next();
    const begins = second.next().then(() => order.push("second begins"));
    for (let turns = 0; turns < 500; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    order.push("first is left");
    await first.return?.();
    await begins;
    expect(order).toEqual(["first is left", "second begins"]);
    await second.return?.();
    expect((await third.next()).value).toContain('"runId":"r-1"');
    await third.return?.();
  });

  test("a log without that of its node says that nothing is known of it", async () => {
    const { run } = story();
    const { dataDir, file } = await written(undefined, run);
    const given = { fileSystem: nodeFileSystem, clock, config };
    for (const runs of [recordedIn(dataDir, given, () => []), await recordedFile(file, given)]) {
      const state = emptyView("recorded");
      for (const { changes } of await chunksOf(runs)) for (const each of changes) applyChanges(state, each);
      expect([state.nodeTold, state.actors, state.breakers]).toEqual([false, [], []]);
    }
  });
});
