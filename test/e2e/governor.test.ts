/** A loss that is no number: rolled back, given up at the same place, and what is saved is the last good network. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hostConfig, payloadsOf, readCheckpoint, readLog, smallConfig, startNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

const expectFinite = (tensors: Awaited<ReturnType<typeof readCheckpoint>>["tensors"]): void => {
  expect(Object.keys(tensors).length).toBeGreaterThan(0);
  for (const [name, { data }] of Object.entries(tensors))
    expect(Array.from(data, Number).every(Number.isFinite), name).toBe(true);
};

describe("a host whose loss is not finite", () => {
  /** At 1e38 the first step is not finite; at 1e6 it takes some windows. */
  const exploding = (learningRate: number) =>
    hostConfig(folder.path, {
      optimization: { epochs: 2.56, epochSteps: 20, optimizer: { kind: "sgd", learningRate } },
      checkpoint: { everyEpochs: 0, keep: 3 },
    });

  it("from the start: three rollbacks, then it fails with exit code 6 and the last good checkpoint", async () => {
    const { report, exitCode } = await startNode(exploding(1e38)).done;
    const arm = report.arms[0]!;
    expect(exitCode).toBe(6);
    expect(arm.outcome).toBe("failed");
    expect(arm.reason).toMatch(/3.*(non_finite|not finite)/);
    expect(arm.testAccuracy).toBeUndefined();
    const run = payloadsOf(await readLog(arm.eventLog), "system.events.run");
    expect(run.flatMap((event) => (event.kind === "rolled_back" ? [event.rollbacks] : [])).slice(0, 3)).toEqual([1, 2, 3]);
    expect(run.at(-1)).toMatchObject({ kind: "finished", outcome: "failed" });
    const { tensors, session } = await readCheckpoint(arm.checkpoint!);
    expectFinite(tensors);
    expect(session.learner.hostStep).toBe(0);
    expect(Object.keys(tensors).every((name) => name.startsWith("host/"))).toBe(true);
  });

  it("that checkpoint resumes, and fails in the same way", async () => {
    const failed = (await startNode(exploding(1e38)).done).report.arms[0]!;
    const { report, exitCode } = await startNode(exploding(1e38), { resume: failed.checkpoint! }).done;
    expect(exitCode).toBe(6);
    expect(report.arms[0]?.outcome).toBe("failed");
    expectFinite((await readCheckpoint(report.arms[0]!.checkpoint!)).tensors);
  });

  it("after good windows: the saved network is that of the last good window", async () => {
    const { report, exitCode } = await startNode(exploding(1e6)).done;
    expect(exitCode).toBe(6);
    const arm = report.arms[0]!;
    const epochs = payloadsOf(await readLog(arm.eventLog), "system.events.epoch");
    const good = epochs.filter(({ result }) => result.anomalies.length === 0);
    expect(good.length).toBeGreaterThan(0);
    const { tensors, session } = await readCheckpoint(arm.checkpoint!);
    expectFinite(tensors);
    expect(session.learner.hostStep).toBe(good.at(-1)!.result.hostStep);
  });
});

describe("a run that is sound", () => {
  it("is never rolled back, and ends with exit code 0", async () => {
    const { report, exitCode } = await startNode(
      smallConfig(folder.path, { arms: ["healthy"], optimization: { epochs: 3, epochSteps: 47 } }),
    ).done;
    expect(exitCode).toBe(0);
    expect(report.arms[0]).toMatchObject({ outcome: "done", rollbacks: 0 });
  });
});
