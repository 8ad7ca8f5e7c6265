/** What Tamiyo asks for where a layer's weights are far too large. */
import { expect, test } from "vitest";
import { Decision, KasminaControlCommand } from "../../src/contracts/commands.ts";
import type { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { HostSummary } from "../../src/contracts/plan.ts";
import type { HealthSignal } from "../../src/contracts/telemetry.ts";
import { healthOfLayer } from "../../src/contracts/trial.ts";
import { type Decided, decide, emptyPolicy } from "../../src/policy/decide.ts";
import { host } from "../machines/fixtures.ts";
import { config, layer, signal } from "./fixtures.ts";

const replaceable: HostSummary = {
  ...host,
  sites: host.sites.map((each) => (each.kind === "output" ? each : { ...each, tail: { parameters: 300, forwardFlops: 600 } })),
};

/** h2's weights are so many times too large; nothing else speaks against anything. */
const seen = (epoch: number, weightGain: number, gap = 0.001): HealthSignal => {
  const plain = signal(epoch, { h1: 0.001, h2: gap, h3: 0.002 }, { host: replaceable });
  const measured = layer("h2", gap, { weightGain });
  const health = healthOfLayer(measured, config.trigger)!;
  return { ...plain, seeds: plain.seeds.map((seed) => (seed.site === "h2" ? { ...seed, layer: measured, health } : seed)) };
};

const decided = (weightGain: number, change: Partial<MorphogeneticConfig> = {}, gap?: number, on = replaceable): Decided => {
  const setup = { config: { ...config, ...change }, validationBatches: 2 };
  const at = (epoch: number): HealthSignal => ({ ...seen(epoch, weightGain, gap), host: on });
  return decide(decide(emptyPolicy, at(1), setup).state, at(2), setup);
};

test("a fresh layer in its place, over the site itself, with its numbers in the reason", () => {
  const { decision, command } = decided(97);
  expect(command).toMatchObject({
    seedId: "seed:h2",
    toSite: "h2",
    blueprint: { kind: "replacement", hiddenWidth: 12, initialization: "he" },
  });
  expect(decision).toMatchObject({ outcome: "germinate", fromSite: "h2", toSite: "h2", forecast: { parameters: 0 } });
  expect(decision.reason).toContain("a fresh layer in the place of h2 (weights 97 times He's)");
  expect(() => Decision.parse({ ...decision, latencyMs: 1 })).not.toThrow();
  expect(() => KasminaControlCommand.parse(command)).not.toThrow();
});

test("damage of another kind gets a bypass, also where the layer could be replaced", () => {
  const { command } = decided(1, {}, 0.3);
  expect(command).toMatchObject({ toSite: "output", blueprint: { kind: "dense" } });
});

test("where no replacement may be grown a bypass is asked for: another kind by configuration, a frozen base, a layer of another form", () => {
  const named = decided(97, { blueprint: { ...config.blueprint, kind: "low-rank" } });
  expect(named.command).toMatchObject({ toSite: "output", blueprint: { kind: "low-rank" } });
  expect(decided(97, { base: "frozen" }).command).toMatchObject({ toSite: "output", blueprint: { kind: "dense" } });
  expect(decided(97, {}, undefined, host).command).toMatchObject({ toSite: "output", blueprint: { kind: "dense" } });
});

test("asked for by name it is grown for every damage", () => {
  const { command } = decided(1, { blueprint: { ...config.blueprint, kind: "replacement" } }, 0.3);
  expect(command).toMatchObject({ toSite: "h2", blueprint: { kind: "replacement" } });
});
