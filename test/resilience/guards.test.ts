/** What actors and node get: a bus and lanes that give up quickly on what is down, and requests that outlive nobody's patience. */
import { describe, expect, test } from "vitest";
import { fetchAsset } from "../../src/actors/library-client.ts";
import { startActor } from "../../src/actors/shell.ts";
import { BreakerConfig } from "../../src/contracts/config-calls.ts";
import { DeadlineError, InputError } from "../../src/contracts/errors.ts";
import { createBreakers } from "../../src/resilience/breakers.ts";
import { currentDeadlineMs, earliestMs, underDeadline } from "../../src/resilience/deadline.ts";
import { guardConnect } from "../../src/resilience/guard-connect.ts";
import { guardExperimentLanes, guardForgeLane, guardTrainingLane, guardTwinThread } from "../../src/resilience/guard-lanes.ts";
import type { ExperimentLanes } from "../../src/workers/experiment-lanes.ts";
import type { ForgeLane, LaneOutcome, TrainingLane } from "../../src/workers/lane.ts";
import type { Seated, TwinThread } from "../../src/workers/twin-thread.ts";
import { createActorWorld } from "../actors/support.ts";
import { host } from "../cli/samples.ts";
import { createSimulatedClock } from "../support/clock.ts";

const hash = "0".repeat(64);
const question = { runId: "r-1", arm: "grown", growth: true, status: { host, epoch: 0, flopsMax: 1 } };

describe("deadlines", () => {
  test("A6 a request put while another is answered ends with that one, however long its own time-out", async () => {
    const world = createActorWorld();
    const asked: (number | undefined)[] = [];
    const outcomes: unknown[] = [];
    const urza = await world.as("urza");
    await urza.respond("library.asset.get", async (_, { deadlineAtMs }) => {
      asked.push(deadlineAtMs);
      return new Promise(() => undefined);
    });
    // An actor that asks the library while it answers.
    await startActor("kasmina", world.ports, async (scope) => {
      await scope.answer("control.kasmina.boundary", async () => {
        const outcome = await scope.bus.request("library.asset.get", { kind: "host", hash }, { timeoutMs: 60_000 });
        outcomes.push([outcome.kind, world.clock.monotonicMs()]);
        return { kind: "stop" as const, reason: outcome.kind };
      });
    });
    const tolaria = await world.as("tolaria");
    const startMs = world.clock.nowMs();
    const answer = tolaria.request("control.kasmina.boundary", question, { timeoutMs: 700 });
    await world.clock.advance(700);
    expect(asked).toEqual([startMs + 700]);
    expect(outcomes).toEqual([["timeout", 700]]);
    expect((await answer).kind).toBe("timeout");
  });

  test("A6 retries stop at the deadline of the request that they serve", async () => {
    const world = createActorWorld();
    const atMs: number[] = [];
    await startActor("kasmina", world.ports, async (scope) => {
      await scope.answer("control.kasmina.boundary", async () => {
        const fetched = await fetchAsset(scope, "host", hash);
        atMs.push(world.clock.monotonicMs());
        return { kind: "stop" as const, reason: fetched.kind };
      });
    });
    const tolaria = await world.as("tolaria");
    const answer = tolaria.request("control.kasmina.boundary", question, { timeoutMs: 200 });
    await world.clock.advance(10_000);
    // Pauses of 50 and 100 ms; the next, of 200 ms, would end too late.
    expect(atMs).toEqual([150]);
    expect(await answer).toEqual({ kind: "reply", value: { kind: "stop", reason: "missing" } });
  });

  test("it follows the work through promises, and no further", async () => {
    const seen: (number | undefined)[] = [];
    const work = async (deadlineMs: number): Promise<void> => {
      await Promise.resolve();
      seen.push(currentDeadlineMs());
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(currentDeadlineMs());
      await underDeadline(undefined, async () => void seen.push(currentDeadlineMs()));
      expect(currentDeadlineMs()).toBe(deadlineMs);
    };
    await Promise.all([underDeadline(1, () => work(1)), underDeadline(2, () => work(2))]);
    expect(seen.filter((each) => each === undefined)).toHaveLength(2);
    expect(seen.filter((each) => each === 1)).toHaveLength(2);
    expect(seen.filter((each) => each === 2)).toHaveLength(2);
    expect(currentDeadlineMs()).toBeUndefined();
    expect([earliestMs(), earliestMs(undefined, 3, 2), earliestMs(undefined)]).toEqual([undefined, 2, undefined]);
  });

  test("the deadline of an earlier message does not stay with the next one that waited behind it", async () => {
    const world = createActorWorld();
    const deadlines: (number | undefined)[] = [];
    await startActor("nissa", world.ports, async (scope) => {
      await scope.answer("query.performance", async () => {
        deadlines.push(currentDeadlineMs());
        return { atMs: 1, breakers: [], queues: [] };
      });
      await scope.on("telemetry.run.progress", () => void deadlines.push(currentDeadlineMs()));
    });
    const operator = await world.broker.connect("operator");
    const tolaria = await world.as("tolaria");
    const startMs = world.clock.nowMs();
    void operator.request("query.performance", {}, { timeoutMs: 300 });
    void tolaria.publish("telemetry.run.progress", { runId: "r", arm: "a", epoch: 1, work: "host", step: 1, steps: 1, loss: 1 });
    await world.clock.flush();
    expect(deadlines).toEqual([startMs + 300, undefined]);
  });
});

describe("requests behind breakers", () => {
  test("G2 a subject that fails opens its breaker: the next request is unavailable at once, without being sent", async () => {
    const world = createActorWorld();
    let ask: () => Promise<unknown> = async () => undefined;
    await startActor("tezzeret", world.ports, async ({ bus }) => {
      ask = () => bus.request("library.kernel.find", { keyHash: hash });
    });
    const urza = await world.as("urza");
    let broken = true;
    await urza.respond("library.kernel.find", async () => {
      if (broken) throw new Error("disk on fire");
      return { kind: "missing" } as const;
    });
    for (let i = 0; i < 5; i++) expect(await ask()).toMatchObject({ kind: "unavailable" });
    const sent = world.sent("library.kernel.find").length;
    broken = false;
    expect(await ask()).toMatchObject({
      kind: "unavailable",
      reason: expect.stringMatching(/^the breaker of library\.kernel\.find is OPEN/),
      retryAfterMs: 2_000,
    });
    expect(world.sent("library.kernel.find")).toHaveLength(sent);
    await world.clock.advance(2_000);
    expect(await ask()).toMatchObject({ kind: "reply" });
  });

  test("where nobody listens no breaker opens: who comes up is asked at once", async () => {
    const world = createActorWorld();
    let ask: () => Promise<unknown> = async () => undefined;
    await startActor("tezzeret", world.ports, async ({ bus }) => {
      ask = () => bus.request("library.kernel.find", { keyHash: hash });
    });
    for (let i = 0; i < 20; i++) expect(await ask()).toMatchObject({ kind: "unavailable", absent: true });
    const urza = await world.as("urza");
    await urza.respond("library.kernel.find", async () => ({ kind: "missing" }) as const);
    expect(await ask()).toMatchObject({ kind: "reply" });
    expect(world.ports.resilience.breakers.get("library.kernel.find").stats()).toMatchObject({
      cancelled: 20,
      failed: 0,
      opened: 0,
    });
  });

  test("a request that is put after its deadline is not sent and says nothing of who would have answered", async () => {
    const world = createActorWorld();
    let ask: () => Promise<unknown> = async () => undefined;
    await startActor("tezzeret", world.ports, async ({ bus, clock }) => {
      ask = () => bus.request("library.kernel.find", { keyHash: hash }, { deadlineAtMs: clock.nowMs() });
    });
    expect(await ask()).toMatchObject({ kind: "timeout", reason: expect.stringContaining("the deadline had passed") });
    expect(world.ports.resilience.breakers.stats()).toEqual([]);
  });
});

describe("lanes behind breakers", () => {
  const breakerOf = (name: "lane.training" | "lane.forge") =>
    createBreakers({ config: BreakerConfig.parse({ failuresMax: 2 }), clock: createSimulatedClock() }).get(name);

  test("a lane that is lost again and again gets no more work; closing it always passes", async () => {
    let calls = 0;
    const lost = async () => {
      calls++;
      return { kind: "lost", reason: "the lane's thread ended" } as const;
    };
    const lane = guardTrainingLane(
      { status: lost, close: lost } as Partial<TrainingLane> as TrainingLane,
      breakerOf("lane.training"),
    );
    await lane.status("r-1");
    await lane.status("r-1");
    expect(await lane.status("r-1")).toMatchObject({ kind: "lost", reason: expect.stringContaining("lane.training is OPEN") });
    expect(calls).toBe(2);
    await lane.close("r-1");
    expect(calls).toBe(3);
  });

  test("a typed error is the caller's, an end of the caller says nothing, a deadline and a bug are failures", async () => {
    const breaker = breakerOf("lane.forge");
    const warm = (error: Error) =>
      guardForgeLane({ warm: () => Promise.reject(error) } as Partial<ForgeLane> as ForgeLane, breaker).warm("native");
    const compile = (error: Error) =>
      guardForgeLane({ compile: () => Promise.reject(error) } as Partial<ForgeLane> as ForgeLane, breaker).compile(
        {} as never,
        {} as never,
        AbortSignal.abort(error),
      );
    await expect(warm(new InputError("no such engine"))).rejects.toThrow("no such engine");
    await expect(compile(new Error("the actor ends"))).rejects.toThrow("the actor ends");
    expect(breaker.stats()).toMatchObject({ succeeded: 1, cancelled: 1, failed: 0, state: "CLOSED" });
    await expect(compile(new DeadlineError("too late"))).rejects.toThrow("too late");
    await expect(warm(new Error("undefined is not a function"))).rejects.toThrow();
    expect(breaker.stats()).toMatchObject({ failed: 2, state: "OPEN" });
  });
});

describe("lanes of an experiment behind a breaker", () => {
  type Ran = LaneOutcome<{ readonly outcome: string; readonly seconds: number }>;
  const done: Ran = { kind: "done", value: { outcome: "measured", seconds: 1 } };
  const lost: Ran = { kind: "lost", reason: "the thread ended" };

  /** Two failures open the breaker for 5,000 ms. */
  const open = (run: (job: string) => Promise<Ran>) => {
    const clock = createSimulatedClock();
    const config = BreakerConfig.parse({ failuresMax: 2, recoveryMs: 5_000 });
    const breaker = createBreakers({ config, clock }).get("lane.experiment");
    let stops = 0;
    const lanes: ExperimentLanes<string, string> = {
      count: 2,
      run,
      stop: () => {
        stops += 1;
      },
      destroy: async () => undefined,
    };
    return { clock, breaker, lanes: guardExperimentLanes(lanes, breaker, clock), stops: () => stops };
  };

  test("threads that die again and again get no more jobs for a while; a job that waited is done, once", async () => {
    const begun: string[] = [];
    const { clock, breaker, lanes } = open(async (job) => {
      begun.push(job);
      return job === "dies" ? lost : done;
    });
    expect([await lanes.run("dies"), await lanes.run("dies")]).toEqual([lost, lost]);
    let waited: Ran | undefined;
    void lanes.run("good").then((outcome) => {
      waited = outcome;
    });
    await clock.advance(4_999);
    expect([waited, begun]).toEqual([undefined, ["dies", "dies"]]);
    await clock.advance(1);
    expect([waited, begun]).toEqual([done, ["dies", "dies", "good"]]);
    expect(breaker.stats()).toMatchObject({ state: "CLOSED", calls: 3, failed: 2, succeeded: 1, rejected: 1, opened: 1 });
  });

  test("while one job is the probe the others wait, and none of them spins", async () => {
    const ends: (() => void)[] = [];
    const { clock, breaker, lanes } = open((job) =>
      job === "dies" ? Promise.resolve(lost) : new Promise((resolve) => ends.push(() => resolve(done))),
    );
    await lanes.run("dies");
    await lanes.run("dies");
    const outcomes: Ran[] = [];
    for (const job of ["a", "b"]) void lanes.run(job).then((outcome) => outcomes.push(outcome));
    await clock.advance(15_000);
    expect([ends.length, outcomes]).toEqual([1, []]);
    expect(breaker.stats().rejected).toBeLessThan(20);
    ends[0]?.();
    await clock.advance(1_000);
    expect([ends.length, outcomes]).toEqual([2, [done]]);
  });

  test.each(["stop", "destroy"] as const)("%s ends the waiting", async (end) => {
    const { clock, lanes, stops } = open(async () => lost);
    await lanes.run("dies");
    await lanes.run("dies");
    const waiting = lanes.run("good");
    await clock.advance(10);
    await lanes[end]();
    expect(await waiting).toMatchObject({ kind: "lost", reason: expect.stringContaining("lane.experiment is OPEN") });
    expect(stops()).toBe(end === "stop" ? 1 : 0);
    expect(clock.pending()).toBe(0);
  });
});

test("a second lane whose seats are lost gives none for a while; who gets none goes on without", async () => {
  const clock = createSimulatedClock();
  const breaker = createBreakers({ config: BreakerConfig.parse({ failuresMax: 1, recoveryMs: 500 }), clock }).get("lane.twin");
  const leave: ((outcome: LaneOutcome<void>) => void)[] = [];
  let seats = 1;
  const twins: TwinThread = {
    seat: () =>
      leave.length < seats
        ? ({ left: new Promise((resolve) => leave.push(resolve)), ready: Promise.resolve() } as Partial<Seated> as Seated)
        : undefined,
    destroy: async () => undefined,
  };
  const guarded = guardTwinThread(twins, breaker);
  const request = {} as Parameters<TwinThread["seat"]>[0];
  expect(guarded.seat(request)).toBeDefined();
  expect(guarded.seat(request)).toBeUndefined();
  await clock.flush();
  expect(breaker.stats()).toMatchObject({ calls: 2, inFlight: 1, cancelled: 1, state: "CLOSED" });
  seats = 9;
  leave[0]?.({ kind: "lost", reason: "its thread ended" });
  await clock.flush();
  expect(breaker.stats()).toMatchObject({ failed: 1, state: "OPEN", lastError: "its thread ended" });
  expect(guarded.seat(request)).toBeUndefined();
  expect(leave).toHaveLength(1);
  await clock.advance(500);
  expect(guarded.seat(request)).toBeDefined();
  leave[1]?.({ kind: "done", value: undefined });
  await clock.flush();
  expect(breaker.stats()).toMatchObject({ state: "CLOSED", succeeded: 1, rejected: 1 });
});

test("a server of somebody else's that is away is not asked again and again; the reason says what was tried", async () => {
  const clock = createSimulatedClock();
  const breakers = createBreakers({ config: BreakerConfig.parse({ failuresMax: 2, recoveryMs: 500 }), clock });
  const reach = guardConnect(breakers.get("nats"));
  let tries = 0;
  let up = false;
  const connect = () =>
    reach(async () => {
      tries++;
      if (!up) throw new Error("it could not be reached");
      return "connected";
    });
  for (let i = 0; i < 2; i++) await expect(connect()).rejects.toThrow("it could not be reached");
  await expect(connect()).rejects.toThrow(
    /^the breaker of nats is OPEN and rejects calls for 500 ms more: it could not be reached$/,
  );
  expect(tries).toBe(2);
  up = true;
  await clock.advance(500);
  expect(await connect()).toBe("connected");
});
