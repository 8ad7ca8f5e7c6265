/** Tolaria with a lane that a test plays: she waits for nobody, and takes up what an earlier generation left. */

import { describe, expect, it } from "vitest";
import { startTolaria } from "../../src/actors/tolaria.ts";
import { zeroFlops } from "../../src/contracts/measure.ts";
import type { EpochPlan, EpochResult, SessionStatus } from "../../src/contracts/plan.ts";
import type { ReplyOf } from "../../src/contracts/subjects.ts";
import type { LaneOutcome, TrainingLane } from "../../src/workers/lane.ts";
import { host, laneResult, runId } from "../machines/fixtures.ts";
import { host as hostAsset } from "../store/support.ts";
import { idleLane, runContextOf } from "./run.ts";
import { createActorWorld } from "./support.ts";

const done = async <T>(value: T): Promise<LaneOutcome<T>> => ({ kind: "done", value });
const start = async () => {
  const world = createActorWorld();
  const plans: EpochPlan[] = [];
  let last: EpochResult | undefined;
  const status = (): SessionStatus => ({
    runId,
    epoch: last?.epoch ?? 0,
    hostStep: last?.hostStep ?? 0,
    host,
    damagedSites: [],
    flopsMax: 1e9,
    flops: last?.flops ?? zeroFlops,
    ...(last === undefined ? {} : { lastResult: last }),
  });
  /** Windows take a second of simulated time. */
  const lane: TrainingLane = {
    ...idleLane,
    open: () => done(status()),
    run: async (plan) => {
      plans.push(plan);
      await new Promise<void>((resolve) => world.clock.schedule(1_000, resolve));
      last = laneResult(plan, last);
      return done(last);
    },
    status: () => done(status()),
    host: () => done(hostAsset.host),
    close: () => done(undefined),
  };
  const run = runContextOf(lane, { opened: false });
  const urza = await world.as("urza");
  await urza.respond(
    "library.asset.put",
    async (): Promise<ReplyOf<"library.asset.put">> => ({ kind: "stored", hash: "a".repeat(64), existed: false }),
  );
  const told = (): number[] => world.sent("system.events.epoch").map(({ result }) => result.epoch);
  return { ...world, run, plans, told, begin: () => startTolaria(world.ports, run) };
};

const plan = (epoch: number, work: EpochPlan["work"]): EpochPlan => ({ runId, epoch, before: [], work, measureSignal: false });

describe("T2 training waits for nobody", () => {
  it("Kasmina is silent: the host goes on, window after window, without a signal", async () => {
    const world = await start();
    await world.begin();
    await world.clock.advance(20_000);
    expect(world.plans.length).toBeGreaterThan(5);
    for (const { work, before, measureSignal } of world.plans)
      expect([work.kind, before, measureSignal]).toEqual(["host", [], false]);
    expect(world.told()).toEqual(world.told().map((_, i) => i + 1));
  });

  it("Kasmina comes and goes: her plan is followed when she is there, and nobody waits when she is not", async () => {
    const world = await start();
    await world.begin();
    for (let life = 0; life < 4; life += 1) {
      const before = world.plans.length;
      await world.clock.advance(5_000);
      expect(world.plans.length).toBeGreaterThan(before);
      const kasmina = await world.as("kasmina");
      await kasmina.respond(
        "control.kasmina.boundary",
        async ({ status }): Promise<ReplyOf<"control.kasmina.boundary">> => ({
          kind: "run",
          plan: { ...plan(status.epoch + 1, { kind: "host", steps: 7 }) },
        }),
      );
      await world.clock.advance(5_000);
      expect(world.plans.at(-1)?.work).toEqual({ kind: "host", steps: 7 });
      await kasmina.close();
    }
    expect(world.told()).toEqual(world.told().map((_, i) => i + 1));
  });

  it("Kasmina hangs: once the breaker is open a boundary costs no time-out any more", async () => {
    const world = await start();
    const kasmina = await world.as("kasmina");
    await kasmina.respond("control.kasmina.boundary", () => new Promise(() => undefined));
    await world.begin();
    await world.clock.advance(60_000);
    // Each window takes a second; two time-outs of 2 s each would leave 11 of them.
    expect(world.plans.length).toBeGreaterThanOrEqual(20);
    expect(world.ports.resilience.breakers.get("control.kasmina.boundary").stats()).toMatchObject({ succeeded: 0 });
  });

  it("in a trial a hanging Kasmina is asked as patiently with a breaker as without", async () => {
    const world = await start();
    const kasmina = await world.as("kasmina");
    let hangs = false;
    await kasmina.respond("control.kasmina.boundary", async ({ status }): Promise<ReplyOf<"control.kasmina.boundary">> => {
      if (hangs) await new Promise(() => undefined);
      return { kind: "run", plan: plan(status.epoch + 1, { kind: "evaluate", seedId: "seed:h2" }) };
    });
    const child = await startTolaria(world.ports, { ...world.run, boundaryAttemptsMax: 10 });
    await world.clock.advance(500);
    hangs = true;
    let ended = false;
    void child.exited.then(() => {
      ended = true;
    });
    // Ten attempts of 2 s, answered or rejected.
    await world.clock.advance(18_000);
    expect(ended).toBe(false);
    await world.clock.advance(10_000);
    expect(ended).toBe(true);
  });

  it("in a trial she is waited for: the host must not move", async () => {
    const world = await start();
    const kasmina = await world.as("kasmina");
    await kasmina.respond(
      "control.kasmina.boundary",
      async ({ status }): Promise<ReplyOf<"control.kasmina.boundary">> => ({
        kind: "run",
        plan: plan(status.epoch + 1, { kind: "evaluate", seedId: "seed:h2" }),
      }),
    );
    const child = await world.begin();
    await world.clock.advance(500);
    await kasmina.close();
    await world.clock.advance(60_000);
    expect(world.plans.map(({ work }) => work.kind)).toEqual(["evaluate"]);
    expect(await child.exited).toMatchObject({
      kind: "crash",
      error: { message: expect.stringMatching(/Kasmina did not answer/) },
    });
  });
});

describe("T1 a window that an earlier generation could not tell", () => {
  it("is told by the next one, once", async () => {
    const world = await start();
    const first = await world.begin();
    await world.clock.advance(900);
    first.kill?.();
    await first.exited;
    await world.clock.advance(2_000);
    const told = world.told().length;
    await world.begin();
    await world.clock.advance(10_000);
    expect(world.told().length).toBeGreaterThan(told + 1);
    expect(world.told()).toEqual(world.told().map((_, i) => i + 1));
  });
});

it("T2 the commands of its start are waited for, and nobody is told of a pause", async () => {
  const world = await start();
  const kasmina = await world.as("kasmina");
  let given = false;
  const answers = await kasmina.respond(
    "control.kasmina.boundary",
    async ({ status }): Promise<ReplyOf<"control.kasmina.boundary">> =>
      given
        ? { kind: "run", plan: plan(status.epoch + 1, { kind: "host", steps: 7 }) }
        : { kind: "wait", outstanding: "commands", askAgainMs: 200 },
  );
  await world.begin();
  await world.clock.advance(20_000);
  expect(world.plans).toEqual([]);
  given = true;
  await world.clock.advance(5_000);
  expect(world.plans.length).toBeGreaterThan(2);
  expect(world.sent("system.events.run").map(({ kind }) => kind)).toEqual(["started"]);
  await answers.close();
});
