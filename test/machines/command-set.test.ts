/** Commands that reach a run beside those of a trial: states asked for, pages and layers, kernels in the cache, checkpoints, policies. */
import { describe, expect, it } from "vitest";
import { type CommandReceipt, type KasminaControlCommand, CommandReceipt as Receipt } from "../../src/contracts/commands.ts";
import { legalTransitions, lifecycleStates } from "../../src/contracts/lifecycle.ts";
import { EpochPlan } from "../../src/contracts/plan.ts";
import { changePolicy, configuredPolicy, type Policy, type PolicyChanges } from "../../src/contracts/policy.ts";
import { HealthSignal } from "../../src/contracts/telemetry.ts";
import { askableStates } from "../../src/machines/asked-state.ts";
import {
  acceptCommand,
  createRunState,
  type KasminaRunState,
  type KasminaSetup,
  reviveRun,
} from "../../src/machines/boundary.ts";
import { cacheCommandsMax, type PolicyUpdate, runQueries } from "../../src/machines/kasmina-state.ts";
import { calibration } from "../../src/policy/calibration.ts";
import { hashJson } from "../../src/store/json.ts";
import { drive, germinate } from "./driver.ts";
import { config, host, runId, setup } from "./fixtures.ts";

const hashOf = (digit: string): string => digit.repeat(64);
const policy: Policy = { ...configuredPolicy(config, calibration), name: "careful" };
const withPolicy: KasminaSetup = { ...setup, policy: { hash: hashOf("0"), sinceEpoch: 0, policy } };
const fresh = createRunState(withPolicy, host);

const answer = (state: KasminaRunState, command: KasminaControlCommand): CommandReceipt =>
  Receipt.parse(acceptCommand(state, command).receipt);
const codeOf = (state: KasminaRunState, command: KasminaControlCommand): string => {
  const receipt = answer(state, command);
  return receipt.kind === "refused" ? receipt.code : receipt.kind;
};
const kernel = (kind: "load_kernel" | "unload_kernel", hash: string, requestId = `${kind}-${hash[0]}`, site = "h2") => ({
  kind,
  requestId,
  site,
  hash,
  reason: "x",
});
const ask = (to: (typeof lifecycleStates)[number], seedId = "seed:h2", requestId = `to-${to}`): KasminaControlCommand => ({
  kind: "transition",
  requestId,
  seedId,
  to,
  reason: "by name",
});

describe("a state that is asked for", () => {
  it("is one that the lifecycle's table allows, in every state", () => {
    for (const from of lifecycleStates)
      for (const to of Object.keys(askableStates[from])) expect(legalTransitions[from]).toContain(to);
  });

  it("becomes the order that leads there, and takes effect as that order does", () => {
    const { transitions } = drive(4, { commands: { 0: [ask("GERMINATED")], 3: [ask("CULLED")] } });
    expect(transitions.map(({ to, reason }) => [to, reason.includes("by name")])).toEqual([
      ["GERMINATED", true],
      ["LOADING", false],
      ["TRAINING", false],
      ["CULLED", true],
    ]);
    expect(acceptCommand(fresh, ask("GERMINATED")).state.pending).toEqual([
      { kind: "germinate", requestId: "to-GERMINATED", seedId: "seed:h2", reason: "by name" },
    ]);
  });

  it("is refused with the states that may be asked for, and for what is no seed", () => {
    const { receipt } = acceptCommand(fresh, ask("FOSSILIZED"));
    expect(receipt).toMatchObject({ code: "illegal_transition", reason: expect.stringContaining("may ask for GERMINATED") });
    for (const to of lifecycleStates.filter((each) => each !== "GERMINATED"))
      expect(codeOf(fresh, ask(to))).toBe("illegal_transition");
    expect(codeOf(fresh, ask("GERMINATED", "seed:h9"))).toBe("unknown_seed");
    const training = drive(5, { commands: { 0: [germinate] } }).state;
    expect(acceptCommand(training, ask("FOSSILIZED")).receipt).toMatchObject({
      reason: expect.stringContaining("CULLED or ROLLED_BACK"),
    });
  });
});

describe("seeds and layers", () => {
  const { state } = drive(6, { commands: { 3: [germinate] } });
  const page = (more: object) => {
    const receipt = answer(state, { kind: "seeds", requestId: "s", limit: 100, ...more } as KasminaControlCommand);
    if (receipt.kind !== "seeds") throw new Error(receipt.kind);
    return receipt;
  };

  it("come a page at a time, in their order, each once", () => {
    const first = page({ limit: 2 });
    expect([first.seeds.map(({ seedId }) => seedId), first.seedCount, first.next]).toEqual([
      ["seed:h1", "seed:h2"],
      3,
      "seed:h2",
    ]);
    const second = page({ limit: 2, after: first.next });
    expect([second.seeds.map(({ seedId }) => seedId), second.next]).toEqual([["seed:h3"], undefined]);
    expect(page({ after: "seed:h3" }).seeds).toEqual([]);
  });

  it("are filtered by state and layer; the cursor need not fit the filter", () => {
    expect(page({ state: "TRAINING" }).seeds).toMatchObject([
      { seedId: "seed:h2", fromSite: "h2", blueprint: { kind: "dense" } },
    ]);
    expect(page({ site: "h3" }).seeds.map(({ seedId }) => seedId)).toEqual(["seed:h3"]);
    expect(page({ state: "DORMANT", after: "seed:h2" }).seeds.map(({ seedId }) => seedId)).toEqual(["seed:h3"]);
    expect(codeOf(state, { kind: "seeds", requestId: "s", limit: 1, after: "seed:h9" })).toBe("unknown_seed");
  });

  it("one seed has its history, its trial and what may be asked of it", () => {
    expect(answer(state, { kind: "seed", requestId: "s", seedId: "seed:h2" })).toMatchObject({
      seed: {
        state: "TRAINING",
        askable: ["CULLED", "ROLLED_BACK"],
        trial: { startedAtEpoch: 3, rounds: 0 },
        legalTargets: ["h3", "output"],
      },
    });
    expect(codeOf(state, { kind: "seed", requestId: "s", seedId: "seed:h9" })).toBe("unknown_seed");
  });

  it("a layer has the last signal with its interval; one that was not measured has none", () => {
    const receipt = answer(state, { kind: "layers", requestId: "s" });
    if (receipt.kind !== "layers") throw new Error(receipt.kind);
    const h2 = receipt.layers.find(({ site }) => site === "h2")!;
    expect(h2).toMatchObject({ health: 0, seeds: { TRAINING: 1 }, seedCount: 1, pinned: false });
    expect(h2.gapLower!).toBeLessThanOrEqual(h2.signal!.gap);
    expect(h2.gapUpper!).toBeGreaterThanOrEqual(h2.signal!.gap);
    const unmeasured = answer(fresh, { kind: "layer", requestId: "s", site: "h2" });
    expect(unmeasured).toMatchObject({ kind: "layer", seeds: [{ seedId: "seed:h2" }] });
    expect(unmeasured.kind === "layer" && ["health", "severity", "signal"].filter((key) => key in unmeasured.layer)).toEqual([]);
    expect(codeOf(fresh, { kind: "layer", requestId: "s", site: "output" })).toBe("unknown_layer");
  });

  it("no question changes the state, and each has an answer of its own kind", () => {
    const more: Readonly<Record<string, object>> = { seed: { seedId: "seed:h2" }, layer: { site: "h2" }, seeds: { limit: 5 } };
    for (const kind of runQueries) {
      const asked = acceptCommand(fresh, { kind, requestId: "q", ...more[kind] } as KasminaControlCommand);
      expect([asked.state, asked.receipt.kind]).toEqual([fresh, kind]);
    }
  });
});

describe("kernels in the cache", () => {
  it("come and go with the next plan, once, and the layer tells them", () => {
    const { plans, state } = drive(4, {
      commands: { 1: [kernel("load_kernel", hashOf("a"))], 2: [kernel("unload_kernel", hashOf("a"))] },
    });
    expect(plans.map(({ before }) => before)).toEqual([
      [],
      [{ kind: "cache_kernel", site: "h2", kernelHash: hashOf("a") }],
      [{ kind: "evict_kernel", site: "h2", kernelHash: hashOf("a") }],
      [],
    ]);
    for (const plan of plans) EpochPlan.parse(plan);
    const loaded = drive(2, { commands: { 1: [kernel("load_kernel", hashOf("a"))] } }).state;
    expect(answer(loaded, { kind: "layer", requestId: "l", site: "h2" })).toMatchObject({
      layer: { residentKernels: [hashOf("a")] },
    });
    expect(answer(state, { kind: "layer", requestId: "l", site: "h2" })).toMatchObject({ layer: { residentKernels: [] } });
    expect(reviveRun(loaded)).not.toHaveProperty("cachedKernels");
  });

  it("one that the lane could not take is not told as there", () => {
    const cached = [{ kernelHash: hashOf("a"), problems: ["other host"], loadMs: 1 }];
    const { state } = drive(3, { commands: { 1: [kernel("load_kernel", hashOf("a"))] }, windows: { 2: { change: { cached } } } });
    expect(answer(state, { kind: "layer", requestId: "l", site: "h2" })).toMatchObject({ layer: { residentKernels: [] } });
  });

  it("is refused where it is in trial, is there already, was never there, or too many wait", () => {
    const training = drive(5, { commands: { 0: [germinate] } }).state;
    const inTrial = hashOf("a");
    expect(codeOf(training, kernel("load_kernel", inTrial))).toBe("in_use");
    expect(codeOf(training, kernel("unload_kernel", inTrial))).toBe("in_use");
    expect(codeOf(fresh, kernel("unload_kernel", hashOf("e")))).toBe("unknown_asset");
    expect(codeOf(fresh, kernel("load_kernel", hashOf("e"), "k", "output"))).toBe("unknown_layer");
    const twice = acceptCommand(fresh, kernel("load_kernel", hashOf("e"))).state;
    expect(codeOf(twice, kernel("load_kernel", hashOf("e"), "again"))).toBe("in_use");
    let full = fresh;
    for (let n = 0; n < cacheCommandsMax; n += 1) full = acceptCommand(full, kernel("load_kernel", String(n).repeat(64))).state;
    expect(full.pending).toHaveLength(cacheCommandsMax);
    expect(codeOf(full, kernel("load_kernel", hashOf("f")))).toBe("limit");
  });
});

describe("a checkpoint", () => {
  it("is asked for in the next plan and in no other; a second one waits for nobody", () => {
    const checkpoint: KasminaControlCommand = { kind: "checkpoint", requestId: "c", reason: "x" };
    const { plans } = drive(4, { commands: { 1: [checkpoint] } });
    expect(plans.map((plan) => plan.checkpoint ?? false)).toEqual([false, true, false, false]);
    expect(codeOf(acceptCommand(fresh, checkpoint).state, { ...checkpoint, requestId: "c2" })).toBe("limit");
  });
});

describe("a policy", () => {
  const stricter: Policy = { ...policy, name: "strict", trigger: { ...policy.trigger, exclude: ["h2"], confidenceMin: 0.9 } };
  const load: KasminaControlCommand = { kind: "policy_load", requestId: "p", policy: stricter, hash: hashOf("1"), reason: "x" };

  it("is in force from the next boundary on, is told with the signal and goes into the stored state", () => {
    const { boundaries, state, plans } = drive(5, { setup: withPolicy, commands: { 2: [load] } });
    const told = boundaries.map(({ health }) =>
      health === undefined ? "none" : HealthSignal.parse(health).policy?.hash.slice(0, 1),
    );
    expect(told.slice(2)).not.toContain(undefined);
    expect(told.slice(0, 2)).not.toContain("1");
    expect(state.setup.config.trigger).toEqual(stricter.trigger);
    expect(state.setup.config.training).toEqual(config.training);
    expect(state.policy).toEqual({ hash: hashOf("1"), sinceEpoch: 2, policy: stricter });
    for (const plan of plans) if (plan.epoch > 2 && plan.measureSignal) expect(plan.trigger).toEqual(stricter.trigger);
    for (const plan of plans) if (plan.epoch <= 2) expect(plan).not.toHaveProperty("trigger");
  });

  it("the run tells what is in force and what will be", () => {
    expect(answer(fresh, { kind: "policy", requestId: "q" })).toMatchObject({ inForce: { hash: hashOf("0"), sinceEpoch: 0 } });
    const waiting = acceptCommand(fresh, load).state;
    expect(answer(waiting, { kind: "policy", requestId: "q" })).toMatchObject({
      inForce: { policy: { name: "careful" } },
      next: { hash: hashOf("1"), sinceEpoch: 1, policy: { name: "strict" } },
    });
  });

  describe("B8 changes that wait for one boundary", () => {
    const hashPolicy = (each: Policy): string => hashJson(each, "policy");
    /** As Kasmina fills it in, on what is to come when it is accepted. */
    const update = (requestId: string, before: Policy, set: PolicyChanges): PolicyUpdate => {
      const changed = changePolicy(before, set);
      if (changed.kind === "refused") throw new Error(changed.reason);
      const next = changed.policy;
      return { kind: "policy_update", requestId, set, policy: next, hash: hashPolicy(next), reason: "x" };
    };
    const surer = update("a", policy, { "trigger.confidenceMin": 0.95 });
    const wider = update("b", surer.policy, { "trigger.gapMin": 0.3 });
    const veto = (target: string) => ({ kind: "veto", requestId: `v-${target}`, target, reason: "no" }) as const;
    const policyAfter = (commands: readonly KasminaControlCommand[]) => {
      const { state, boundaries } = drive(4, { setup: withPolicy, commands: { 2: commands }, hashPolicy });
      return { inForce: state.policy, trigger: state.setup.config.trigger, refusals: boundaries[2]?.refusals };
    };

    it("all hold, in the order of acceptance", () => {
      const { inForce, trigger, refusals } = policyAfter([
        surer,
        wider,
        update("c", wider.policy, { "trigger.confidenceMin": 0.9 }),
      ]);
      const wanted = { ...policy.trigger, confidenceMin: 0.9, gapMin: 0.3 };
      expect([trigger, inForce?.policy.trigger, refusals]).toEqual([wanted, wanted, []]);
      expect(inForce?.hash).toBe(hashPolicy(inForce!.policy));
    });

    it("one that is vetoed leaves nothing in those after it, though they were accepted on top of it", () => {
      const { inForce, trigger, refusals } = policyAfter([surer, wider, veto("a")]);
      const wanted = { ...policy.trigger, gapMin: 0.3 };
      expect([trigger, inForce?.policy.trigger]).toEqual([wanted, wanted]);
      expect(inForce?.hash).toBe(hashPolicy(inForce!.policy));
      expect(inForce?.hash).not.toBe(wider.hash);
      expect(refusals?.map(({ requestId, code }) => [requestId, code])).toEqual([["a", "vetoed"]]);
      expect(policyAfter([surer, veto("a")])).toMatchObject({ inForce: undefined, trigger: withPolicy.config.trigger });
    });

    it("a policy that is loaded between them is changed by those after it alone", () => {
      const second = update("b", stricter, { "trigger.gapMin": 0.3 });
      expect(policyAfter([surer, load, second]).trigger).toEqual({ ...stricter.trigger, gapMin: 0.3 });
      expect(policyAfter([surer, load, second, veto("p")]).trigger).toEqual({
        ...policy.trigger,
        confidenceMin: 0.95,
        gapMin: 0.3,
      });
    });

    it("the run tells what will be; the change alone, without what follows from it, is refused", () => {
      const waiting = [surer, wider].reduce((state, each) => acceptCommand(state, each).state, fresh);
      expect(answer(waiting, { kind: "policy", requestId: "q" })).toMatchObject({
        next: { hash: wider.hash, policy: wider.policy },
      });
      const { policy: _, hash: __, ...alone } = surer;
      expect(codeOf(fresh, alone)).toBe("unavailable");
    });
  });

  it("by its hash alone it is refused here: somebody has to have looked it up", () => {
    expect(codeOf(fresh, { ...load, policy: { hash: hashOf("1") } } as KasminaControlCommand)).toBe("unknown_asset");
    expect(codeOf(fresh, { ...germinate, blueprint: { hash: hashOf("1") } })).toBe("unknown_asset");
    expect(codeOf(fresh, { ...load, runId: "r-9" } as KasminaControlCommand)).toBe("unknown_run");
    expect(fresh.setup.runId).toBe(runId);
  });
});
