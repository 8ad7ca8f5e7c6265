/** Twins in a second lane: whatever happens there, a run is bit for bit what it is in one lane. */
import fc from "fast-check";
import type { Piscina } from "piscina";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import type { EpochPlan, EpochResult, SessionSpec } from "../../src/contracts/plan.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { createTrainingLane } from "../../src/workers/piscina-lanes.ts";
import { copyTensors } from "../../src/workers/session/learner.ts";
import type { TwinLane } from "../../src/workers/session/twin-lane.ts";
import { TwinStepper } from "../../src/workers/session/twin-steps.ts";
import { createTwinThread } from "../../src/workers/twin-thread.ts";
import { Contestant, contest, lives, prepare, shared } from "./contests.ts";
import { dataset, nativeEngine, seedId, seedIds, spec } from "./fixture.ts";

/** The pools of this file in the order in which they were made, so that a test can end a thread of one. */
const pools: Piscina[] = [];
vi.mock("piscina", async (load) => {
  const real = await load<typeof import("piscina")>();
  class Watched extends real.Piscina {
    constructor(options: ConstructorParameters<typeof real.Piscina>[0]) {
      super(options);
      pools.push(this);
    }
  }
  return { ...real, Piscina: Watched };
});

/** A training lane with a second thread, and what is told of that one's end. */
const openLanes = () => {
  const lost: string[] = [];
  const lane = createTrainingLane(createTwinThread({ onLost: (why) => lost.push(why) }));
  return { lane, lost, twinThreads: pools.at(-2)!.threads };
};

const made: Contestant[] = [];
const keep = async (asked: Promise<Contestant>): Promise<Contestant> => {
  const contestant = await asked;
  made.push(contestant);
  return contestant;
};
afterEach(async () => {
  await Promise.all(made.splice(0).map((each) => each.destroy()));
});
const atHand = (changes: Partial<SessionSpec> = {}, twins?: TwinLane): Promise<Contestant> =>
  keep(Contestant.atHand(changes, twins));

const state = async (run: Contestant) => {
  const { state: saved, tensors } = await run.snapshot();
  return { ...saved, lastResult: saved.lastResult && shared(saved.lastResult), tensors };
};

const expectEqual = async (found: Contestant, expected: Contestant): Promise<void> => {
  expect(found.results.map(shared)).toEqual(expected.results.map(shared));
  expect(await state(found)).toEqual(await state(expected));
};

const window = (result: EpochResult | undefined): object => shared({ ...result! });

/** Runs a plan and raises the stop flag as soon as so many of its steps are recorded. */
const stopAfter = async (run: Contestant, plan: EpochPlan, steps: number): Promise<EpochResult> => {
  const raise = (recorded: number): void => {
    if (recorded >= steps) run.table.stopRequested = true;
  };
  Object.defineProperty(run.table, "windowStep", { configurable: true, set: raise });
  const result = await run.take(plan);
  Reflect.deleteProperty(run.table, "windowStep");
  run.table.stopRequested = false;
  return result;
};

/** Resolves when the window under way is so far; throws when it ended before. */
const untilStep = async ({ table }: Contestant, step: number, running: Promise<unknown>): Promise<void> => {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  running.then(end, end);
  while (table.windowStep < step) {
    if (ended) throw new Error(`expected the window to reach step ${step}, found it ended`);
    await new Promise((resolve) => setImmediate(resolve));
  }
};

const cpu = { engine: "cpu" } as const;
const long = { hostSteps: 1_000_000 };
const endless = { ...contest, steps: 100_000 };

describe("a run with twins in a thread of their own", () => {
  const { lane, lost } = openLanes();
  afterAll(() => lane.destroy());
  const twoLanes = (changes: Partial<SessionSpec> = {}): Promise<Contestant> => keep(Contestant.inLane(lane, changes));

  it.each(Object.entries(lives))("is that of one lane: %s", async (_, live) => {
    const [one, two] = [await atHand(), await twoLanes()];
    await live(one);
    await live(two);
    await expectEqual(two, one);
    let before = 0;
    for (const { kernel, secondLaneSteps } of two.results) {
      const twinSteps = kernel?.kind === "fine_tuned" ? kernel.twinSteps : 0;
      expect(secondLaneSteps).toBe(twinSteps > 0 ? twinSteps - before : undefined);
      before = twinSteps;
    }
    expect(one.results.every(({ secondLaneSteps }) => secondLaneSteps === undefined)).toBe(true);
    expect(lost).toEqual([]);
  });

  it("is that of one lane when it is stopped amid a contest, and goes on in either", async () => {
    const [one, two, elsewhere] = [await atHand(long), await twoLanes(long), await atHand(long)];
    for (const run of [one, two]) await prepare(run);
    const plan = await two.plan({ ...contest, steps: 100 });
    two.table.windowStep = 0;
    const running = two.take(plan);
    await untilStep(two, 3, running);
    two.table.stopRequested = true;
    expect((await running).interrupted).toBe(true);
    two.table.stopRequested = false;
    await elsewhere.restore(two);
    const [whole, ...others] = [await one.take(plan), await two.take(plan), await elsewhere.take(plan)];
    for (const other of others) expect(window(other)).toEqual(window(whole));
    for (const other of [two, elsewhere]) expect(await state(other)).toEqual(await state(one));
  });

  it("a lane that is given up amid a contest is opened again with both threads, and nothing hangs", async () => {
    const [one, two] = [await atHand(long), await Contestant.inLane(lane, long)];
    for (const run of [one, two]) await prepare(run);
    const [plan, saved] = [await one.plan(contest), await two.snapshot()];
    two.table.windowStep = 0;
    const running = lane.run({ ...plan, work: endless }, {});
    await untilStep(two, 3, running);
    await lane.abort();
    expect(await running).toMatchObject({ kind: "lost" });
    await lane.open({ spec: two.spec, dataset, table: two.table, seedIds });
    await lane.restore(two.spec.runId, saved, two.kernels);
    const result = await two.take(plan);
    expect(window(result)).toEqual(window(await one.take(plan)));
    expect(result.secondLaneSteps).toBe(result.kernel?.kind === "fine_tuned" ? result.kernel.twinSteps : -1);
    const again = lane.run({ ...plan, epoch: plan.epoch + 1, work: endless }, {});
    two.table.windowStep = 0;
    await untilStep(two, 3, again);
    await lane.destroy();
    expect(await again).toMatchObject({ kind: "lost" });
    expect(lost).toEqual([]);
  });
});

describe("a second thread that dies", () => {
  // Amid a step of the native engine it would take the process with it.
  it("amid a contest costs time only, and is told", async () => {
    const { lane, lost, twinThreads } = openLanes();
    const [one, two] = [await atHand(cpu), await Contestant.inLane(lane, cpu)];
    for (const run of [one, two]) {
      await run.load();
      run.table.windowStep = 0;
      const running = run.run({ ...contest, steps: 12 });
      if (run === two) {
        await untilStep(two, 3, running);
        await Promise.all(twinThreads.map((thread) => thread.terminate()));
      }
      await running;
      await run.run({ ...contest, steps: 3 });
      await run.run({ kind: "host", steps: 5 }, [{ kind: "discard", seedId, continueFrom: "twin" }]);
    }
    await expectEqual(two, one);
    expect(two.results.map(({ secondLaneSteps }) => secondLaneSteps)).toEqual([undefined, undefined, undefined, undefined]);
    expect(lost).toEqual([expect.stringMatching(/thread ended/)]);
    await lane.destroy();
  });

  it("before it is up leaves the run to the first, and the next one too", async () => {
    const { lane, lost, twinThreads } = openLanes();
    const opening = Contestant.inLane(lane);
    await Promise.all(twinThreads.map((thread) => thread.terminate()));
    const [one, alone] = [await atHand(), await opening];
    for (const run of [one, alone]) {
      await prepare(run);
      await run.run(contest);
    }
    await expectEqual(alone, one);
    await alone.destroy();
    const next = await Contestant.inLane(lane);
    await next.load();
    await next.run(contest);
    const away = [...alone.results, ...next.results].map(({ secondLaneSteps }) => secondLaneSteps ?? 0);
    expect(away).toEqual([0, 0, 0, 0, 0, 0]);
    expect(lost).toEqual([expect.stringMatching(/thread ended/)]);
    await lane.destroy();
  });

  it("a lane has a seat for as many sessions as it is told, and for another when one is closed", async () => {
    const twins = createTwinThread({ onLost: () => undefined, seatsMax: 1 });
    const request = { spec, dataset, table: new SeedStateTable(seedIds.length), seedIds };
    const first = twins.seat(request)!;
    expect(twins.seat(request)).toBeUndefined();
    await first.ready;
    first.seat.port.close();
    let second = twins.seat(request);
    while (second === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      second = twins.seat(request);
    }
    await second.ready;
    second.seat.port.close();
    await twins.destroy();
  });
});

/** A second lane in this thread that brings back `brought` steps at most; nothing at all for undefined, as one that died. */
const secondLaneHere = async (changes: Partial<SessionSpec> = {}) => {
  const stepper = new TwinStepper({ spec: { ...spec, ...changes }, dataset }, await nativeEngine());
  const seen: { brought: number | undefined; started: number; atRest: number } = { brought: 1_000, started: 0, atRest: 0 };
  const lane: TwinLane = {
    start: ({ tensors, ...task }) => {
      seen.started++;
      let wanted = true;
      const { brought } = seen;
      const steps = Math.min(brought ?? 3, task.steps);
      const work = stepper.take({ ...task, tensors: copyTensors(tensors), steps }, () => wanted);
      const done = work.then((taken) => {
        seen.atRest++;
        return brought === undefined ? undefined : taken;
      });
      return {
        done,
        cancel: async () => {
          wanted = false;
          await done;
        },
      };
    },
  };
  return { lane, seen };
};

describe("a contest", () => {
  it("A1–A3: is that of one lane however many steps come back and wherever it is stopped, its checkpoint included", async () => {
    const { lane, seen } = await secondLaneHere();
    const [start, one, two] = [await atHand(), await atHand(), await atHand({}, lane)];
    await prepare(start);
    const plan = await start.plan(contest);
    await one.restore(start);
    const whole = window(await one.take(plan));
    const wholeState = await state(one);
    await fc.assert(
      fc.asyncProperty(fc.option(fc.nat(30), { nil: undefined }), fc.nat(48), async (brought, stop) => {
        seen.brought = brought;
        await two.restore(start);
        const stopped = await stopAfter(two, plan, stop);
        expect(seen.atRest).toBe(seen.started); // A4
        if (stopped.interrupted) {
          await one.restore(start);
          const same = await stopAfter(one, plan, stopped.steps);
          expect([window(stopped), await state(two)]).toEqual([window(same), await state(one)]);
          await one.restore(two);
          expect([window(await one.take(plan)), await state(one)]).toEqual([whole, wholeState]);
          expect(window(await two.take(plan))).toEqual(whole);
        } else expect(window(stopped)).toEqual(whole);
        expect(await state(two)).toEqual(wholeState);
      }),
      {
        numRuns: 20,
        seed: 5,
        examples: [
          [28, 20],
          [28, 21],
          [undefined, 30],
          [0, 0],
          [9, 24],
        ],
      },
    );
  });

  // The random seeds are such that the alarm comes on that side.
  it.each([
    { side: "grown copy", randomSeed: 4, steps: 13, secondLaneSteps: undefined },
    { side: "twin", randomSeed: 7, steps: 35, secondLaneSteps: 15 },
  ])(
    "A1: an alarm of the governor on the side of the $side is that of one lane",
    async ({ randomSeed, steps, secondLaneSteps }) => {
      const governor = { windowSteps: 64, sigmaMax: 1.5, ratioMax: 1.01, spikesMax: 1, rollbacksMax: 3 };
      const changes = { randomSeed, governor };
      const { lane, seen } = await secondLaneHere(changes);
      const [one, two] = [await atHand(changes), await atHand(changes, lane)];
      for (const run of [one, two]) {
        await run.load();
        await run.run(contest);
      }
      expect([seen.started, seen.atRest]).toEqual([1, 1]); // A4
      expect(two.results[1]).toMatchObject({ steps, anomalies: [{ kind: "loss_spike", step: steps }] });
      expect(two.results[1]?.secondLaneSteps).toBe(secondLaneSteps);
      await expectEqual(two, one);
      for (const run of [one, two]) await run.run({ kind: "host", steps: 5 }, [{ kind: "rollback", seedId, reason: "spike" }]);
      await expectEqual(two, one);
    },
  );

  it("beside a frozen base has no twin to send anywhere", async () => {
    const changes = { morphogenetic: { ...spec.morphogenetic, base: "frozen" as const } };
    const { lane, seen } = await secondLaneHere(changes);
    const run = await atHand(changes, lane);
    await run.load();
    await run.run(contest);
    expect(run.results[1]?.kernel).toMatchObject({ kind: "fine_tuned", grownSteps: 20, twinSteps: 0 });
    expect(seen.started).toBe(0);
  });
});
