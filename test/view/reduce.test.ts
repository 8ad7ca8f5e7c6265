import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import { lifecycleStates, SeedTransition } from "../../src/contracts/lifecycle.ts";
import type { ViewChange } from "../../src/contracts/view.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import { viewBounds } from "../../src/view/bounds.ts";
import { coalesce } from "../../src/view/coalesce.ts";
import { ViewReader } from "../../src/view/read-event.ts";
import { applyChange, applyChanges, cloneView, emptyView, findRun, findSeed } from "../../src/view/reduce.ts";
import { anyChange, envelope, goldenEvents, goldenNames, layerSignal, started, viewOf, windowOf } from "./support.ts";

const config = MorphogeneticConfig.parse({ seedsPerSite: 1 });

describe("golden histories", () => {
  for (const name of goldenNames) {
    test(`${name}: every seed stands where the replay of the log says, with every step and its gates`, async () => {
      const events = goldenEvents(name);
      const reader = new ViewReader();
      const state = viewOf(
        [started("r-1", 3, { growth: true, morphogenetic: config }), ...events].flatMap((each) => reader.read(each)),
      );
      const run = findRun(state, "r-1");
      const replayed = await replaySeeds(events);
      expect(replayed.size).toBeGreaterThan(0);
      for (const [seedId, lifecycle] of replayed) expect(run && findSeed(run, seedId)?.state).toBe(lifecycle);
      expect(run?.seeds.map(({ seedId }) => seedId)).toEqual(["seed:h1", "seed:h2", "seed:h3"]);
      const steps = events
        .filter(({ subject }) => subject === "system.events.seed")
        .map(({ payload }) => SeedTransition.parse(payload));
      const shown = run && findSeed(run, "seed:h2");
      expect(shown?.history.map(({ sequence, from, to, epoch, reason }) => ({ sequence, from, to, epoch, reason }))).toEqual(
        steps.map(({ sequence, from, to, epoch, reason }) => ({ sequence, from, to, epoch, reason })),
      );
      expect(shown?.trial).toMatchObject({ fromSite: "h2", toSite: "output", blueprint: { kind: "dense", hiddenWidth: 12 } });
      expect(shown?.trial?.outcome).toBe(steps.findLast(({ to }) => ["FOSSILIZED", "CULLED", "ROLLED_BACK"].includes(to))?.to);
      expect(state.unreadable).toBe(0);
    });
  }

  test("a gate that was passed shows every quantity on the right side of its threshold, one that failed shows which was not", () => {
    const shownOf = (name: (typeof goldenNames)[number]) => {
      const reader = new ViewReader();
      const state = viewOf(
        [started("r-1", 3, { morphogenetic: config }), ...goldenEvents(name)].flatMap((each) => reader.read(each)),
      );
      const run = findRun(state, "r-1");
      return run === undefined ? undefined : findSeed(run, "seed:h2");
    };
    const kept = shownOf("fossilized");
    const passes = kept?.history.map(({ from, gates }) => [from, gates.length, gates.filter(({ passed }) => passed === false)]);
    expect(passes).toEqual([
      ["DORMANT", 6, []],
      ["GERMINATED", 11, []],
      ["LOADING", 4, []],
      ["TRAINING", 2, [expect.objectContaining({ name: "steps", value: 10, threshold: 98 })]],
      ["GRAFTING", 3, []],
      ["STABILIZATION", 1, []],
      ["EVALUATING", 1, []],
      ["FINE_TUNING", expect.any(Number), expect.any(Array)],
    ]);
    const culled = shownOf("culled")?.history.find(({ to }) => to === "CULLED");
    expect(culled?.gates.find(({ name }) => name === "gainLower")).toMatchObject({ value: 0.01, threshold: 0.01, passed: false });
  });

  test("the escalation is open until it is settled, and a kept seed leaves a graft on its span", () => {
    const reader = new ViewReader();
    const state = emptyView("recorded");
    const open: number[] = [];
    for (const event of [started("r-1", 3), ...goldenEvents("escalated")]) {
      applyChanges(state, reader.read(event));
      open.push(findRun(state, "r-1")?.escalations.filter(({ settled }) => settled === null).length ?? 0);
    }
    expect(Math.max(...open)).toBe(1);
    expect(open.at(-1)).toBe(0);
    const run = findRun(state, "r-1");
    expect(run?.edges.filter(({ kind }) => kind !== "flow")).toEqual([
      { kind: "graft", from: "h2", to: "output", seedId: "seed:h2" },
    ]);
    expect(run?.escalations[0]?.settled).toMatchObject({ verdict: "keep", by: "operator" });
    expect(run?.activeSeedId).toBeNull();
  });
});

describe("a run", () => {
  test("windows give header, rows and signals; what was not measured is null, never zero", () => {
    const reader = new ViewReader();
    const state = emptyView("live");
    applyChanges(state, reader.read(started("r-1", 2, { growth: true, morphogenetic: config })));
    applyChanges(state, reader.read(windowOf("r-1", 1)));
    const damaged = { ...layerSignal("h1", 0.3), dimensionsOut: 1 };
    const signal = { samples: 100, errorPower: 1, trainLoss: 1, layers: [damaged, layerSignal("h2")], spans: [] };
    applyChanges(state, reader.read(windowOf("r-1", 2, { validation: undefined, signal })));
    const run = findRun(state, "r-1");
    expect(run).toMatchObject({
      epoch: 2,
      hostStep: 20,
      flops: 2000,
      flopsMax: 1e9,
      dataset: "mnist",
      arm: "grown",
      growth: true,
    });
    expect(run?.series).toMatchObject({ epochs: [1, 2], validationLoss: [1.1, null], stepsPerSecond: [200, 200] });
    expect(run?.signals["h1"]?.severity).toBeGreaterThan(1);
    expect(run?.signals["h1"]?.health).toBeLessThan(config.trigger.healthMax);
    expect(run?.signals["h2"]?.severity).toBeLessThan(1);
    // Told by a node that told no configuration: measured, but not judged.
    const bare = new ViewReader();
    const unjudged = viewOf([started("r-1", 2), windowOf("r-1", 2, { signal })].flatMap((each) => bare.read(each)));
    expect(findRun(unjudged, "r-1")?.signals["h1"]).toMatchObject({ gap: 0.3, severity: null, health: null });
  });

  test("an alpha curve, a gate ahead, a held command, its veto, a hold and its undoing", () => {
    const reader = new ViewReader();
    const state = viewOf(reader.read(started("r-1", 2, { morphogenetic: config })));
    const feed = (...args: Parameters<typeof envelope>): void => applyChanges(state, reader.read(envelope(...args)));
    const step = { runId: "r-1", seedId: "seed:h1", reason: "", evidence: {} };
    feed("system.events.seed", { ...step, sequence: 1, from: "DORMANT", to: "GERMINATED", epoch: 1 });
    for (const [index, alpha] of [0.25, 0.75].entries()) {
      const kernel = { kind: "grafted", alpha, finite: true, drift: 0.1 };
      applyChanges(state, reader.read(windowOf("r-1", 2 + index, { seedId: "seed:h1", work: "graft", kernel })));
    }
    const run = findRun(state, "r-1");
    const seed = run && findSeed(run, "seed:h1");
    expect(seed).toMatchObject({ alpha: 0.75, trial: { alphaEpochs: [2, 3], alphas: [0.25, 0.75], drift: 0.1 } });
    expect(seed?.trial?.gates).toContainEqual({ name: "alpha", value: 0.75, threshold: 1, side: "min", passed: false });
    expect(run?.activeSeedId).toBe("seed:h1");

    const sent = { sender: "ann", role: "operator" };
    const command = { kind: "stop", requestId: "q1", runId: "r-1", reason: "why" };
    const receipt = { kind: "held", requestId: "q1", expiresAtMs: 5, approvers: ["admin"], detail: "waits" };
    feed("system.events.command", { ...sent, command, receipt });
    expect(state.commands).toMatchObject([{ requestId: "q1", state: "held", expiresAtMs: 5, approvers: ["admin"] }]);
    const veto = { kind: "veto", requestId: "q2", runId: "r-1", target: "q1", reason: "no" };
    feed("system.events.command", { ...sent, command: veto, receipt: { kind: "done", requestId: "q2", detail: "vetoed" } });
    expect(state.commands[0]).toMatchObject({ requestId: "q1", state: "refused", code: "vetoed" });

    const pin = { kind: "pin", requestId: "q3", runId: "r-1", target: "h1", reason: "mine" };
    const accepted = { kind: "accepted", requestId: "q3", runId: "r-1", appliesAtEpoch: 3, detail: "pin h1" };
    feed("system.events.command", { ...sent, command: pin, receipt: accepted });
    expect(run?.holds.pins).toEqual(["h1"]);
    const refused = { kind: "refused", requestId: "q3", code: "vetoed", reason: "vetoed" };
    feed("system.events.command", { sender: "kasmina", command: pin, receipt: refused });
    expect(run?.holds.pins).toEqual([]);
    expect(state.unreadable).toBe(0);
  });

  test("V1, V2: an event that comes twice changes nothing, and what is no event is counted", () => {
    const reader = new ViewReader();
    const event = windowOf("r-1", 1);
    expect(reader.read(event).length).toBeGreaterThan(0);
    expect(reader.read(event)).toEqual([]);
    expect(reader.read(envelope("system.events.seed", { nonsense: true }))).toEqual([
      { k: "count", atMs: expect.any(Number), events: 1, unreadable: 1 },
    ]);
    expect(reader.read(envelope("log.cut", {}))).toMatchObject([{ k: "alert", alert: { severity: "warning" } }]);
  });
});

describe("properties", () => {
  const sequence = fc.array(anyChange, { maxLength: 40 });

  test("C1: any batching, each batch merged, gives the same state", () => {
    fc.assert(
      fc.property(sequence, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (changes, sizes) => {
        const merged = emptyView("live");
        for (let from = 0; from < changes.length; ) {
          const size = sizes.next().value;
          applyChanges(merged, coalesce(changes.slice(from, from + size)));
          from += size;
        }
        expect(merged).toEqual(viewOf(changes));
      }),
      { numRuns: 1000 },
    );
  });

  test("C1 is no accident: merging a patch over the transition between two would be seen", () => {
    const patch = (parameters: number): ViewChange => ({ k: "trial", r: "r1", seedId: "seed:a", set: { parameters } });
    const step = { sequence: 1, from: "DORMANT", to: "GERMINATED", epoch: 1, atMs: 1, reason: "", gates: [] } as const;
    const between: ViewChange = { k: "step", r: "r1", seedId: "seed:a", step, trial: null };
    expect(coalesce([patch(1), between, patch(2)])).toHaveLength(3);
    expect(viewOf([patch(2), between])).not.toEqual(viewOf([patch(1), between, patch(2)]));
  });

  test("R2: every change twice in a row is the same as once", () => {
    fc.assert(
      fc.property(sequence, (changes) => {
        expect(viewOf(changes.flatMap((change) => [change, change]))).toEqual(viewOf(changes));
      }),
    );
  });

  test("R1: a copy does not move with what it was copied from, and the wire carries the state whole", () => {
    fc.assert(
      fc.property(sequence, sequence, (before, after) => {
        const state = viewOf(before);
        const copy = cloneView(state);
        const sent = structuredClone(JSON.parse(JSON.stringify(state)));
        applyChanges(state, after);
        expect(copy).toEqual(viewOf(before));
        applyChanges(sent, after);
        expect(sent).toEqual(state);
      }),
    );
  });

  test("the slices that a change names are the only ones that it touches", () => {
    const of = { seeds: "seeds", series: "series", progress: "progress" } as const;
    fc.assert(
      fc.property(sequence, anyChange, (before, change) => {
        const state = viewOf([
          { k: "run", r: "r1", arm: "grown", atMs: 0 },
          { k: "run", r: "r2", arm: "grown", atMs: 0 },
          ...before,
        ]);
        const copy = cloneView(state);
        const touched = applyChange(state, change);
        for (const [index, run] of state.runs.entries())
          for (const [field, slice] of Object.entries(of))
            if (!touched.includes(slice))
              expect(run[field as keyof typeof of]).toEqual(copy.runs[index]?.[field as keyof typeof of]);
      }),
    );
  });
});

describe("bounds (R4)", () => {
  const most = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));

  test("rows of a series: past the bound every second goes, the newest stays, and going back cuts", () => {
    const rows = most(3 * viewBounds.seriesRowsMax + 1, (index): ViewChange => {
      const row = { epoch: index + 1, trainLoss: index, validationLoss: null, validationAccuracy: null };
      return { k: "row", r: "r", row: { ...row, gradNorm: null, stepsPerSecond: null, flops: index } };
    });
    const state = viewOf(rows);
    const series = findRun(state, "r")?.series;
    expect(series?.epochs.length).toBeLessThanOrEqual(viewBounds.seriesRowsMax);
    expect(series?.epochs.length).toBeGreaterThan(viewBounds.seriesRowsMax / 2);
    expect(series?.epochs.at(-1)).toBe(rows.length);
    expect(series?.stride).toBe(4);
    for (const [index, epoch] of (series?.epochs ?? []).entries()) expect(series?.trainLoss[index]).toBe(epoch - 1);
    const back = rows[99];
    if (back !== undefined) applyChange(state, back);
    expect(series?.epochs.at(-1)).toBe(100);
    expect(series?.epochs.every((epoch) => epoch <= 100)).toBe(true);
  });

  test("runs, decisions, commands, alerts, steps of a seed: the oldest go at bound + 1", () => {
    const state = emptyView("live");
    const decision = {
      atMs: 0,
      traceId: "",
      epoch: 1,
      by: "tamiyo",
      rule: "",
      outcome: "wait",
      reason: "",
      confidence: null,
    } as const;
    const nowhere = { forecast: null, site: null, seedId: null, fromSite: null, toSite: null, requestId: null, latencyMs: 0 };
    const alert = { atMs: 0, severity: "info", source: "x", text: "", runId: null, epoch: null, seedId: null } as const;
    for (const index of most(viewBounds.decisionsMax + 1, (each) => each))
      applyChange(state, { k: "decision", r: "r", decision: { id: `${index}`, ...decision, ...nowhere } });
    for (const index of most(viewBounds.alertsMax + 1, (each) => each))
      applyChange(state, { k: "alert", alert: { id: `${index}`, ...alert } });
    for (const index of most(viewBounds.stepsPerSeedMax + 1, (each) => each)) {
      const step = {
        sequence: index + 1,
        from: "DORMANT",
        to: "GERMINATED",
        epoch: index,
        atMs: 0,
        reason: "",
        gates: [],
      } as const;
      applyChange(state, { k: "step", r: "r", seedId: "seed:a", step, trial: null });
    }
    const run = findRun(state, "r");
    expect(run?.decisions).toHaveLength(viewBounds.decisionsMax);
    expect(run?.decisions[0]?.id).toBe("1");
    expect(state.alerts).toHaveLength(viewBounds.alertsMax);
    expect(run?.seeds[0]?.history).toHaveLength(viewBounds.stepsPerSeedMax);
    for (const index of most(viewBounds.runsMax, (each) => each))
      applyChange(state, { k: "run", r: `n${index}`, arm: "", atMs: 0 });
    expect(state.runs).toHaveLength(viewBounds.runsMax);
    expect(findRun(state, "r")).toBeUndefined();
  });
});

describe("hostile texts", () => {
  test("stay the data that they are, cut at the bound", () => {
    const hostile = `<img src=x onerror=alert(1)>"'\u2028</script>${"x".repeat(5000)}`;
    const reader = new ViewReader();
    const state = viewOf(reader.read(started("__proto__", 1)));
    const evil = { runId: "__proto__", seedId: "seed:__proto__", sequence: 1, from: "DORMANT", to: "GERMINATED", epoch: 1 };
    applyChanges(
      state,
      reader.read(envelope("system.events.seed", { ...evil, reason: hostile, evidence: { __proto__x: hostile } })),
    );
    const seed = findRun(state, "__proto__")?.seeds.at(-1);
    expect(seed?.seedId).toBe("seed:__proto__");
    expect(seed?.reason.length).toBe(viewBounds.textCharactersMax);
    expect(hostile.startsWith(seed?.reason.slice(0, -1) ?? "?")).toBe(true);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("every state of the lifecycle can be shown", () => {
    for (const to of lifecycleStates) {
      const step = { sequence: 1, from: "DORMANT", to, epoch: 1, atMs: 0, reason: "", gates: [] } as const;
      const state = viewOf([{ k: "step", r: "r", seedId: "seed:a.2", step, trial: null }]);
      expect(findRun(state, "r")?.seeds[0]).toMatchObject({ site: "a", state: to });
    }
  });
});
