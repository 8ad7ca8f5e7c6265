/** Ctrl-C in every phase, then resume: the same network, bit for bit, as if nobody had interrupted. */
import { copyFile, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { LifecycleState } from "../../src/contracts/lifecycle.ts";
import type { ReportArm } from "../../src/contracts/report.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import {
  endEveryNode,
  hashTensors,
  hostConfig,
  payloadsOf,
  readCheckpoint,
  readLog,
  smallConfig,
  startNode,
  type TestNode,
  temporaryFolder,
} from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let dataDir: string;
let whole: ReportArm;
let wholeTensors: Record<string, string>;

const config = () => smallConfig(dataDir, { optimization: { epochs: 24, epochSteps: 47 } });
const lastTensors = async (arm: ReportArm) => hashTensors((await readCheckpoint(arm.checkpoint!)).tensors);
/** Measured times apart, which no two runs share. */
const history = (arm: ReportArm) =>
  arm.seeds.map(({ id, history: steps }) => ({
    id,
    steps: steps.map((step) => ({ ...step, reason: step.reason.replace(/dry run in [\d.]+ ms/, "dry run") })),
  }));

beforeAll(async () => {
  folder = await temporaryFolder();
  dataDir = `${folder.path}/data`;
  whole = (await startNode(config()).done).report.arms[0]!;
  wholeTensors = await lastTensors(whole);
  expect(whole.seeds[0]?.outcome).toBe("FOSSILIZED");
});
afterEach(endEveryNode);
afterAll(() => folder.remove());

const expectSame = async (resumed: ReportArm): Promise<void> => {
  expect(resumed.outcome).toBe("done");
  expect(history(resumed)).toEqual(history(whole));
  expect(resumed.flops).toEqual(whole.flops);
  expect(await lastTensors(resumed)).toEqual(wholeTensors);
  expect(resumed.testAccuracy).toBe(whole.testAccuracy);
  const states = await replaySeeds(await readLog(resumed.eventLog));
  expect(Object.fromEntries(states)).toEqual(Object.fromEntries(whole.seeds.map(({ id, outcome }) => [id, outcome])));
};

type Moment = number | LifecycleState;

const reach = (node: TestNode, moment: Moment): Promise<unknown> =>
  typeof moment === "number"
    ? node.until("system.events.epoch", ({ result }) => result.epoch === moment)
    : node.until("system.events.seed", ({ to }) => to === moment);

describe("Ctrl-C", () => {
  // Every interruption but the first meets a run that was resumed already.
  it.each<{ moments: readonly Moment[] }>([
    { moments: [1, "GERMINATED", "TRAINING", "STABILIZATION", "FINE_TUNING"] },
    { moments: [3, "LOADING", "GRAFTING", "EVALUATING", "FOSSILIZED"] },
  ])(
    "in $moments, each time resumed, changes nothing",
    async ({ moments }) => {
      let resume: string | undefined;
      for (const moment of moments) {
        const node = startNode(config(), resume === undefined ? {} : { resume });
        await reach(node, moment);
        node.interrupt();
        const stopped = (await node.done).report.arms[0]!;
        expect(stopped).toMatchObject({ outcome: "stopped", reason: "interrupted" });
        if (typeof moment === "string") expect(stopped.seeds[0]?.history.map(({ state }) => state)).toContain(moment);
        await replaySeeds(await readLog(stopped.eventLog));
        resume = stopped.checkpoint!;
      }
      await expectSame((await startNode(config(), { resume: resume! }).done).report.arms[0]!);
    },
    900_000,
  ); // Six nodes, one after the other.

  it("before the first window leaves nothing to resume and says so", async () => {
    const node = startNode(config());
    node.interrupt();
    await expect(node.done).rejects.toThrow(/interrupted/);
  });
});

describe("a checkpoint that cannot be used", () => {
  let host: ReportArm;
  let hostDir: string;
  const hostOf = () => hostConfig(hostDir);

  beforeAll(async () => {
    hostDir = `${folder.path}/host`;
    host = (await startNode(hostOf()).done).report.arms[0]!;
  });

  /** A copy of the last checkpoint for a test to damage. */
  const copied = async (name: string): Promise<string> => {
    const target = join(folder.path, "damaged", name, "12");
    await mkdir(target, { recursive: true });
    for (const file of await readdir(host.checkpoint!)) await copyFile(join(host.checkpoint!, file), join(target, file));
    return target;
  };

  const expectRefused = async (resume: string, text: RegExp, code: string): Promise<void> => {
    const before = hashTensors((await readCheckpoint(host.checkpoint!)).tensors);
    const failure = startNode(hostOf(), { resume }).done;
    await expect(failure).rejects.toThrow(text);
    await expect(failure).rejects.toMatchObject({ code });
    expect(hashTensors((await readCheckpoint(host.checkpoint!)).tensors)).toEqual(before);
  };

  it("one flipped byte in the tensors", async () => {
    const path = await copied("tensors");
    const file = join(path, "tensors.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(file, bytes);
    await expectRefused(
      path,
      /tensors\.safetensors: expected \d+ bytes with SHA-256 .*the file is damaged: use an older/,
      "data",
    );
  });

  it("a truncated state", async () => {
    const path = await copied("state");
    await truncate(join(path, "state.json"), 100);
    await expectRefused(path, /state\.json: expected \d+ bytes with SHA-256 .* found 100 bytes/, "data");
  });

  it("a path where nothing is, and a folder that holds no checkpoint", async () => {
    await expectRefused(
      join(folder.path, "nowhere"),
      /expected the folder of a complete checkpoint, found nothing there/,
      "data",
    );
    await expectRefused(folder.path, /expected the folder of a complete checkpoint, found no manifest\.json in it/, "data");
  });

  it("after each refusal the good one still resumes", async () => {
    // The last one is of a finished run, whose test data were read.
    const node = startNode(hostOf(), { resume: join(host.checkpoint!, "..", "9") });
    const { report } = await node.done;
    expect(report.arms[0]).toMatchObject({ outcome: "done", testAccuracy: host.testAccuracy });
    const events = await readLog(report.arms[0]!.eventLog);
    expect(payloadsOf(events, "system.events.run")[0]).toMatchObject({ kind: "started", resumedAtEpoch: 9 });
  });
});
