/** Gate, Warden and Kasmina with real stores on the bus in memory: commands as people send them, and what came of them. */
import { startGate } from "../../src/actors/gate.ts";
import { startKasmina } from "../../src/actors/kasmina.ts";
import { startWarden } from "../../src/actors/warden.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import type { BoundaryReply, EpochPlan, EpochResult } from "../../src/contracts/plan.ts";
import type { PersonRole } from "../../src/contracts/roles.ts";
import type { InputOf } from "../../src/contracts/subjects.ts";
import type { Database } from "../../src/store/database.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { createWardenStore } from "../../src/store/warden-store.ts";
import { host, laneResult, runId, setup } from "../machines/fixtures.ts";
import { temporaryDatabase, testLedger } from "../store/support.ts";
import { orders } from "../support/forge.ts";
import { idleLane, runContextOf } from "./run.ts";
import { createActorWorld } from "./support.ts";

export const idempotencyMs = 300_000;
export type Sent = InputOf<"control.kasmina.commands">;

export interface ControlOptions {
  readonly control?: Parameters<typeof ControlConfig.parse>[0];
  readonly mailboxMessagesMax?: number;
  readonly database?: Database;
}

export const startControl = async (options: ControlOptions = {}) => {
  const world = createActorWorld(options.mailboxMessagesMax ?? 2_000);
  const database = options.database ?? temporaryDatabase();
  const control = ControlConfig.parse(options.control ?? {});
  const ledger = testLedger(database);
  const storesOf = () => ({
    runs: createRunStore({ database, ledger, idempotencyMs, outboxMessagesMax: 10_000, boundariesMax: 64 }),
    windows: createGateStore({ database, loginsMax: control.loginsMax }),
    store: createWardenStore({ database }),
  });
  const { runs } = storesOf();
  const run = runContextOf(idleLane);
  const { runId: _run, arm: _arm, growth: _growth, flopsMax, ...rest } = setup;
  const learnedAt = new Map<string, number>();
  /** Each start has stores of its own over the same database: what an actor knows after it is what was written. */
  const starts = {
    gate: () => startGate(world.ports, { ...storesOf(), control, requestTimeoutMs: 5_000 }),
    warden: () => startWarden(world.ports, { ...storesOf(), control, rememberedMs: idempotencyMs, learnedAt }),
    kasmina: () =>
      startKasmina(world.ports, run, {
        runs: storesOf().runs,
        morphogenetic: setup.config,
        machine: "test",
        orders,
        setup: rest,
      }),
  };
  type Name = keyof typeof starts;
  const running = { gate: await starts.gate(), warden: await starts.warden(), kasmina: await starts.kasmina() };
  const kill = async (name: Name): Promise<void> => {
    running[name].kill?.();
    await running[name].exited;
  };
  const restart = async (name: Name): Promise<void> => {
    await kill(name);
    running[name] = await starts[name]();
  };

  const tolaria = await world.as("tolaria");
  let plan: EpochPlan | undefined;
  let result: EpochResult | undefined;
  /** Runs the planned window and asks for the next. */
  const next = async (): Promise<BoundaryReply> => {
    if (plan !== undefined) result = laneResult(plan, result);
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
  /** Sends all of them at once, as one role. */
  const sendAll = async (role: PersonRole, commands: readonly Sent[], timeoutMs = 60_000): Promise<CommandReceipt[]> => {
    const bus = await world.broker.connect(role);
    const asked = commands.map((command) => bus.request("control.kasmina.commands", command, { timeoutMs }));
    await world.clock.advance(10);
    const outcomes = await Promise.all(asked);
    await bus.close();
    return outcomes.map((outcome) => {
      if (outcome.kind !== "reply") throw new Error(`${outcome.kind}: ${outcome.reason}`);
      return outcome.value;
    });
  };
  const send = async (role: PersonRole, command: Sent): Promise<CommandReceipt> => (await sendAll(role, [command]))[0]!;
  await next();
  return { ...world, database, runs, ledger, kill, restart, next, send, sendAll };
};
