import { getShortestPaths } from "@xstate/graph";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createActor } from "xstate";
import type { LifecycleState, SeedTransition } from "../../src/contracts/lifecycle.ts";
import {
  isActive,
  legalTransitions,
  lifecycleStates,
  SeedTransition as SeedTransitionSchema,
} from "../../src/contracts/lifecycle.ts";
import type { SeedEvent, SeedOutcome } from "../../src/machines/seed-context.ts";
import { historyStepsMax, seedAlpha, seedEventTypes, seedSinceEpoch, seedStateOf } from "../../src/machines/seed-context.ts";
import type { SeedSnapshot } from "../../src/machines/seed-machine.ts";
import { persistSeed, rebuildSeed, restoreSeed, seedMachine, startSeed, stepSeed } from "../../src/machines/seed-machine.ts";
import {
  characterized,
  facts,
  germinate,
  kernelFailed,
  kernelReady,
  lossSpike,
  measurements,
  nonFiniteLoss,
  seedInput,
  split,
  window,
} from "./fixtures.ts";

const { loaded, trained, grafted, stabilized, evaluated, fine_tuned } = measurements;

const { measured } = characterized;
if (measured === undefined) throw new Error("expected the fixture to be measured");
const unstable = { ...characterized, measured: { ...measured, stability: { steps: 50, finite: false } } };

/** The events of a life in which every gate passes. */
const life: readonly SeedEvent[] = [
  germinate(1),
  kernelReady(2),
  window(3, loaded.passed),
  window(4, trained.passed),
  window(5, grafted.passed),
  window(6, stabilized.passed),
  window(7, evaluated.passed),
  window(8, fine_tuned.passed),
];

const run = (events: readonly SeedEvent[], from: SeedSnapshot = startSeed(seedInput)) => {
  const outcomes: SeedOutcome[] = [];
  let snapshot = from;
  for (const event of events) {
    const step = stepSeed(snapshot, event);
    snapshot = step.snapshot;
    outcomes.push(step.outcome);
  }
  return { snapshot, outcomes, transitions: outcomes.flatMap((each) => (each.kind === "transition" ? [each.transition] : [])) };
};

const culled = [...life.slice(0, 4), { type: "CULL", epoch: 4, reason: "test" } as const];
const rolledBack = [...life.slice(0, 4), { type: "ROLLBACK", epoch: 4, reason: "test" } as const];
const waysTo: Readonly<Record<LifecycleState, readonly SeedEvent[]>> = {
  DORMANT: [],
  GERMINATED: life.slice(0, 1),
  LOADING: life.slice(0, 2),
  TRAINING: life.slice(0, 3),
  GRAFTING: life.slice(0, 4),
  STABILIZATION: life.slice(0, 5),
  EVALUATING: life.slice(0, 6),
  FINE_TUNING: life.slice(0, 7),
  FOSSILIZED: life,
  CULLED: culled,
  ROLLED_BACK: rolledBack,
};
const at = (state: LifecycleState): SeedSnapshot => run(waysTo[state]).snapshot;

/** Every kind of event, with its gate passed, failed and not measured, all of window 20. */
const variants: Readonly<Record<string, SeedEvent>> = {
  germinate: germinate(20),
  "germinate without budget": germinate(20, { ...facts, flopsLeft: 0 }),
  "germinate with unknown cost": germinate(20, { ...facts, flops: undefined }),
  kernelReady: kernelReady(20),
  "kernelReady too large": kernelReady(20, { ...facts, parameters: 9999 }),
  "kernelReady of unknown size": kernelReady(20, { ...facts, parameters: undefined }),
  "kernelReady not characterised": kernelReady(20, facts, null),
  "kernelReady unstable": kernelReady(20, facts, unstable),
  kernelFailed: { type: "KERNEL_FAILED", epoch: 20, reason: "no kernel" },
  cull: { type: "CULL", epoch: 20, reason: "asked" },
  rollback: { type: "ROLLBACK", epoch: 20, reason: "asked" },
  resolve: { type: "RESOLVE", epoch: 20, verdict: "keep", reason: "asked" },
  embargoOver: { type: "EMBARGO_OVER", epoch: 20 },
  "embargo still on": { type: "EMBARGO_OVER", epoch: 5 },
  release: { type: "RELEASE", epoch: 20, reason: "asked" },
  "nothing measured": window(20, undefined),
  "nothing measured, interrupted": window(20, undefined, { interrupted: true, steps: 3 }),
  "loss not finite": window(20, undefined, { anomalies: [nonFiniteLoss] }),
  "loss spike": window(20, undefined, { anomalies: [lossSpike] }),
  "kernel failed": window(20, undefined, { anomalies: [kernelFailed] }),
  "jury split": window(20, { ...fine_tuned.passed, judgements: split }),
  ...Object.fromEntries(
    Object.entries(measurements).flatMap(([kind, qualities]) =>
      Object.entries(qualities).map(([quality, measurement]) => [`${kind} ${quality}`, window(20, measurement)]),
    ),
  ),
};

/** What a variant leads to; whatever is not listed for a state is refused there. `stay` waits. */
const table: Readonly<Record<LifecycleState, Readonly<Record<string, LifecycleState | "stay">>>> = (() => {
  const names = Object.keys(variants).filter((name) => variants[name]?.type === "WINDOW");
  const trial = (special: Readonly<Record<string, LifecycleState | "stay">>) => ({
    ...Object.fromEntries(names.map((name) => [name, "CULLED" as const])),
    "nothing measured, interrupted": "stay" as const,
    "loss spike": "ROLLED_BACK" as const,
    "loss not finite": "ROLLED_BACK" as const,
    "kernel failed": "ROLLED_BACK" as const,
    cull: "CULLED" as const,
    rollback: "ROLLED_BACK" as const,
    ...special,
  });
  return {
    DORMANT: { germinate: "GERMINATED" },
    GERMINATED: {
      kernelReady: "LOADING",
      "kernelReady too large": "DORMANT",
      "kernelReady of unknown size": "DORMANT",
      "kernelReady not characterised": "DORMANT",
      "kernelReady unstable": "DORMANT",
      kernelFailed: "DORMANT",
      cull: "DORMANT",
    },
    LOADING: trial({
      "loaded passed": "TRAINING",
      "loss spike": "CULLED",
      "loss not finite": "CULLED",
      "kernel failed": "CULLED",
      rollback: "CULLED",
    }),
    TRAINING: trial({ "trained passed": "GRAFTING" }),
    GRAFTING: trial({ "grafted passed": "STABILIZATION" }),
    STABILIZATION: trial({ "stabilized passed": "EVALUATING", "stabilized failed": "stay" }),
    EVALUATING: trial({ "evaluated passed": "FINE_TUNING" }),
    FINE_TUNING: trial({ "fine_tuned passed": "FOSSILIZED", "jury split": "stay" }),
    FOSSILIZED: {},
    CULLED: { embargoOver: "DORMANT" },
    ROLLED_BACK: { embargoOver: "DORMANT", release: "DORMANT" },
  };
})();

describe("S1 every state × every event", () => {
  test("the ways lead to all eleven states, and the variants cover every event type", () => {
    for (const state of lifecycleStates) expect(at(state).value).toBe(state);
    expect(new Set(Object.values(variants).map((event) => event.type))).toEqual(new Set(seedEventTypes));
  });

  for (const state of lifecycleStates) {
    test(`${state}: ${Object.keys(variants).length} variants`, () => {
      const start = at(state);
      for (const [name, event] of Object.entries(variants)) {
        const expected = table[state][name] ?? "refused";
        const { snapshot, outcome } = stepSeed(start, event);
        const got = outcome.kind === "transition" ? outcome.transition.to : outcome.kind === "stayed" ? "stay" : "refused";
        expect(`${name}: ${got}`).toBe(`${name}: ${expected}`);
        expect(snapshot.value).toBe(seedStateOf(snapshot.context));
        if (outcome.kind === "transition") {
          expect(legalTransitions[state]).toContain(outcome.transition.to);
          expect(SeedTransitionSchema.parse(outcome.transition)).toEqual(outcome.transition);
          expect(outcome.transition.reason.length).toBeGreaterThan(0);
        } else {
          // S4: a reason, and nothing moved.
          expect(outcome.reason.length).toBeGreaterThan(0);
          expect(snapshot.value).toBe(state);
          expect(snapshot.context.sequence).toBe(start.context.sequence);
        }
      }
    });
  }

  test("every legal way is taken by some variant, fixed-function kernels included", () => {
    const fixed = { ...loaded.passed, parameters: 0 };
    const taken = new Set<string>();
    for (const state of lifecycleStates) {
      for (const event of [...Object.values(variants), window(20, fixed)]) {
        const { outcome } = stepSeed(at(state), event);
        if (outcome.kind === "transition") taken.add(`${outcome.transition.from} ${outcome.transition.to}`);
      }
    }
    const legal = lifecycleStates.flatMap((from) => legalTransitions[from].map((to) => `${from} ${to}`));
    expect([...taken].toSorted()).toEqual(legal.toSorted());
  });

  test("shortest paths of @xstate/graph reach the eleven states and no other", () => {
    const paths = getShortestPaths(seedMachine, {
      input: seedInput,
      // Later than the present state by enough for any embargo, so that no event is stale.
      events: ({ context }) =>
        Object.values(variants).map((event) => ({ ...event, epoch: seedSinceEpoch(context) + event.epoch })),
      serializeState: (snapshot) => JSON.stringify(snapshot.value),
      serializeEvent: (event) => JSON.stringify(event),
    });
    expect(new Set(paths.map((path) => path.state.value))).toEqual(new Set(lifecycleStates));
  });
});

describe("gates in the machine", () => {
  test("a dry run at the latency limit passes, beyond it fails", () => {
    const latencyMsMax = seedInput.config.kernelLatencyMsMax;
    const dry = (latencyMs: number) =>
      stepSeed(at("LOADING"), window(20, { ...loaded.passed, dryRun: { shapesMatch: true, finite: true, latencyMs } })).snapshot
        .value;
    expect(dry(latencyMsMax)).toBe("TRAINING");
    expect(dry(latencyMsMax + 0.1)).toBe("CULLED");
    expect(dry(Number.NaN)).toBe("CULLED");
  });

  test("TRAINING takes more windows until its steps are done, and counts them", () => {
    const half = { ...trained.passed, steps: 5 };
    const first = stepSeed(at("TRAINING"), window(20, half));
    expect(first.outcome).toEqual({ kind: "stayed", reason: "training: 5 of 10 steps done" });
    expect(stepSeed(first.snapshot, window(21, half)).snapshot.value).toBe("GRAFTING");
    expect(stepSeed(first.snapshot, window(21, { ...half, steps: 0 })).snapshot.value).toBe("CULLED");
  });

  test("a gain that is not a number, or measured with less confidence, passes nothing", () => {
    for (const bad of [{ lower: Number.NaN }, { confidence: 0.9 }, { lossWithout: Number.POSITIVE_INFINITY }]) {
      const gain = { ...fine_tuned.passed.gain, ...bad };
      expect(stepSeed(at("FINE_TUNING"), window(20, { ...fine_tuned.passed, gain })).snapshot.value).toBe("CULLED");
    }
  });

  test("the verdict wants a twin that had at least as many steps", () => {
    expect(stepSeed(at("FINE_TUNING"), window(20, { ...fine_tuned.passed, twinSteps: 9 })).snapshot.value).toBe("CULLED");
  });

  test("a kernel that says it is not finite is rolled back", () => {
    const notFinite = (state: LifecycleState, measurement: typeof trained.passed | typeof fine_tuned.passed) =>
      stepSeed(at(state), window(20, { ...measurement, finite: false })).snapshot.value;
    expect(notFinite("TRAINING", trained.passed)).toBe("ROLLED_BACK");
    expect(notFinite("FINE_TUNING", fine_tuned.passed)).toBe("ROLLED_BACK");
  });

  test("STABILIZATION waits for its windows and no longer", () => {
    const first = stepSeed(at("STABILIZATION"), window(20, stabilized.failed));
    expect(first.outcome.kind).toBe("stayed");
    expect(stepSeed(first.snapshot, window(21, stabilized.failed)).snapshot.value).toBe("CULLED");
    expect(stepSeed(first.snapshot, window(21, stabilized.passed)).snapshot.value).toBe("EVALUATING");
  });

  test("a drift-controlled graft goes in quarters, holds alpha while the alarm is on, and is culled after too many pauses", () => {
    const grafting = { ...seedInput.config.grafting, mode: "drift" as const, steps: 8, pauseEpochsMax: 2 };
    const input = { ...seedInput, config: { ...seedInput.config, grafting } };
    const start = run(life.slice(0, 4), startSeed(input)).snapshot;
    const part = (alpha: number, drift: number | undefined, epoch: number) =>
      window(epoch, { kind: "grafted", alpha, finite: true, ...(drift === undefined ? {} : { drift }) });
    const calm = run([part(0.25, 0, 20), part(0.5, 0, 21), part(0.75, 0, 22)], start);
    expect(calm.snapshot.context.trial?.graft.progress).toBe(0.75);
    expect(seedAlpha(calm.snapshot.context)).toBe(0.75);
    expect(stepSeed(calm.snapshot, part(1, 0, 23)).snapshot.value).toBe("STABILIZATION");
    expect(stepSeed(calm.snapshot, part(0.99, 0, 23)).snapshot.value).toBe("CULLED");
    // Drift that was not measured is an alarm (S3).
    const held = run([part(0.25, 9, 20), part(0.25, undefined, 21)], start);
    expect(held.snapshot.value).toBe("GRAFTING");
    expect(held.snapshot.context.trial?.graft).toEqual({ progress: 0.25, alpha: 0.25, held: true, pausedEpochs: 2 });
    expect(stepSeed(held.snapshot, part(0.25, 9, 22)).snapshot.value).toBe("CULLED");
    const freed = stepSeed(held.snapshot, part(0.25, 0, 22));
    expect(freed.snapshot.context.trial?.graft).toMatchObject({ progress: 0.25, held: false });
  });

  test("an interrupted graft goes on where it was", () => {
    const cut = stepSeed(at("GRAFTING"), window(20, { ...grafted.passed, alpha: 0.3 }, { interrupted: true, steps: 3 }));
    expect(cut.snapshot.context.trial?.graft.progress).toBeCloseTo(0.3, 12);
    expect(stepSeed(cut.snapshot, window(21, grafted.passed)).snapshot.value).toBe("STABILIZATION");
  });

  test("each refused germination carries its code", () => {
    const code = (change: Partial<typeof facts>) => {
      const { outcome } = stepSeed(startSeed(seedInput), germinate(1, { ...facts, ...change }));
      return outcome.kind === "refused" ? outcome.code : outcome.kind;
    };
    expect(code({})).toBe("transition");
    expect(code({ siteKnown: false })).toBe("unknown_seed");
    expect(code({ spanLegal: false })).toBe("span");
    expect(code({ embargoUntilEpoch: 2 })).toBe("embargo");
    expect(code({ embargoUntilEpoch: 1 })).toBe("transition");
    expect(code({ lockHolder: "seed:h1" })).toBe("lock_held");
    expect(code({ adaptations: 2 })).toBe("limit");
    expect(code({ parameters: 1001 })).toBe("budget");
    expect(code({ parameters: 1000 })).toBe("transition");
    expect(code({ flops: Number.NaN })).toBe("budget");
  });
});

describe("history", () => {
  test("S5 a window that was judged, or is older than the state, is refused", () => {
    const once = stepSeed(at("STABILIZATION"), window(20, stabilized.failed)).snapshot;
    for (const epoch of [20, 5]) {
      const again = stepSeed(once, window(epoch, stabilized.passed));
      expect(again.outcome).toMatchObject({ kind: "refused", code: "illegal_transition" });
      expect(again.snapshot.value).toBe("STABILIZATION");
    }
  });

  test("S2 the transitions alone rebuild state and history", () => {
    for (const state of lifecycleStates) {
      const { snapshot, transitions } = run(waysTo[state]);
      expect(rebuildSeed(transitions)).toEqual({
        kind: "rebuilt",
        state,
        sequence: snapshot.context.sequence,
        history: snapshot.context.history,
      });
    }
  });

  test("a log with a gap, a wrong start or an illegal way is broken; a repetition is not", () => {
    const { transitions } = run(life);
    const [first, second, third] = transitions as [SeedTransition, SeedTransition, SeedTransition];
    expect(rebuildSeed([first, third]).kind).toBe("broken");
    expect(rebuildSeed([first, { ...second, from: "CULLED" }]).kind).toBe("broken");
    expect(rebuildSeed([first, { ...second, to: "FOSSILIZED" }]).kind).toBe("broken");
    expect(rebuildSeed([first, first, second, first, second])).toEqual(rebuildSeed([first, second]));
  });

  test("the history is bounded", () => {
    let snapshot = startSeed(seedInput);
    for (let epoch = 1; epoch <= historyStepsMax; epoch += 1)
      snapshot = run([germinate(epoch), { type: "KERNEL_FAILED", epoch, reason: "none" }], snapshot).snapshot;
    expect(snapshot.context.history).toHaveLength(historyStepsMax);
    expect(snapshot.context.sequence).toBe(2 * historyStepsMax);
  });

  test("S6 a persisted snapshot goes on identically after JSON, in the pure step and in a live actor", () => {
    for (let cut = 0; cut <= life.length; cut += 1) {
      const persisted = persistSeed(run(life.slice(0, cut)).snapshot);
      const stored = JSON.parse(JSON.stringify(persisted)) as typeof persisted;
      const restored = restoreSeed(stored, seedInput);
      const rest = life.slice(cut);
      const pure = run(rest, restored).snapshot;
      const actor = createActor(seedMachine, { input: seedInput, snapshot: restoreSeed(stored, seedInput) });
      actor.start();
      for (const event of rest) actor.send(event);
      expect(persistSeed(pure)).toEqual(persistSeed(run(life).snapshot));
      expect(persistSeed(actor.getSnapshot())).toEqual(persistSeed(pure));
      actor.stop();
    }
  });
});

describe("random lives", () => {
  const names = Object.keys(variants);
  const steps = fc.array(fc.record({ name: fc.constantFrom(...names), ahead: fc.integer({ min: -1, max: 3 }) }), {
    maxLength: 60,
  });
  // Half of the events are those of a good life, so that the late states are visited too.
  const good = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 });

  test("S1 S2 S4 only legal ways, no gap in the sequence, epochs never go back, the embargo follows each failure", () => {
    fc.assert(
      fc.property(steps, good, (random, helpful) => {
        let snapshot = startSeed(seedInput);
        let epoch = 0;
        let sequence = 0;
        const log: SeedTransition[] = [];
        random.forEach(({ name, ahead }, index) => {
          const help = helpful[index] === 1 ? life[lifecycleStates.indexOf(seedStateOf(snapshot.context))] : undefined;
          const variant = help ?? variants[name];
          if (variant === undefined) return;
          const event = { ...variant, epoch: Math.max(0, epoch + ahead) };
          const from = seedStateOf(snapshot.context);
          const { snapshot: next, outcome } = stepSeed(snapshot, event);
          if (outcome.kind === "transition") {
            const { transition } = outcome;
            expect(legalTransitions[from]).toContain(transition.to);
            expect(transition.sequence).toBe(sequence + 1);
            expect(transition.epoch).toBeGreaterThanOrEqual(log.at(-1)?.epoch ?? 0);
            sequence += 1;
            log.push(transition);
            const failed = isActive(transition.from) && !isActive(transition.to) && transition.to !== "FOSSILIZED";
            if (failed) expect(next.context.embargoUntilEpoch).toBe(event.epoch + seedInput.config.embargo.epochs);
          } else expect(outcome.reason).not.toBe("");
          expect(next.context.trial === null).toBe(seedStateOf(next.context) === "DORMANT");
          epoch = Math.max(epoch, event.epoch);
          snapshot = next;
        });
        expect(rebuildSeed(log)).toMatchObject({ kind: "rebuilt", state: seedStateOf(snapshot.context), sequence });
      }),
      { numRuns: 200, seed: 7 },
    );
  });
});
