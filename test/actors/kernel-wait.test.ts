/**
 * Tolaria, Kasmina, Tezzeret and Urabrask under their supervisor, with a forge whose work a test holds in its hand: whatever the forge's
 * speed, and whoever dies meanwhile, the run takes its kernel at the same window and tells the same history.
 */
import { describe, expect, it } from "vitest";
import { startKasmina } from "../../src/actors/kasmina.ts";
import { startTezzeret } from "../../src/actors/tezzeret.ts";
import { startTolaria } from "../../src/actors/tolaria.ts";
import { nodeTopology, runTopology } from "../../src/actors/topology.ts";
import { startUrabrask } from "../../src/actors/urabrask.ts";
import { ServicesConfig } from "../../src/contracts/config.ts";
import { zeroFlops } from "../../src/contracts/measure.ts";
import type { EpochPlan, EpochResult, SessionStatus } from "../../src/contracts/plan.ts";
import type { ActorName, InputOf, ReplyOf } from "../../src/contracts/subjects.ts";
import { kernelKeyHash } from "../../src/store/library.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import type { ForgeLane, LaneOutcome, TrainingLane } from "../../src/workers/lane.ts";
import { host, laneResult, setup as plainSetup, runId } from "../machines/fixtures.ts";
import { blueprint, hashOf, host as hostAsset, kernel, tags, temporaryDatabase, testLedger } from "../store/support.ts";
import { identity, orders } from "../support/forge.ts";
import { idleLane, never, runContextOf } from "./run.ts";
import { createActorWorld, gate, idle } from "./support.ts";

const done = async <T>(value: T): Promise<LaneOutcome<T>> => ({ kind: "done", value });
const config = { ...plainSetup.config, kernelLeadEpochs: 2 };
const windowMs = 1_000;
const bounds = { ...ServicesConfig.parse({}), restartsMax: 50 };

/** Waits for the gate, unless the work is given up before. */
const passes = ({ passed }: { readonly passed: Promise<void> }, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason));
    void passed.then(resolve);
  });

interface Hold {
  /** Nothing of the compiler, or of the validator, comes before the test opens its gate. */
  readonly compile?: boolean;
  readonly characterize?: boolean;
}

const start = async (hold: Hold = {}) => {
  const world = createActorWorld();
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 1e6, outboxMessagesMax: 1000, boundariesMax: 64 });
  const gates = { compile: gate(), characterize: gate() };
  if (hold.compile !== true) gates.compile.open();
  if (hold.characterize !== true) gates.characterize.open();
  const work = { compile: 0, characterize: 0 };
  const forge: ForgeLane = {
    compile: async (_key, _host, signal) => {
      work.compile += 1;
      await passes(gates.compile, signal);
      return done({ artifact: kernel(), blueprint: blueprint(), compileMs: 5 });
    },
    characterize: async (_kernel, _host, _config, signal) => {
      work.characterize += 1;
      await passes(gates.characterize, signal);
      return done(tags().measured!);
    },
    warm: never,
    destroy: async () => undefined,
  };

  const urza = await world.as("urza");
  let held: string | undefined;
  await urza.respond("library.asset.put", async ({ kind }): Promise<ReplyOf<"library.asset.put">> => {
    if (kind === "kernel") held = hashOf("e");
    return { kind: "stored", hash: hashOf(kind === "kernel" ? "e" : "b"), existed: false };
  });
  await urza.respond(
    "library.kernel.find",
    async (): Promise<ReplyOf<"library.kernel.find">> =>
      held === undefined ? { kind: "missing" } : { kind: "found", hash: held },
  );
  await urza.respond(
    "library.asset.get",
    async ({ kind, hash }): Promise<ReplyOf<"library.asset.get">> => ({
      kind: "found",
      hash,
      asset: kind === "kernel" ? kernel() : hostAsset,
    }),
  );
  await urza.respond("library.tags.put", async (): Promise<ReplyOf<"library.tags.put">> => ({ kind: "stored" }));
  await urza.respond("library.tags.find", async (): Promise<ReplyOf<"library.tags.find">> => ({ found: [] }));

  const plans: EpochPlan[] = [];
  let last: EpochResult | undefined;
  const status = (): SessionStatus => ({
    runId,
    epoch: last?.epoch ?? 0,
    hostStep: last?.hostStep ?? 0,
    host,
    damagedSites: [],
    flopsMax: plainSetup.flopsMax,
    flops: last?.flops ?? zeroFlops,
    ...(last === undefined ? {} : { lastResult: last }),
  });
  const lane: TrainingLane = {
    ...idleLane,
    open: () => done(status()),
    run: async (plan) => {
      plans.push(plan);
      await new Promise<void>((resolve) => world.clock.schedule(windowMs, resolve));
      last = laneResult(plan, last);
      return done(last);
    },
    status: () => done(status()),
    host: () => done(hostAsset.host),
    close: () => done(undefined),
  };
  const interrupt = new AbortController();
  const ends: string[] = [];
  const run = runContextOf(lane, {
    interrupt: interrupt.signal,
    finished: ({ outcome, reason }) => ends.push(`${outcome}: ${reason}`),
    opened: false,
  });

  /** Messages that Kasmina cannot send; the bus takes none of them while the number is above zero. */
  let unsendable = 0;
  const ports = {
    ...world.ports,
    connect: async (name: ActorName) => {
      const bus = await world.ports.connect(name);
      if (name !== "kasmina") return bus;
      const publish: typeof bus.publish = async (subject, payload, options) => {
        if (subject !== "compilation.blueprint.submitted" || unsendable === 0) return bus.publish(subject, payload, options);
        unsendable -= 1;
        return { kind: "failed", reason: "the stream is full" };
      };
      return { ...bus, publish };
    },
  };
  const { runId: _run, arm: _arm, growth: _growth, flopsMax: _flopsMax, ...rest } = plainSetup;
  const supervisor = new Supervisor(
    nodeTopology(
      {
        oona: idle,
        urza: idle,
        nissa: idle,
        tezzeret: () => startTezzeret(ports, { forge, hashKey: kernelKeyHash, identity: identity() }),
        urabrask: () => startUrabrask(ports, { forge, identity: identity(), machine: "here" }),
        gate: idle,
        warden: idle,
        tamiyo: idle,
        emrakul: idle,
        letters: idle,
        steward: idle,
      },
      bounds,
    ),
    { clock: world.clock },
  );
  await supervisor.start();
  await supervisor.addChild(
    runTopology(
      runId,
      {
        kasmina: () =>
          startKasmina(ports, run, { runs, morphogenetic: config, machine: "test", orders, setup: { ...rest, config } }),
        tolaria: () => startTolaria(ports, run),
      },
      bounds,
    ),
  );

  const admitting = await world.as("gate");
  const command = async (sent: InputOf<"control.kasmina.commands">): Promise<unknown> => {
    const by = { principal: "operator", role: "operator", transport: "nats" } as const;
    const asked = admitting.request("control.kasmina.admitted", { by, command: sent });
    await world.clock.advance(10);
    const outcome = await asked;
    return outcome.kind === "reply" ? outcome.value : outcome;
  };
  const ways = (): string[] => world.sent("system.events.seed").map(({ epoch, to }) => `${epoch} ${to}`);
  /** Germinated at the boundary after window 2, so that the boundary after window 4 takes the kernel. */
  const germinate = async (): Promise<void> => {
    await world.clock.advance(1.5 * windowMs);
    await command({ kind: "germinate", requestId: "g", seedId: "seed:h2", toSite: "h3" });
  };
  /** A moment at which the run stands at that boundary for a second. */
  const stands = async (): Promise<void> => {
    await germinate();
    await world.clock.advance(3.5 * windowMs);
    expect([plans.length, ways()]).toEqual([4, ["2 GERMINATED"]]);
  };
  const finish = async (): Promise<void> => {
    await world.clock.advance(30 * windowMs);
    expect(ways().at(-1)).toMatch(/FOSSILIZED/);
  };
  /** Ten windows that everybody has seen, boundary by boundary, as they were told and as they were stored. */
  const history = () => ({
    plans: plans.slice(0, 16),
    windows: world
      .sent("system.events.epoch")
      .slice(0, 16)
      .map(({ result }) => result),
    transitions: world.sent("system.events.seed"),
    fieldReports: world.sent("innovation.field_reports"),
    boundaries: Array.from({ length: 16 }, (_, i) => runs.findReply(runId, i + 1)),
    stored: runs.transitions(runId),
  });
  const told = () => world.sent("system.events.run").filter(({ kind }) => kind !== "checkpoint_failed");
  return {
    ...world,
    supervisor,
    interrupt,
    ends,
    gates,
    work,
    plans,
    ways,
    told,
    command,
    germinate,
    stands,
    finish,
    history,
    fail: (messages: number) => {
      unsendable = messages;
    },
  };
};

const fastHistory = async () => {
  const world = await start();
  await world.germinate();
  await world.finish();
  expect(world.told().map(({ kind }) => kind)).toEqual(["started"]);
  return world.history();
};

describe("a forge that is slower than its lead", () => {
  it.each<{ hold: Hold }>([
    { hold: { compile: true } },
    { hold: { characterize: true } },
    { hold: { compile: true, characterize: true } },
  ])("holding $hold: nothing trains until the kernel is known, and the history is that of a fast forge", async ({ hold }) => {
    const world = await start(hold);
    await world.stands();
    await world.clock.advance(10_000);
    expect([world.plans.length, world.ways()]).toEqual([4, ["2 GERMINATED"]]);
    world.gates.compile.open();
    await world.clock.advance(1_000);
    world.gates.characterize.open();
    await world.finish();
    expect(world.history()).toEqual(await fastHistory());
  });

  it("K6 T7 the wait is told after two seconds and at each doubling, with what is outstanding; Kasmina answers meanwhile", async () => {
    const world = await start({ compile: true, characterize: true });
    await world.stands();
    expect(world.told().map(({ kind }) => kind)).toEqual(["started"]);
    await world.clock.advance(9_000);
    world.gates.compile.open();
    await world.clock.advance(8_000);
    const waits = world.told().flatMap((event) => (event.kind === "waiting" ? [event] : []));
    expect(waits.map(({ epoch, seedId, outstanding }) => [epoch, seedId, outstanding])).toEqual([
      [4, "seed:h2", "compilation"],
      [4, "seed:h2", "compilation"],
      [4, "seed:h2", "compilation"],
      [4, "seed:h2", "characterization"],
    ]);
    for (const [i, dueMs] of [2_000, 4_000, 8_000, 16_000].entries()) {
      expect(waits[i]!.waitedMs).toBeGreaterThanOrEqual(dueMs);
      expect(waits[i]!.waitedMs).toBeLessThan(dueMs + 100);
    }
    const status = { runId, epoch: 3, paused: false };
    expect(await world.command({ kind: "status", requestId: "s" })).toMatchObject({ kind: "status", run: status });
  });

  it("a request that could not be sent when its boundary was recorded is sent while the run waits for it", async () => {
    const world = await start();
    world.fail(4);
    await world.stands();
    await world.finish();
    expect(world.history()).toEqual(await fastHistory());
  });
});

describe("while the run waits", () => {
  it("a pause holds it also after the kernel has come; resumed, it goes on at the same window", async () => {
    const world = await start({ compile: true });
    await world.stands();
    expect(await world.command({ kind: "pause", requestId: "p" })).toMatchObject({ kind: "accepted" });
    await world.clock.advance(500);
    expect(world.told().at(-1)).toMatchObject({ kind: "paused", epoch: 4 });
    world.gates.compile.open();
    await world.clock.advance(20_000);
    expect([world.plans.length, world.ways()]).toEqual([4, ["2 GERMINATED"]]);
    await world.command({ kind: "resume", requestId: "r" });
    await world.finish();
    expect(world.told().map(({ kind }) => kind)).toEqual(["started", "paused", "resumed"]);
    expect(world.history()).toEqual(await fastHistory());
  });

  it("resumed without its kernel it waits on, and is no longer paused", async () => {
    const world = await start({ compile: true });
    await world.stands();
    await world.command({ kind: "pause", requestId: "p" });
    await world.clock.advance(500);
    await world.command({ kind: "resume", requestId: "r" });
    await world.clock.advance(3_000);
    expect(world.told().map(({ kind }) => kind)).toEqual(["started", "paused", "resumed", "waiting"]);
    expect(world.plans).toHaveLength(4);
    world.gates.compile.open();
    await world.finish();
    expect(world.history()).toEqual(await fastHistory());
  });

  it("a cull ends the trial at once and the host trains on", async () => {
    const world = await start({ compile: true });
    await world.stands();
    expect(await world.command({ kind: "cull", requestId: "c", seedId: "seed:h2", reason: "by hand" })).toMatchObject({
      kind: "accepted",
    });
    await world.clock.advance(500);
    expect(world.ways()).toEqual(["2 GERMINATED", "4 DORMANT"]);
    expect(world.plans.slice(4)).toMatchObject([{ epoch: 5, work: { kind: "host" } }]);
  });

  it("a stop and Ctrl-C end the run at once", async () => {
    const stopped = await start({ compile: true });
    await stopped.stands();
    await stopped.command({ kind: "stop", requestId: "s", reason: "seen enough" });
    await stopped.clock.advance(500);
    expect(stopped.ends).toEqual(["stopped: seen enough"]);
    const interrupted = await start({ compile: true });
    await interrupted.stands();
    interrupted.interrupt.abort();
    await interrupted.clock.advance(500);
    expect(interrupted.ends).toEqual(["stopped: interrupted"]);
    for (const { plans, ways } of [stopped, interrupted]) expect([plans.length, ways()]).toEqual([4, ["2 GERMINATED"]]);
  });

  it.each<{ victim: "kasmina" | "tolaria" | "tezzeret" | "urabrask"; hold: Hold }>([
    { victim: "tolaria", hold: { compile: true } },
    { victim: "kasmina", hold: { compile: true } },
    { victim: "tezzeret", hold: { compile: true } },
    { victim: "urabrask", hold: { compile: true } },
    { victim: "tolaria", hold: { characterize: true } },
    { victim: "kasmina", hold: { characterize: true } },
    { victim: "tezzeret", hold: { characterize: true } },
    { victim: "urabrask", hold: { characterize: true } },
  ])("killing $victim while $hold is held changes nothing", async ({ victim, hold }) => {
    const world = await start(hold);
    await world.stands();
    for (let death = 0; death < 2; death += 1) {
      world.supervisor.killChild(victim);
      await world.clock.advance(2_000);
      expect([world.plans.length, world.ways()]).toEqual([4, ["2 GERMINATED"]]);
    }
    world.gates.compile.open();
    world.gates.characterize.open();
    await world.finish();
    expect(world.history()).toEqual(await fastHistory());
  });
});

describe("K5 K6 the wait is bounded", () => {
  it.each<{ what: string; hold: Hold; reason: RegExp; afterMs: number }>([
    {
      what: "Tezzeret's deadline ends a compilation",
      hold: { compile: true },
      reason: /^no kernel: expected a kernel for seed:h2 by .*raise compileTimeoutMs$/,
      afterMs: config.compileTimeoutMs,
    },
    {
      what: "the validator's deadline ends a characterisation",
      hold: { characterize: true },
      reason: /60000 ms \(morphogenetic\.validation\.timeoutMs\)/,
      afterMs: config.validation.timeoutMs,
    },
  ])("$what: the seed is dormant under embargo, and the host trains on", async ({ hold, reason, afterMs }) => {
    const world = await start(hold);
    await world.stands();
    await world.clock.advance(afterMs - 10 * windowMs);
    expect(world.plans).toHaveLength(4);
    await world.clock.advance(12 * windowMs);
    expect(world.ways()).toEqual(["2 GERMINATED", "4 DORMANT"]);
    expect(world.sent("system.events.seed").at(-1)).toMatchObject({ reason: expect.stringMatching(reason) });
    expect(world.sent("innovation.field_reports")).toMatchObject([{ outcome: "DORMANT" }]);
    expect(world.plans[4]).toMatchObject({ epoch: 5, before: [], work: { kind: "host" } });
  });

  it("a forge that never hears of the request ends the wait after twice its time", async () => {
    const world = await start();
    world.fail(Number.POSITIVE_INFINITY);
    await world.stands();
    await world.clock.advance(2 * config.compileTimeoutMs);
    expect(world.work.compile).toBe(0);
    // The transitions wait behind the request in the outbox.
    expect(world.history().stored).toMatchObject([
      { epoch: 2, to: "GERMINATED" },
      { epoch: 4, to: "DORMANT", reason: expect.stringMatching(/the forge told nothing within 120000 ms/) },
    ]);
    expect(world.plans[4]).toMatchObject({ epoch: 5, work: { kind: "host" } });
  });
});
