/** Kasmina with a real store: she takes no kernel without its characterisation, asks the operator on a split, and takes orders. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startKasmina } from "../../src/actors/kasmina.ts";
import type { OrderPorts } from "../../src/actors/orders.ts";
import type { KernelTags } from "../../src/contracts/characterization.ts";
import type { BoundaryReply, EpochPlan, EpochResult } from "../../src/contracts/plan.ts";
import type { InputOf } from "../../src/contracts/subjects.ts";
import { openDatabaseReader, text } from "../../src/store/database.ts";
import { hashJson } from "../../src/store/json.ts";
import { entryOfRow, readLedgerRows } from "../../src/store/ledger-rows.ts";
import { migrations } from "../../src/store/migrations.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { characterized, host, kernelFailed, laneResult, measurements, runId, setup, split } from "../machines/fixtures.ts";
import { temporaryDatabase, temporaryFolder, testLedger } from "../store/support.ts";
import { authority, orders } from "../support/forge.ts";
import { idleLane, runContextOf } from "./run.ts";
import { createActorWorld } from "./support.ts";

const start = async (terms: Partial<OrderPorts["terms"]> = {}, database = temporaryDatabase()) => {
  const world = createActorWorld();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 1e6, outboxMessagesMax: 1000, boundariesMax: 64 });
  const run = runContextOf(idleLane);
  const { runId: _run, arm: _arm, growth: _growth, flopsMax, ...rest } = setup;
  const own = { runs, morphogenetic: setup.config, machine: "test", setup: rest };
  const ordering = { ...orders, terms: { ...orders.terms, ...terms } };
  const begin = () => startKasmina(world.ports, run, { ...own, orders: ordering });
  const child = await begin();
  const [tolaria, tezzeret, urabrask, gate] = [
    await world.as("tolaria"),
    await world.as("tezzeret"),
    await world.as("urabrask"),
    await world.as("gate"),
  ];
  let result: EpochResult | undefined;
  let plan: EpochPlan | undefined;
  /** Runs the planned window, with what the lane is to answer, and asks for the next. */
  const next = async (change: Partial<EpochResult> = {}): Promise<BoundaryReply> => {
    if (plan !== undefined) result = { ...laneResult(plan, result), ...change };
    const epoch = result?.epoch ?? 0;
    const status = { host, epoch, flopsMax };
    const question = { runId, arm: "grown", growth: true, status, ...(result === undefined ? {} : { result }) };
    const asked = tolaria.request("control.kasmina.boundary", question, { timeoutMs: 60_000 });
    await world.clock.advance(10);
    const outcome = await asked;
    if (outcome.kind !== "reply") throw new Error(`${outcome.kind}: ${outcome.reason}`);
    if (outcome.value.kind === "run") plan = outcome.value.plan;
    return outcome.value;
  };
  const command = async (sent: InputOf<"control.kasmina.commands">) => {
    const by = { principal: "operator", role: "operator", transport: "nats" } as const;
    const asked = gate.request("control.kasmina.admitted", { by, command: sent });
    await world.clock.advance(10);
    const outcome = await asked;
    return outcome.kind === "reply" ? outcome.value : outcome;
  };
  const compiled = async (compileMs = 1): Promise<void> => {
    const { id: taskId, goal } = world.sent("compilation.blueprint.submitted").at(-1)!;
    await tezzeret.publish("compilation.kernel.ready", {
      kind: "ready",
      taskId,
      runId,
      seedId: "seed:h2",
      keyHash: goal.keyHash,
      kernelHash: characterized.kernelHash,
      blueprintHash: "b".repeat(64),
      parameters: 100,
      flops: {},
      compileMs,
    });
    await world.clock.advance(10);
  };
  const measured = async (tags: KernelTags = characterized): Promise<void> => {
    await urabrask.publish("validation.kernel.characterized", {
      taskId: "task-1",
      runId,
      seedId: "seed:h2",
      characterized: tags,
    });
    await world.clock.advance(10);
  };
  const ways = (): string[] => world.sent("system.events.seed").map(({ to }) => to);
  const reach = async (state: string): Promise<void> => {
    await next();
    await command({ kind: "germinate", requestId: "g", seedId: "seed:h2", toSite: "h3" });
    await next();
    await compiled();
    await measured();
    for (let window = 0; window < 12 && ways().at(-1) !== state; window++) await next();
    expect(ways().at(-1)).toBe(state);
  };
  return { ...world, database, child, begin, runs, gate, next, command, compiled, measured, ways, reach };
};

describe("K5 a kernel and its characterisation", () => {
  const waiting = async (terms: Partial<OrderPorts["terms"]> = {}) => {
    const world = await start(terms);
    await world.next();
    await world.command({ kind: "germinate", requestId: "g", seedId: "seed:h2", toSite: "h3" });
    await world.next();
    expect(world.ways()).toEqual(["GERMINATED"]);
    return world;
  };

  it("a kernel alone is not taken; with its characterisation it is, in whatever order they come", async () => {
    const kernelFirst = await waiting();
    await kernelFirst.compiled();
    for (let window = 0; window < 3; window++) await kernelFirst.next();
    expect(kernelFirst.ways()).toEqual(["GERMINATED"]);
    await kernelFirst.measured();
    await kernelFirst.next();
    expect(kernelFirst.ways()).toEqual(["GERMINATED", "LOADING"]);
    const measuredFirst = await waiting();
    await measuredFirst.measured();
    await measuredFirst.compiled();
    await measuredFirst.next();
    expect(measuredFirst.ways()).toEqual(["GERMINATED", "LOADING"]);
  });

  it("K7 a kernel that came is ordered to be measured, once, under the same terms", async () => {
    const world = await waiting({ machineTags: ["avx512"] });
    await world.compiled();
    await world.compiled();
    const [compile] = world.sent("compilation.blueprint.submitted");
    const ordered = world.sent("validation.kernel.submitted");
    expect(ordered).toHaveLength(1);
    expect(ordered[0]).toMatchObject({
      goal: { kind: "characterize", kernelHash: characterized.kernelHash },
      constraints: compile?.constraints,
      context: { runId, seedId: "seed:h2" },
    });
    expect(authority.read(ordered[0]!.token)).toMatchObject({ taskId: ordered[0]!.id, writes: [{ kind: "tags" }] });
    expect(compile?.constraints.machineTags).toEqual(["avx512"]);
  });

  it("the order's capability names the command that asked for the kernel, as the ledger has it", async () => {
    const world = await waiting();
    const [compile] = world.sent("compilation.blueprint.submitted");
    const told = [...readLedgerRows(world.database)].map(entryOfRow).find(({ kind }) => kind === "command");
    const command = told?.kind === "command" ? told.payload.command : undefined;
    expect(command).toMatchObject({ kind: "germinate", requestId: "g" });
    expect(authority.read(compile!.token)).toMatchObject({
      source: `run ${runId} seed:h2`,
      cause: { commandHash: hashJson(command, "command") },
    });
  });

  it("K7 a result that does not keep to what was ordered is not accepted, and says which predicate", async () => {
    const slow = await waiting();
    await slow.compiled(setup.config.compileTimeoutMs + 1);
    await slow.next();
    expect(slow.sent("validation.kernel.submitted")).toEqual([]);
    expect(slow.sent("system.events.seed").at(-1)).toMatchObject({
      to: "DORMANT",
      reason: expect.stringMatching(/acceptance: expected compileMs <= \d+, found \d+/),
    });
    const large = await waiting({ memoryBytesMax: 1 });
    await large.compiled();
    await large.measured();
    await large.next();
    expect(large.sent("system.events.seed").at(-1)).toMatchObject({
      to: "DORMANT",
      reason: expect.stringMatching(/acceptance: expected memoryBytes <= 1, found \d+/),
    });
  });

  it("one that fails its gate, or could not be measured, is not taken and its site is under embargo", async () => {
    const { measured: _measured, ...bare } = characterized;
    for (const [tags, reason] of [
      [{ ...characterized, measured: { ...characterized.measured!, deadShare: 0.9 } }, /without gradient 0.9, at most 0.5/],
      [{ ...bare, problem: "the forge lane was lost" }, /the forge lane was lost/],
    ] as const) {
      const world = await waiting();
      await world.compiled();
      await world.measured(tags);
      await world.next();
      expect(world.sent("system.events.seed").at(-1)).toMatchObject({ to: "DORMANT", reason: expect.stringMatching(reason) });
      expect(await world.command({ kind: "germinate", requestId: "h", seedId: "seed:h2" })).toMatchObject({ code: "embargo" });
    }
  });

  it("one that never comes ends the trial after its time", async () => {
    const world = await waiting();
    await world.compiled();
    await world.next();
    await world.clock.advance(setup.config.validation.timeoutMs + 1_000);
    await world.next();
    expect(world.sent("system.events.seed").at(-1)).toMatchObject({
      to: "DORMANT",
      reason: expect.stringMatching(/Urabrask told nothing.*validation\.timeoutMs/),
    });
  });
});

const splitResult = { kernel: { ...measurements.fine_tuned.passed, judgements: split } };

describe("a split jury", () => {
  it("is told; the operator's answer settles it, and both are in the field report", async () => {
    const world = await start();
    await world.reach("FINE_TUNING");
    expect(await world.command({ kind: "resolve", requestId: "early", seedId: "seed:h2", verdict: "keep" })).toMatchObject({
      code: "illegal_transition",
      reason: expect.stringMatching(/while an escalation is open/),
    });
    expect(await world.next(splitResult)).toMatchObject({ plan: { work: { kind: "fine_tune", steps: 10 } } });
    expect(world.sent("system.events.escalation")).toMatchObject([
      { kind: "opened", seedId: "seed:h2", windowsLeft: 1, otherwise: "cull", judgements: split },
    ]);
    const resolve = { kind: "resolve", requestId: "r", seedId: "seed:h2", verdict: "keep", reason: "seen the curves" } as const;
    expect(await world.command(resolve)).toMatchObject({ kind: "accepted" });
    await world.next(splitResult);
    expect(world.ways().at(-1)).toBe("FOSSILIZED");
    expect(world.sent("system.events.seed").at(-1)).toMatchObject({
      reason: expect.stringMatching(/the operator: seen the curves$/),
      evidence: { settledBy: "operator", "vote.loss": "keep", "vote.accuracy": "cull" },
    });
    expect(world.sent("system.events.escalation").at(-1)).toMatchObject({ kind: "settled", by: "operator", verdict: "keep" });
    expect(world.sent("innovation.field_reports")).toMatchObject([
      { outcome: "FOSSILIZED", judgements: split, escalation: { windows: 1, settledBy: "operator" } },
    ]);
  });

  it("nobody answers: the policy decides", async () => {
    const world = await start();
    await world.reach("FINE_TUNING");
    await world.next(splitResult);
    await world.next(splitResult);
    expect(world.sent("system.events.seed").at(-1)).toMatchObject({
      to: "CULLED",
      reason: expect.stringMatching(/nobody answered in 1 windows, at most 1: cull by policy$/),
    });
    expect(world.sent("system.events.escalation").at(-1)).toMatchObject({ kind: "settled", by: "policy", verdict: "cull" });
  });

  it("survives Kasmina: the next one knows the escalation and the answer that waited", async () => {
    const world = await start();
    await world.reach("FINE_TUNING");
    await world.next(splitResult);
    await world.command({ kind: "resolve", requestId: "r", seedId: "seed:h2", verdict: "keep" });
    world.child.kill?.();
    await world.child.exited;
    await world.begin();
    await world.next(splitResult);
    expect(world.ways().at(-1)).toBe("FOSSILIZED");
  });
});

describe("orders", () => {
  it("rollback takes the trial back, by name or the one that is open; the seed waits until it is released", async () => {
    const world = await start();
    expect(await world.command({ kind: "rollback", requestId: "none" })).toMatchObject({ kind: "refused" });
    await world.reach("GRAFTING");
    expect(await world.command({ kind: "release", requestId: "no", seedId: "seed:h2" })).toMatchObject({
      code: "illegal_transition",
    });
    expect(await world.command({ kind: "rollback", requestId: "b", reason: "looks wrong" })).toMatchObject({ kind: "accepted" });
    expect(await world.next()).toMatchObject({
      plan: { before: [{ kind: "rollback", seedId: "seed:h2", reason: "looks wrong" }], work: { kind: "host" } },
    });
    expect(world.ways().at(-1)).toBe("ROLLED_BACK");
    expect(await world.command({ kind: "rollback", requestId: "c" })).toMatchObject({
      code: "illegal_transition",
      reason: expect.stringMatching(/nothing to roll back/),
    });
    expect(await world.command({ kind: "release", requestId: "d", seedId: "seed:h2" })).toMatchObject({ kind: "accepted" });
    await world.next();
    expect(world.ways().at(-1)).toBe("DORMANT");
    // Released is not pardoned: the site's embargo stays.
    expect(await world.command({ kind: "germinate", requestId: "e", seedId: "seed:h2" })).toMatchObject({ code: "embargo" });
  });

  it("E40 a kernel that failed is rolled back with its reason", async () => {
    const world = await start();
    await world.reach("TRAINING");
    await world.next({ anomalies: [kernelFailed], kernel: undefined });
    expect(world.sent("system.events.seed").at(-1)).toMatchObject({
      to: "ROLLED_BACK",
      reason: expect.stringMatching(/^kernel_failed at step/),
    });
  });
});

describe("K1 what commands change", () => {
  it("is on the disk before they are answered, and many share one wait for it", async () => {
    const turns: (() => void)[] = [];
    const file = join(temporaryFolder(), "esper.db");
    const { clock, gate, next, runs } = await start({}, temporaryDatabase(file, { nextTurn: (work) => void turns.push(work) }));
    await next();
    const reader = openDatabaseReader({ file, migrations, busyTimeoutMs: 20 });
    const stored = (): string[] => {
      reader.refresh();
      return reader
        .prepare("SELECT request_id FROM commands ORDER BY id")
        .all()
        .map((row) => text(row, "request_id"));
    };
    const by = { principal: "operator", role: "operator", transport: "nats" } as const;
    const answers: string[] = [];
    const asked = ["h2", "h3"].map(async (target) => {
      const command = { kind: "pin", requestId: `pin-${target}`, target } as const;
      const outcome = await gate.request("control.kasmina.admitted", { by, command });
      answers.push(outcome.kind === "reply" ? `${outcome.value.requestId} ${outcome.value.kind}` : outcome.kind);
    });
    await clock.advance(10);
    expect(runs.findReceipt("pin-h3", clock.nowMs())).toBeDefined();
    expect([answers, stored(), turns.length]).toEqual([[], [], 1]);
    for (const work of turns.splice(0)) work();
    await clock.advance(10);
    await Promise.all(asked);
    expect(answers).toEqual(["pin-h2 accepted", "pin-h3 accepted"]);
    expect(stored()).toEqual(["pin-h2", "pin-h3"]);
    reader.close();
  });

  it("is nobody's when the disk refuses it: Kasmina ends, and the next one knows nothing of it", async () => {
    const turns: (() => void)[] = [];
    const database = temporaryDatabase(undefined, { nextTurn: (work) => void turns.push(work) });
    const { clock, gate, next, child, runs } = await start({}, database);
    await next();
    const by = { principal: "operator", role: "operator", transport: "nats" } as const;
    const asked = gate.request("control.kasmina.admitted", { by, command: { kind: "pin", requestId: "p", target: "h2" } });
    await clock.advance(10);
    database.grouped(() =>
      database.beforeCommit(() => {
        throw new Error("the disk is full");
      }),
    );
    for (const work of turns.splice(0)) work();
    expect(await child.exited).toMatchObject({ kind: "crash", error: { message: "the disk is full" } });
    await clock.advance(10);
    expect((await asked).kind).not.toBe("reply");
    expect(runs.findReceipt("p", clock.nowMs())).toBeUndefined();
  });
});

describe("looks at the host's parts", () => {
  it("a window that took one is told to whoever prunes; another is not", async () => {
    const world = await start();
    await world.next();
    await world.next();
    expect(world.sent("telemetry.host.parts")).toEqual([]);
    const parts = { hostHash: host.hash, layers: [{ site: "h1", units: [], stepFlopsPerUnit: 10 }], bypasses: [] };
    await world.next({ parts });
    expect(world.sent("telemetry.host.parts")).toEqual([{ runId, epoch: 2, ...parts, embargoEpochs: {} }]);
  });
});
