/** What Tamiyo shows without acting, the policy in force, and how a policy is changed. */
import { describe, expect, it } from "vitest";
import { Candidate } from "../../src/contracts/command-queries.ts";
import { changePolicy, configuredPolicy, Policy, underPolicy } from "../../src/contracts/policy.ts";
import { analyze } from "../../src/policy/analyze.ts";
import { decide, emptyPolicy, type PolicyState } from "../../src/policy/decide.ts";
import { setupInForce } from "../../src/policy/in-force.ts";
import { config, setup, signal } from "./fixtures.ts";

const damaged = (epoch: number) => signal(epoch, { h1: 0.01, h2: 0.4, h3: undefined });
const stateAfter = (...epochs: readonly number[]): PolicyState =>
  epochs.reduce<PolicyState>((state, epoch) => decide(state, damaged(epoch), setup).state, emptyPolicy);

describe("the analysis", () => {
  it("shows every measured layer, the worst first, with what stands against growing there", () => {
    const candidates = analyze(stateAfter(1), damaged(1), setup);
    for (const candidate of candidates) Candidate.parse(candidate);
    expect(candidates.map(({ site }) => site)).toEqual(["h2", "h1"]);
    expect(candidates[0]).toMatchObject({
      streak: 1,
      checks: 2,
      fromSite: "h2",
      toSite: "output",
      objection: "1 of 2 successive checks name it",
    });
    expect(candidates[1]).toMatchObject({ objection: "a candidate needs a severity above 1" });
  });

  it("has no objection exactly where the decision is to grow, and leaves what she remembers as it is", () => {
    const before = stateAfter(1);
    const decided = decide(before, damaged(2), setup);
    expect(decided.decision.outcome).toBe("germinate");
    const state = { ...decided.state, sent: before.sent };
    const frozen = JSON.stringify(state);
    expect(analyze(state, damaged(2), setup).map(({ site, objection }) => [site, objection === undefined])).toEqual([
      ["h2", true],
      ["h1", false],
    ]);
    expect(JSON.stringify(state)).toBe(frozen);
    const held = { ...damaged(2), activeSeedId: "seed:h1" };
    expect(analyze(state, held, setup)[0]).toMatchObject({ objection: expect.stringContaining("holds the grafting lock") });
  });

  it("of what was never measured there is nothing to show", () => {
    expect(analyze(emptyPolicy, damaged(1), setup)).toEqual([]);
  });
});

describe("a policy", () => {
  const own = configuredPolicy(config, setup.calibration);

  it("made of a configuration changes nothing of it", () => {
    expect(Policy.parse(JSON.parse(JSON.stringify(own)))).toEqual(own);
    expect(underPolicy(config, own)).toEqual(config);
  });

  it("that the signal names decides: the same signal, another decision", () => {
    const changed = changePolicy(own, { "trigger.confidenceMin": 1 }, "never");
    if (changed.kind !== "changed") throw new Error(changed.reason);
    const inForce = { hash: "a".repeat(64), sinceEpoch: 1, policy: changed.policy };
    const told = { ...damaged(2), policy: inForce };
    expect(decide(stateAfter(1), told, setupInForce(setup, told)).decision.outcome).toBe("wait");
    expect(decide(stateAfter(1), damaged(2), setupInForce(setup, damaged(2))).decision.outcome).toBe("germinate");
    expect(setupInForce(setup, told).config.training).toEqual(config.training);
  });

  it("takes values at their place under its own schema, and names what does not fit", () => {
    const changed = changePolicy(
      own,
      { "trigger.gapMin": 0.5, "blueprint.tagsExcluded": ["heavy"], "forecast.keepRate": 0.5 },
      "other",
    );
    expect(changed).toMatchObject({
      policy: { name: "other", trigger: { gapMin: 0.5 }, blueprint: { tagsExcluded: ["heavy"] }, forecast: { keepRate: 0.5 } },
    });
    for (const [place, value] of [
      ["trigger.gapMin", -1],
      ["trigger.gapMinimum", 1],
      ["forecast.keepRate", 2],
      ["blueprint.kind", "dinosaur"],
      ["trigger.__proto__", 1],
    ] as const)
      expect(changePolicy(own, { [place]: value })).toMatchObject({
        kind: "refused",
        reason: expect.stringContaining(place.split(".")[0]!),
      });
    expect(Object.getPrototypeOf(own)).toBe(Object.prototype);
  });
});
