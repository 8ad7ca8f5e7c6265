/** A whole node with twins in a second lane tells, decides and leaves behind what it does with one. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ReportArm } from "../../src/contracts/report.ts";
import { Report } from "../../src/contracts/report.ts";
import { hashTensors, payloadsOf, readCheckpoint, readLog, smallConfig, startNode, temporaryFolder } from "../e2e/support.ts";

interface Told {
  readonly report: Report;
  readonly arm: ReportArm;
  readonly notes: readonly string[];
}

const told = async (dataDir: string, trainingLanes: 1 | 2): Promise<Told> => {
  const node = startNode(smallConfig(dataDir, { trainingLanes }));
  const { report } = await node.done;
  return { report, arm: report.arms[0]!, notes: node.notes };
};

const windowsOf = async ({ arm }: Told) =>
  payloadsOf(await readLog(arm.eventLog), "system.events.epoch").map(({ result }) => result);

describe("a node whose run trains in two lanes", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let one: Told;
  let two: Told;

  beforeAll(async () => {
    folder = await temporaryFolder();
    one = await told(`${folder.path}/one`, 1);
    two = await told(`${folder.path}/two`, 2);
  }, 400_000);
  afterAll(() => folder.remove());

  it("keeps the same repair and ends with the same host, bit for bit", async () => {
    expect(one.arm.seeds.map(({ outcome }) => outcome)).toEqual(["FOSSILIZED"]);
    const equal = ({ arm }: Told) => {
      const { runId: _, seconds: __, stepsPerSecond: ___, checkpoint: ____, eventLog: _____, seeds, ...rest } = arm;
      return {
        ...rest,
        seeds: seeds.map(({ history, ...seed }) => ({ ...seed, history: history.map(({ state, epoch }) => [state, epoch]) })),
      };
    };
    expect(equal(two)).toEqual(equal(one));
    const [first, second] = [await readCheckpoint(one.arm.checkpoint!), await readCheckpoint(two.arm.checkpoint!)];
    expect(hashTensors(second.tensors)).toEqual(hashTensors(first.tensors));
    expect(second.session.learner).toEqual(first.session.learner);
    expect(second.session.flops).toEqual(first.session.flops);
  });

  it("says so in its report, in its notes, and in the window of the contest", async () => {
    expect([one, two].map(({ report }) => Report.parse(report).engine.trainingLanes)).toEqual([1, 2]);
    expect(two.notes.join("\n")).toContain("twins in a second lane");
    expect(one.notes.join("\n")).not.toContain("second lane");
    const contests = (await windowsOf(two)).filter(({ work }) => work === "fine_tune");
    expect(contests.length).toBeGreaterThan(0);
    let before = 0;
    for (const { kernel, secondLaneSteps } of contests) {
      const twinSteps = kernel?.kind === "fine_tuned" ? kernel.twinSteps : 0;
      expect(secondLaneSteps).toBe(twinSteps - before);
      before = twinSteps;
    }
    expect((await windowsOf(one)).every(({ secondLaneSteps }) => secondLaneSteps === undefined)).toBe(true);
  });
});
