/** The first boundary of a run whose start came with commands (K8). */
import { expect, test } from "vitest";
import { startKasmina } from "../../src/actors/kasmina.ts";
import type { FirstBoundary } from "../../src/actors/run-context.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { host, runId, setup } from "../machines/fixtures.ts";
import { temporaryDatabase, testLedger } from "../store/support.ts";
import { orders } from "../support/forge.ts";
import { idleLane, runContextOf } from "./run.ts";
import { createActorWorld } from "./support.ts";

test("K8: it stays open until they have their receipts, takes them meanwhile, and is decided then", async () => {
  const world = createActorWorld();
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 1e6, outboxMessagesMax: 1000, boundariesMax: 64 });
  let reached = 0;
  const first: FirstBoundary = {
    given: false,
    reached: () => {
      reached += 1;
    },
  };
  const { runId: _run, arm: _arm, growth: _growth, flopsMax, ...rest } = setup;
  const own = { runs, morphogenetic: setup.config, machine: "test", setup: rest, orders };
  const child = await startKasmina(world.ports, runContextOf(idleLane, { first }), own);
  const [tolaria, gate] = [await world.as("tolaria"), await world.as("gate")];
  const by = { principal: "ada", role: "operator", transport: "http" } as const;
  const pin = { kind: "pin", requestId: "start-1.1", runId, target: "seed:h2", reason: "spare it" } as const;
  const ask = async () => {
    const question = { runId, arm: "grown", growth: true, status: { host, epoch: 0, flopsMax } };
    const asked = tolaria.request("control.kasmina.boundary", question, { timeoutMs: 60_000 });
    await world.clock.advance(10);
    const outcome = await asked;
    return outcome.kind === "reply" ? outcome.value.kind : outcome.reason;
  };
  const send = async () => {
    const asked = gate.request("control.kasmina.admitted", { by, command: pin }, { timeoutMs: 60_000 });
    await world.clock.advance(10);
    return asked;
  };
  expect(await send()).toMatchObject({ value: { kind: "refused", code: "no_run" } });
  expect([await ask(), await ask()]).toEqual(["wait", "wait"]);
  expect(reached).toBe(2);
  expect(await send()).toMatchObject({ value: { kind: "accepted", appliesAtEpoch: 1 } });
  expect(await ask()).toBe("wait");
  first.given = true;
  expect(await ask()).toBe("run");
  expect(runs.pendingCommands(runId)).toEqual([]);
  await child.stop("the test ends");
});
