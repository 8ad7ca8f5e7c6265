/** A page over HTTP on a whole node: it sees the run from its first window to its end, as the run's own log tells it. */
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RecordedChunk, RecordedRun, ViewDelta, ViewRun, ViewSnapshot, ViewState } from "../../src/contracts/view.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import { legalCommands } from "../../src/view/legal-commands.ts";
import { unpackView } from "../../src/view/pack.ts";
import { applyChanges, emptyView, findRun, findSeed } from "../../src/view/reduce.ts";
import { readLog, smallConfig, startNode, temporaryFolder } from "./support.ts";

interface Page {
  state: ViewState | undefined;
  readonly events: string[];
  readonly until: (done: (state: ViewState) => boolean) => Promise<ViewState>;
  readonly closed: Promise<void>;
}

const openPage = async (url: string): Promise<Page> => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${url}/view/stream`, { agent: false }, resolve).on("error", reject);
  });
  expect(response.statusCode).toBe(200);
  let wake = (): void => undefined;
  let text = "";
  let ended = false;
  const page: Page = {
    state: undefined,
    events: [],
    until: async (done) => {
      while (page.state === undefined || !done(page.state)) {
        if (ended) throw new Error("the stream ended");
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return page.state;
    },
    closed: new Promise((resolve) => response.once("close", () => resolve())),
  };
  response.setEncoding("utf8");
  response.on("close", () => {
    ended = true;
    wake();
  });
  response.on("data", (part: string) => {
    text += part;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const [event] = /^event: .*$/m.exec(text.slice(0, end)) ?? [];
      const [data] = /^data: .*$/m.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (event === undefined || data === undefined) continue;
      page.events.push(event.slice(7));
      const told: unknown = JSON.parse(data.slice(6));
      if (event === "event: snapshot") page.state = unpackView((told as ViewSnapshot).state);
      if (event === "event: delta" && page.state !== undefined) applyChanges(page.state, (told as ViewDelta).changes);
    }
    wake();
  });
  return page;
};

describe("a page on a node", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => folder.remove());

  it("streams a run live; early and late page, recorded run and log agree; the stream ends with the node", async () => {
    const dataDir = join(folder.path, "data");
    const node = startNode(smallConfig(dataDir, { services: { dataDir, http: { port: 0 } } }), { stay: true });
    await node.handle;
    const url = node.notes.find((note) => note.startsWith("http: "))?.slice("http: ".length) ?? "";
    const early = await openPage(url);
    const germinated = await early.until((state) => state.runs.some(({ seeds }) => seeds.some((seed) => seed.sequence > 0)));
    const runId = germinated.currentRunId ?? "";
    const run = findRun(germinated, runId);
    expect(run?.host?.layers.map(({ site }) => site)).toEqual(["h1", "h2", "h3", "output"]);
    expect(run?.seeds.map(({ seedId }) => seedId)).toEqual(["seed:h1", "seed:h2", "seed:h3"]);
    expect(run?.activeSeedId).toBe("seed:h2");
    expect(run?.signals["h2"]?.severity).toBeGreaterThan(1);
    expect(run && findSeed(run, "seed:h2")?.trial).toMatchObject({ fromSite: "h2", by: "tamiyo", outcome: null });
    const offered = Object.fromEntries(
      legalCommands(germinated, runId, "seed:h2", "operator").map(({ kind, legal }) => [kind, legal]),
    );
    expect(offered).toMatchObject({ germinate: false, cull: true });
    const paths = (await early.until(({ actors }) => actors.length > 0)).actors.map(({ path }) => path);
    expect(paths).toContain(`esper/run:${runId}/kasmina`);

    await early.until((state) => findRun(state, runId)?.outcome === "done");
    const late = await openPage(url);
    await late.until(() => true);
    const log = await readLog(join(dataDir, "runs", runId, "events.jsonl"));
    const { runs } = (await (await fetch(`${url}/view/runs`)).json()) as { runs: RecordedRun[] };
    expect(runs.map((each) => each.runId)).toEqual([runId]);
    const chunk = (await (await fetch(`${url}/view/runs/${runId}/events`)).json()) as RecordedChunk;
    expect(chunk.next).toBeNull();
    const recorded = emptyView("recorded");
    for (const changes of chunk.changes) applyChanges(recorded, changes);

    const settled = ({ progress: _progress, ...rest }: ViewRun): Omit<ViewRun, "progress"> => rest;
    const inLog = findRun(recorded, runId);
    const seen = [early.state, late.state].map((state) => (state === undefined ? undefined : findRun(state, runId)));
    if (inLog === undefined) throw new Error("the log tells of no run");
    for (const each of seen) expect(each && settled(each)).toEqual(settled(inLog));
    for (const [seedId, state] of await replaySeeds(log)) expect(findSeed(inLog, seedId)?.state).toBe(state);
    expect(inLog.series.epochs.length).toBe(inLog.epoch);
    expect(inLog.testAccuracy).toBeGreaterThan(0.5);
    expect(recorded.unreadable).toBe(0);
    expect(early.events.filter((event) => event === "snapshot")).toHaveLength(1);

    node.interrupt();
    await Promise.all([early.closed, late.closed]);
    expect([early.events.at(-1), late.events.at(-1)]).toEqual(["end", "end"]);
    await node.done;
  });
});
