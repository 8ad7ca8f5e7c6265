import { expect, it } from "vitest";
import { createSimulatedClock } from "../support/clock.ts";
import { createMemoryBroker } from "../support/memory-bus.ts";
import { busContract, contractLimits } from "./bus.contract.ts";
import { clock, refusal, statusCommand } from "./support.ts";

busContract("memory", async () => {
  const broker = createMemoryBroker({ clock, ...contractLimits, retryMs: 5 });
  return { connect: broker.connect, deadLetters: broker.deadLetters, stop: () => Promise.resolve() };
});

it("time passes on the given clock alone", async () => {
  const simulated = createSimulatedClock();
  const broker = createMemoryBroker({ clock: simulated });
  const [gate, operator] = [await broker.connect("gate"), await broker.connect("operator")];
  await gate.respond("control.kasmina.commands", () => new Promise(() => undefined));
  const asked = operator.request("control.kasmina.commands", statusCommand("x"), { timeoutMs: 1_000 });
  await simulated.advance(1_000);
  expect((await asked).kind).toBe("timeout");
});

it("B2 broken bytes are a dead letter and reach no handler", async () => {
  const simulated = createSimulatedClock();
  const broker = createMemoryBroker({ clock: simulated });
  const tamiyo = await broker.connect("tamiyo");
  let calls = 0;
  await tamiyo.subscribe("telemetry.seed.health", () => void calls++);
  broker.inject("telemetry.seed.health", new TextEncoder().encode("{"));
  await simulated.flush();
  expect(calls).toBe(0);
  expect(broker.deadLetters).toMatchObject([{ principal: "tamiyo", reason: expect.stringContaining("expected JSON") }]);
});

it("B7 a lost connection says why, and its answers are unavailable", async () => {
  const broker = createMemoryBroker({ clock: createSimulatedClock() });
  const [gate, operator] = [await broker.connect("gate"), await broker.connect("operator")];
  await gate.respond("control.kasmina.commands", async ({ requestId }) => refusal(requestId));
  broker.lose("gate", "the server died");
  expect(await gate.closed).toBe("the server died");
  expect((await operator.request("control.kasmina.commands", statusCommand("x"))).kind).toBe("unavailable");
});
