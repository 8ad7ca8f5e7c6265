/** `esper experiment`: arguments in; exit code, folder and text out. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCommandLine } from "../../src/cli/program.ts";
import { loadExperiment } from "../../src/config/load-experiment.ts";
import { cellsOf } from "../../src/experiment/plan.ts";
import type { RunNode } from "../../src/node/api.ts";
import { createTestContext } from "../cli/context.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "esper-command-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const noNode: RunNode = async () => {
  throw new Error("expected no node to be started");
};

const yaml = (seeds: number): string => `
name: tiny
base:
  dataset: {validationSamples: 500, trainSamplesMax: 2100}
  optimization: {epochs: 1, epochSteps: 8}
hosts:
  - name: mlp
    model: {name: mlp, widths: [8, 8]}
randomSeeds: {count: ${seeds}}
arms: [no-growth]
`;

const start = (args: readonly string[], seeds = 2) => {
  const file = join(root, "tiny.yaml");
  writeFileSync(file, yaml(seeds));
  const under = createTestContext(noNode);
  const running = runCommandLine(
    ["experiment", "--config", file, "--out", join(root, "out"), "--lanes", "1", ...args],
    under.context,
  );
  return { ...under, running };
};

const performanceOf = async (...args: readonly string[]) => {
  const under = createTestContext(noNode);
  const exitCode = await runCommandLine(["performance", ...args], under.context);
  return { exitCode, out: under.out.text(), err: under.err.text() };
};

describe("esper experiment", () => {
  test("runs, reports, refuses the same folder, and goes on with --resume", async () => {
    const first = start([]);
    expect(await first.running).toBe(0);
    expect(first.err.text()).toContain("2 cells, 2 jobs, 0 of them finished before, 1 lanes");
    expect(first.err.text()).toMatch(/2\/2 after \d+ s, 0 s left: mlp \/ mnist \/ none \/ no-growth \/ 2 \d+\.\d\d %/);
    expect(first.out.text()).toContain("tiny: 2 of 2 jobs");
    expect(readFileSync(join(root, "out", "report.html"), "utf8")).toContain("<h1>tiny</h1>");
    expect(JSON.parse(readFileSync(join(root, "out", "report.json"), "utf8"))).toMatchObject({ jobs: { planned: 2, done: 2 } });
    expect(first.listening()).toBe(0);

    // As a second person sees it.
    const shown = await performanceOf("--experiment", join(root, "out"), "--json");
    expect(JSON.parse(shown.out)).toMatchObject({
      breakers: [
        { name: "download", calls: 0 },
        { name: "lane.experiment", state: "CLOSED", calls: 2, succeeded: 2, failed: 0, inFlight: 0, latency: { samples: 2 } },
      ],
      queues: [],
    });
    expect((await performanceOf("--experiment", join(root, "out"))).out).toMatch(/lane\.experiment\W+CLOSED\W+2\W+0\W+0\W/);
    expect(await performanceOf("--experiment", root)).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("found no performance.json in it"),
    });

    const second = start([]);
    expect(await second.running).toBe(2);
    expect(second.err.text()).toContain("go on from them with --resume");

    const third = start(["--resume", "--json"], 3);
    expect(await third.running).toBe(0);
    expect(third.err.text()).toContain("3 jobs, 2 of them finished before");
    expect(JSON.parse(third.out.text())).toMatchObject({ name: "tiny", jobs: { planned: 3, done: 3 } });
  }, 60_000);

  test("the first Ctrl-C keeps what is finished and ends with 130, the second ends at once", async () => {
    const { running, interrupt, exits, err, context } = start([], 400);
    while (!err.text().includes("2/400"))
      await new Promise((resolve) => void context.clock.schedule(10, () => resolve(undefined)));
    interrupt();
    expect(exits).toEqual([]);
    interrupt();
    expect(exits).toEqual([130]);
    expect(await running).toBe(130);
    const lines = readFileSync(join(root, "out", "results.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    expect(lines.length).toBeGreaterThanOrEqual(2);
    expect(lines.length).toBeLessThan(400);
    expect(existsSync(join(root, "out", "report.html"))).toBe(true);
  }, 60_000);

  test.each([
    [["--lanes", "0"], /expected --lanes from 1 to 64, found "0"/],
    [["--lanes", "65"], /found "65"/],
    [["--config", "no.yaml"], /expected a readable experiment in no\.yaml/],
  ])("%s ends with 2", async (args, message) => {
    const { running, err } = start(args);
    expect(await running).toBe(2);
    expect(err.text()).toMatch(message);
  });
});

describe("the experiments that ship", () => {
  test.each(["configs/experiment-repair.yaml", "configs/experiment-size.yaml"])("%s", (file) => {
    expect(cellsOf(loadExperiment(file)).length).toBeGreaterThanOrEqual(6);
  });
});
