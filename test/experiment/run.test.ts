/** Real jobs in real lanes, on a problem of a second. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExperimentArm, ExperimentConfig, JobResult } from "../../src/contracts/experiment.ts";
import type { Host } from "../../src/contracts/graph.ts";
import { finalSizeHost } from "../../src/experiment/final-size.ts";
import { cellsOf, planCells } from "../../src/experiment/plan.ts";
import { openResultFolder } from "../../src/experiment/results.ts";
import type { JobOutcome, JobTask } from "../../src/experiment/run-job.ts";
import { type RunProgress, runJobs } from "../../src/experiment/runner.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { createExperimentLanes } from "../../src/workers/experiment-lanes.ts";
import { patterns, smallExperiment } from "./fixture.ts";

const engine = { name: "native", version: "test" };
const data = patterns();
const folders: string[] = [];

interface Ran {
  readonly outcome: "done" | "stopped";
  readonly lines: readonly JobResult[];
  readonly progress: readonly RunProgress[];
  readonly folder: string;
}

const run = async (
  experiment: ExperimentConfig,
  lanes: number,
  options: { readonly into?: string; readonly stopAfter?: number; readonly signal?: AbortSignal } = {},
): Promise<Ran> => {
  const path = options.into ?? mkdtempSync(join(tmpdir(), "esper-run-"));
  if (options.into === undefined) folders.push(path);
  const folder = await openResultFolder(nodeFileSystem, path, true);
  const pool = createExperimentLanes<JobTask, JobOutcome>(lanes);
  const controller = new AbortController();
  const progress: RunProgress[] = [];
  let ticks = 0;
  try {
    const outcome = await runJobs({
      jobs: planCells(cellsOf(experiment), engine).jobs,
      folder,
      lanes: pool,
      engine: "native",
      loadDataset: async () => data,
      monotonicMs: () => ticks++,
      signal: options.signal ?? controller.signal,
      onProgress: (each) => {
        progress.push(each);
        if (each.finished === options.stopAfter) controller.abort();
      },
    });
    const text = readFileSync(join(path, "results.jsonl"), "utf8");
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as JobResult);
    return { outcome, lines, progress, folder: path };
  } finally {
    await pool.destroy();
  }
};

const everyArm: readonly ExperimentArm[] = [
  "no-growth",
  "grown",
  "random-place",
  "always-grow",
  "final-size",
  "healthy",
  "watched",
];
const damages = [
  { name: "dead", damage: { site: "h2", kind: "dead", live: 1 } },
  { name: "none", damage: null },
];
const experiment = smallExperiment({ arms: everyArm, damages });
const plan = planCells(cellsOf(experiment), engine);

/** A line without what may differ, so that equal jobs give equal text. */
const comparable = (lines: readonly JobResult[]): readonly string[] =>
  lines.map((line) => JSON.stringify({ ...line, seconds: 0 })).toSorted();

describe("lanes", () => {
  let one: Ran;
  let resultOfArm: (arm: ExperimentArm, cell?: number) => JobResult;

  beforeAll(async () => {
    one = await run(experiment, 2);
    const byKey = new Map(one.lines.map((line) => [line.key, line]));
    resultOfArm = (arm, cell = 0) => byKey.get(plan.cells[cell]?.keys[arm] ?? "")!;
  }, 60_000);

  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  test("every job is done once and told once", () => {
    expect(one.outcome).toBe("done");
    expect(one.lines.map(({ outcome, reason }) => [outcome, reason])).toEqual(
      one.lines.map(() => ["done", "the run's FLOPs are used up"]),
    );
    expect(one.lines).toHaveLength(plan.jobs.length);
    expect(one.progress.at(-1)).toMatchObject({ finished: plan.jobs.length, failed: 0, total: plan.jobs.length, leftMs: 0 });
  });

  test("P2 every arm of a cell gets the FLOPs of the undamaged host, and those that train a host alone use them to the last step", () => {
    const { flopsMax, stepFlops } = resultOfArm("healthy");
    expect(flopsMax).toBe(stepFlops[0] * Math.floor((16 * 1024) / 32));
    for (const arm of everyArm) {
      expect(resultOfArm(arm).flopsMax).toBe(flopsMax);
      expect(resultOfArm(arm).flops.total).toBeLessThanOrEqual(flopsMax);
    }
    for (const arm of ["no-growth", "healthy", "final-size"] as const) {
      const {
        flops,
        stepFlops: [, step],
      } = resultOfArm(arm);
      expect(flops.total).toBe(flops.host);
      expect(flops.total).toBeGreaterThan(flopsMax - step);
    }
  });

  test("the final size is the host that growth ended with", () => {
    const [grown, scratch] = [resultOfArm("grown"), resultOfArm("final-size")];
    expect(scratch.parameters[0]).toBe(grown.parameters[1]);
    expect(scratch.stepFlops[0]).toBe(grown.stepFlops[1]);
    expect(scratch.trials).toEqual([]);
  });

  test("on a whole host the random place germinates once, after the warm-up, and comes to an end", () => {
    const { trials, checks } = resultOfArm("random-place", 1);
    expect(checks).toEqual([]);
    expect(trials).toHaveLength(1);
    expect(trials[0]?.epoch).toBeGreaterThanOrEqual(2);
    expect(["FOSSILIZED", "CULLED"]).toContain(trials[0]?.outcome);
    expect(resultOfArm("healthy").trials).toEqual([]);
  });

  test("U1 U2 stopped, it keeps what is finished and goes on in one lane, with the same lines as two lanes left", async () => {
    const stopped = await run(experiment, 2, { stopAfter: 2 });
    expect(stopped.outcome).toBe("stopped");
    expect(stopped.lines.length).toBeGreaterThanOrEqual(2);
    expect(stopped.lines.length).toBeLessThan(plan.jobs.length);
    const rest = await run(experiment, 1, { into: stopped.folder });
    expect(rest.outcome).toBe("done");
    expect(rest.progress).toHaveLength(plan.jobs.length - stopped.lines.length);
    expect(comparable(rest.lines)).toEqual(comparable(one.lines));
  }, 60_000);

  test("R2 a job that cannot be done is told and does not end the others", async () => {
    const broken = smallExperiment({
      arms: ["no-growth"],
      damages: [{ name: "nowhere", damage: { site: "h9", kind: "dead", live: 1 } }, damages[1]],
    });
    const { outcome, lines, progress } = await run(broken, 1);
    expect(outcome).toBe("done");
    expect(progress.at(-1)?.failed).toBe(1);
    expect(lines.map((line) => line.outcome)).toEqual(["failed", "done"]);
    expect(lines[0]?.reason).toContain("h9");
  }, 30_000);
});

describe("the final size from scratch", () => {
  const host: Host = {
    name: "h",
    task: "classification",
    rows: 1,
    classes: 2,
    layers: [],
    graph: {
      inputs: [],
      nodes: [],
      outputs: [{ name: "logits", value: "a" }],
      parameters: [
        { name: "dense", shape: [50, 40], initializer: { kind: "constant", value: 0 }, trainable: true, cohort: "seed:h2" },
        { name: "filter", shape: [20, 4, 3, 3], initializer: { kind: "constant", value: 0 }, trainable: true, cohort: "seed:h2" },
        { name: "bias", shape: [40], initializer: { kind: "constant", value: 0 }, trainable: true, cohort: "seed:h2" },
        { name: "gamma", shape: [40], initializer: { kind: "constant", value: 1 }, trainable: true, cohort: "host" },
      ],
    },
  };

  test("zero weights take He's start, all else its own; one cohort", () => {
    const { host: built, parameters } = finalSizeHost(host, 3);
    const sd = (name: string): number => {
      const values = [...parameters[name]!.data];
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect(sd("dense")).toBeCloseTo(Math.sqrt(2 / 50), 2);
    expect(sd("filter")).toBeCloseTo(Math.sqrt(2 / 36), 1);
    expect([sd("bias"), sd("gamma")]).toEqual([0, 1]);
    expect(built.graph.parameters.map(({ cohort }) => cohort)).toEqual(["host", "host", "host", "host"]);
    expect(finalSizeHost(host, 3).parameters).toEqual(parameters);
    expect(finalSizeHost(host, 4).parameters["dense"]).not.toEqual(parameters["dense"]);
  });
});
