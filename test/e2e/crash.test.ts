/** Killing any one part in mid-run does not end the run, loses no event, tells none twice, and changes no decision. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { EsperConfig } from "../../src/contracts/config.ts";
import type { LifecycleState } from "../../src/contracts/lifecycle.ts";
import type { ReportArm } from "../../src/contracts/report.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import type { TrainingLane } from "../../src/workers/lane.ts";
import { hostConfig, payloadsOf, readLog, smallConfig, startNode, type TestNode, temporaryFolder } from "./support.ts";

/** The training lanes of the nodes in this file: a real lane each, so that a test can kill its thread. */
const lanes: TrainingLane[] = [];
vi.mock("../../src/workers/piscina-lanes.ts", async (load) => {
  const real = await load<typeof import("../../src/workers/piscina-lanes.ts")>();
  return {
    ...real,
    createTrainingLane: () => {
      const lane = real.createTrainingLane();
      lanes.push(lane);
      return lane;
    },
  };
});

const actors = ["urza", "nissa", "tezzeret", "urabrask", "tamiyo", "emrakul", "kasmina", "tolaria", "oona"] as const;
type Victim = (typeof actors)[number] | "nats-server" | "lane";

/** Restarts are what is tested, so their limit is out of the way. */
const patient = (config: EsperConfig): EsperConfig => ({ ...config, services: { ...config.services, restartsMax: 50 } });

const kill = async (node: TestNode, victim: Victim): Promise<void> => {
  const { supervisor, serverPid } = await node.handle;
  if (victim === "lane") return lanes.at(-1)?.abort();
  if (victim !== "nats-server") return supervisor.killChild(victim);
  const pid = serverPid();
  if (pid === undefined) throw new Error("expected an embedded server");
  process.kill(pid, "SIGKILL");
};

const killInWindow = async (node: TestNode, victim: Victim, epoch: number): Promise<void> => {
  await node.until("system.events.epoch", ({ result }) => result.epoch === epoch);
  await kill(node, victim);
};

const killInState = async (node: TestNode, victim: Victim, state: LifecycleState): Promise<void> => {
  await node.until("system.events.seed", ({ to }) => to === state);
  await kill(node, victim);
};

/** The run is done, its log tells every window once and in order, and every seed's story without a gap. */
const expectWhole = async (arm: ReportArm | undefined, firstEpoch = 1): Promise<ReportArm> => {
  expect(arm?.outcome).toBe("done");
  const whole = arm!;
  const events = await readLog(whole.eventLog);
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  const epochs = payloadsOf(events, "system.events.epoch").map(({ result }) => result.epoch);
  expect(epochs).toEqual(epochs.map((_, i) => firstEpoch + i));
  expect(payloadsOf(events, "system.events.run").map(({ kind }) => kind)).toContain("finished");
  const states = await replaySeeds(events);
  expect(Object.fromEntries(states)).toEqual(Object.fromEntries(whole.seeds.map(({ id, outcome }) => [id, outcome])));
  for (const { id } of whole.seeds) {
    const sequences = payloadsOf(events, "system.events.seed").filter(({ seedId }) => seedId === id);
    expect(sequences.map(({ sequence }) => sequence)).toEqual(sequences.map((_, i) => i + 1));
  }
  return whole;
};

describe("while the host is in training", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let undisturbed: ReportArm;

  beforeAll(async () => {
    folder = await temporaryFolder();
    undisturbed = await expectWhole((await startNode(hostConfig(`${folder.path}/base`)).done).report.arms[0]);
  });
  afterAll(() => folder.remove());

  it.each(["tolaria", "nats-server"] as const)("killing %s changes nothing", async (victim) => {
    const node = startNode(patient(hostConfig(`${folder.path}/${victim}`)));
    await killInWindow(node, victim, 3);
    const arm = await expectWhole((await node.done).report.arms[0]);
    expect(arm.testAccuracy).toBe(undisturbed.testAccuracy);
    expect(arm.validationLoss).toBe(undisturbed.validationLoss);
    expect(arm.hostSteps).toBe(undisturbed.hostSteps);
  });

  it("killing every actor, one after the other in one run, changes nothing", async () => {
    const node = startNode(patient(hostConfig(`${folder.path}/all`)));
    for (const [i, victim] of actors.entries()) await killInWindow(node, victim, i + 1);
    const arm = await expectWhole((await node.done).report.arms[0]);
    expect(arm.testAccuracy).toBe(undisturbed.testAccuracy);
    expect(arm.validationLoss).toBe(undisturbed.validationLoss);
    for (const victim of actors) {
      const told = node.payloads("system.events.supervision").filter(({ child }) => child === victim);
      expect(
        told.map(({ kind }) => kind),
        victim,
      ).toContain("started");
    }
  });

  it.each([
    { when: "before the first checkpoint", epoch: 1, resumedAt: undefined },
    { when: "after a checkpoint", epoch: 7, resumedAt: 6 },
  ])("killing the training thread $when goes on in a run of its own, to the same end", async ({ epoch, resumedAt }) => {
    const node = startNode(patient(hostConfig(`${folder.path}/lane-${epoch}`)));
    await killInWindow(node, "lane", epoch);
    const { report } = await node.done;
    const arm = await expectWhole(report.arms[0], (resumedAt ?? 0) + 1);
    expect(arm.runId).toMatch(/-2$/);
    expect(arm.testAccuracy).toBe(undisturbed.testAccuracy);
    expect(node.notes.join("\n")).toMatch(resumedAt === undefined ? /starting the arm again/ : /resuming from .*\/6/);
  });
});

describe("during a trial", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let undisturbed: ReportArm;

  beforeAll(async () => {
    folder = await temporaryFolder();
    undisturbed = await expectWhole((await startNode(smallConfig(`${folder.path}/warm`)).done).report.arms[0]);
    expect(undisturbed.seeds[0]?.outcome).toBe("FOSSILIZED");
  });
  afterAll(() => folder.remove());

  const expectUndisturbed = (arm: ReportArm): void => {
    expect(arm.seeds[0]?.history.map(({ state, epoch }) => [state, epoch])).toEqual(
      undisturbed.seeds[0]?.history.map(({ state, epoch }) => [state, epoch]),
    );
    expect(arm.seeds[0]?.measuredGain).toBe(undisturbed.seeds[0]?.measuredGain);
    expect(arm.testAccuracy).toBe(undisturbed.testAccuracy);
  };

  it.each<{ kills: readonly (readonly [Victim, LifecycleState])[] }>([
    {
      kills: [
        ["tolaria", "LOADING"],
        ["urza", "TRAINING"],
        ["kasmina", "GRAFTING"],
        ["nissa", "EVALUATING"],
        ["tolaria", "FINE_TUNING"],
      ],
    },
    {
      kills: [
        ["tamiyo", "TRAINING"],
        ["nats-server", "GRAFTING"],
        ["oona", "FINE_TUNING"],
        ["kasmina", "FOSSILIZED"],
      ],
    },
  ])("killing $kills keeps the same repair and gives the same accuracy", async ({ kills }) => {
    const node = startNode(patient(smallConfig(`${folder.path}/warm`)));
    for (const [victim, state] of kills) await killInState(node, victim, state);
    expectUndisturbed(await expectWhole((await node.done).report.arms[0]));
  });

  it.each(["tezzeret", "oona"] as const)("killing %s while a kernel is compiled changes nothing", async (victim) => {
    const node = startNode(patient(smallConfig(`${folder.path}/cold-${victim}`)));
    await killInState(node, victim, "GERMINATED");
    expectUndisturbed(await expectWhole((await node.done).report.arms[0]));
  });

  it("killing urabrask while a kernel is measured changes nothing", async () => {
    const node = startNode(patient(smallConfig(`${folder.path}/cold-urabrask`)));
    await node.until("compilation.kernel.ready", ({ kind }) => kind === "ready");
    await kill(node, "urabrask");
    expectUndisturbed(await expectWhole((await node.done).report.arms[0]));
  });

  it("killing the training thread in a trial resumes from the checkpoint before it and tells the seed's whole story again", async () => {
    const node = startNode(patient(smallConfig(`${folder.path}/warm`)));
    await killInState(node, "lane", "FINE_TUNING");
    const { report } = await node.done;
    const events = await readLog(report.arms[0]!.eventLog);
    const first = payloadsOf(events, "system.events.epoch")[0]!.result.epoch;
    const arm = await expectWhole(report.arms[0], first);
    expect(arm.seeds[0]?.outcome).toBe("FOSSILIZED");
    expect(arm.testAccuracy).toBe(undisturbed.testAccuracy);
  });
});
