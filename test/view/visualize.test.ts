import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mayOpen, openPage } from "../../src/cli/open-page.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import type { RecordedChunk, RecordedList } from "../../src/contracts/view.ts";
import { applyChanges, emptyView, findRun, findSeed } from "../../src/view/reduce.ts";
import { createTestContext } from "../cli/context.ts";
import { goldenEvents, started } from "./support.ts";

const noNode = () => Promise.reject(new Error("no node is started here"));

describe("esper visualize", () => {
  let dataDir = "";
  let file = "";
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "esper-visualize-"));
    file = join(dataDir, "runs", "r-1", "events.jsonl");
    await mkdir(join(dataDir, "runs", "r-1"), { recursive: true });
    const events = [started("r-1", 3, { growth: true }), ...goldenEvents("fossilized")];
    await writeFile(file, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  });
  afterAll(() => rm(dataDir, { recursive: true, force: true }));

  const run = async (args: readonly string[], use: (url: string) => Promise<void>): Promise<number> => {
    const { context, out, interrupt, listening } = createTestContext(noNode);
    const done = runCommandLine(["visualize", ...args], context);
    const ended = done.then(() => true);
    const url = (): string | undefined => /http:\/\/127\.0\.0\.1:\d+/.exec(out.text())?.[0];
    while (url() === undefined || listening() === 0)
      if (await Promise.race([ended, new Promise<false>((resolve) => setTimeout(resolve, 5, false))])) return done;
    await use(url() ?? "");
    interrupt();
    const code = await done;
    await expect(fetch(`${url()}/view/runs`)).rejects.toThrow();
    return code;
  };

  for (const [name, args] of [
    ["a data directory without a node", () => ["--data-dir", dataDir]],
    ["one run of it", () => ["--data-dir", dataDir, "r-1"]],
    ["a log that somebody names", () => ["--events", file]],
  ] as const) {
    test(`${name}: the recorded run is served on loopback until Ctrl-C, and takes nothing`, async () => {
      const code = await run(args(), async (url) => {
        const { runs, node } = (await (await fetch(`${url}/view/runs`)).json()) as RecordedList;
        expect(node).toBe(false);
        expect(runs.map(({ runId }) => runId)).toEqual(["r-1"]);
        const chunk = (await (await fetch(`${url}/view/runs/r-1/events`)).json()) as RecordedChunk;
        const state = emptyView("recorded");
        for (const changes of chunk.changes) applyChanges(state, changes);
        const shown = findRun(state, "r-1");
        expect(shown && findSeed(shown, "seed:h2")?.state).toBe("FOSSILIZED");
        const machines = (await (await fetch(`${url}/view/machines`)).json()) as Record<string, unknown>;
        expect(Object.keys(machines)).toEqual(expect.arrayContaining(["seed", "run", "breaker"]));
        for (const path of ["/view/stream", "/view/snapshot", "/commands"])
          expect((await fetch(`${url}${path}`)).status).toBe(404);
        const posted = await fetch(`${url}/view/runs`, { method: "POST" });
        expect(posted.status).toBe(404);
        expect(posted.headers.get("content-security-policy")).toContain("default-src 'self'");
      });
      expect(code).toBe(0);
    });
  }

  test("what is not there, or is asked for twice, is told with what to do", async () => {
    const empty = await mkdtemp(join(tmpdir(), "esper-visualize-empty-"));
    for (const [args, word, exit] of [
      [["--data-dir", empty], "found neither", 2],
      [["--data-dir", dataDir, "r-9"], "recorded: r-1", 2],
      [["--data-dir", dataDir, "../../x"], "expected the id of a run", 2],
      [["--events", join(empty, "none.jsonl")], "no such file", 4],
      [["r-1", "--events", file], "got both", 2],
      [["--events", file, "--port", "99999"], "from 0 to 65535", 2],
    ] as const) {
      const { context, err } = createTestContext(noNode);
      expect([args, await runCommandLine(["visualize", ...args], context)]).toEqual([args, exit]);
      expect(err.text()).toContain(word);
    }
    await rm(empty, { recursive: true });
  });

  test("only an address of this machine is handed to the browser, and a browser that is not there is told", async () => {
    for (const url of ["http://127.0.0.1:8770", "http://localhost:1/#/time/r", "http://[::1]:8770/"])
      expect([url, mayOpen(url)]).toEqual([url, true]);
    for (const url of [
      "http://example.org",
      "file:///etc/passwd",
      "https://127.0.0.1.example.org",
      "javascript:alert(1)",
      "--help",
      "http://127.0.0.1@evil.example/",
    ])
      expect([url, mayOpen(url)]).toEqual([url, false]);
    expect(await openPage("http://example.org")).toContain("no address of this machine");
  });
});
