/** A run made up for tests of the page: something in every field that it shows. `say` writes each text that in a real run comes from elsewhere. */
import { type LifecycleState, legalTransitions, lifecycleStates } from "../../src/contracts/lifecycle-table.ts";
import type { SeedStep, ViewChange, ViewState, ViewTrial } from "../../src/contracts/view.ts";
import { applyChanges, emptyView } from "../../src/view/reduce.ts";

export interface SceneOptions {
  readonly layers?: number;
  /** Seeds at each layer but the last. */
  readonly seedsPerLayer?: number;
  readonly windows?: number;
  readonly say?: (text: string) => string;
}

export const sceneRunId = "r-20260101T120000-scene-grown";
const startMs = Date.UTC(2026, 0, 1, 12);

/** The way from rest to a state, by the table of legal transitions. */
export const wayTo = (goal: LifecycleState): readonly LifecycleState[] => {
  const ways: LifecycleState[][] = [["DORMANT"]];
  for (const way of ways) {
    const last = way.at(-1)!;
    if (last === goal) return way;
    for (const next of legalTransitions[last]) if (!way.includes(next)) ways.push([...way, next]);
  }
  throw new Error(`expected a way from DORMANT to ${goal}, found none`);
};

const changesOfSeed = (
  seedId: string,
  site: string,
  toSite: string,
  goal: LifecycleState,
  say: (text: string) => string,
): ViewChange[] => {
  const way = wayTo(goal);
  const forecast = {
    lossGain: 0.31,
    lossGainLower: 0.12,
    lossGainUpper: 0.52,
    trialFlops: 4.1e9,
    parameters: 2080,
    cullRisk: 0.18,
  };
  const trial: Partial<ViewTrial> = {
    fromSite: site,
    toSite,
    blueprint: { kind: "dense", hiddenWidth: 32, initialization: "zero" },
    forecast,
    rule: say("severity of a layer, 2 successive checks"),
    by: say("tamiyo"),
    requestId: "tamiyo-4",
    parameters: 2080,
    gates: [
      { name: "validation loss", value: 0.41, threshold: 0.44, side: "max", passed: true },
      { name: "steadyWindows", value: 1, threshold: 3, side: "min", passed: false },
      { name: "tags", value: say("stable"), threshold: null, side: "equal", passed: null },
    ],
    judgements: [{ judge: "loss", vote: "keep", mean: 0.2, lower: 0.1, upper: 0.3, confidence: 0.99, bound: 0.02 }],
    gain: { mean: 0.27, lower: 0.19, upper: 0.36, confidence: 0.99 },
  };
  return way.slice(1).flatMap((to, index): ViewChange[] => {
    const epoch = 3 + index * 2;
    const step: SeedStep = {
      sequence: index + 1,
      from: way[index]!,
      to,
      epoch,
      atMs: startMs + epoch * 1000,
      reason: say(`gate ${index} passed with room to spare`),
      gates: [{ name: "flopsLeft", value: 7e9, threshold: 3.4e5, side: "min", passed: true }],
    };
    const alphas: ViewChange[] =
      to === "GRAFTING"
        ? [0.25, 0.5, 0.75].map((alpha, at) => ({ k: "alpha", r: sceneRunId, seedId, epoch: epoch + at, alpha, drift: 0.01 }))
        : [];
    return [{ k: "step", r: sceneRunId, seedId, step, trial: index === 0 ? trial : null }, ...alphas];
  });
};

/** All changes of the scene, in the order in which they would have come. */
export const sceneChanges = ({
  layers = 6,
  seedsPerLayer = 2,
  windows = 40,
  say = (text) => text,
}: SceneOptions = {}): ViewChange[] => {
  const r = sceneRunId;
  const sites = Array.from({ length: layers }, (_, index) => (index === layers - 1 ? "output" : `h${index + 1}`));
  const seeds = sites
    .slice(0, -1)
    .flatMap((site) =>
      Array.from(
        { length: seedsPerLayer },
        (_, index) => [index === 0 ? `seed:${site}` : `seed:${site}.${index}`, site] as const,
      ),
    );
  const atMs = startMs + windows * 1000;
  const rows = Array.from({ length: windows }, (_, index): ViewChange => {
    const done = (index + 1) / windows;
    return {
      k: "row",
      r,
      row: {
        epoch: index + 1,
        trainLoss: 0.15 + 2 * Math.exp(-6 * done),
        validationLoss: index % 2 === 0 ? 0.22 + 2 * Math.exp(-5.5 * done) : null,
        validationAccuracy: index % 2 === 0 ? 0.95 - 0.8 * Math.exp(-5 * done) : null,
        gradNorm: 1,
        stepsPerSecond: 520 + 60 * Math.sin(index),
        flops: index * 1e9,
      },
    };
  });
  // Few seeds are one in each state; of many, most rest.
  const stateOf = (index: number): LifecycleState =>
    seeds.length <= 2 * lifecycleStates.length || index % 7 === 0
      ? lifecycleStates[(seeds.length <= 2 * lifecycleStates.length ? index : index / 7) % lifecycleStates.length]!
      : "DORMANT";
  const signals = Object.fromEntries(
    sites.slice(0, -1).map((site, index) => [
      site,
      {
        epoch: windows,
        explainedIn: 0.31,
        explainedOut: 0.25,
        gap: index === 1 ? 0.093 : 0.004 * index,
        gapError: 0.006,
        gapLower: index === 1 ? 0.081 : null,
        severity: index === 1 ? 3.4 : 0.2,
        health: index === 1 ? 0.29 : 0.94,
        dimensionsIn: 9,
        dimensionsOut: index === 1 ? 2 : 9,
        effectiveRank: 4.2,
        constantUnits: 0.05,
        weightGain: 1.1,
      },
    ]),
  );
  const active = seeds.find((_, index) => stateOf(index) === "GRAFTING")?.[0] ?? null;
  return [
    { k: "run", r, arm: say("grown"), atMs: startMs },
    {
      k: "host",
      r,
      host: {
        name: say("mlp"),
        hash: "0".repeat(64),
        parameters: 27_914,
        stepFlops: 5e6,
        batchSize: 64,
        layers: sites.map((site, index) => ({
          site: say(site),
          kind: index === layers - 1 ? "output" : "dense",
          inputWidth: 32,
          width: 32,
          shape: [32],
          targets: [],
        })),
      },
      seeds: seeds.map(([seedId, site]) => [seedId, site]),
    },
    ...rows,
    { k: "signals", r, signals },
    { k: "embargoes", r, until: { h3: windows + 6 } },
    ...seeds.flatMap(([seedId, site], index) => {
      const next = sites[Math.min(sites.length - 1, sites.indexOf(site) + 1)]!;
      return changesOfSeed(seedId, say(site), say(next), stateOf(index), say);
    }),
    {
      k: "header",
      r,
      atMs,
      set: {
        dataset: say("fashion-mnist"),
        engine: say("native"),
        startedAtMs: startMs,
        epochSteps: 25,
        hostSteps: 4000,
        hostStep: 25 * windows,
        epoch: windows,
        work: "graft",
        elapsedMs: windows * 1000,
        flops: 6.2e9,
        flopsMax: 1.83e10,
        parameters: 27_914,
        holds: { adaptationPaused: false, pausedSites: [say("h4")], pins: [say("h5")] },
        growth: true,
        activeSeedId: active,
      },
    },
    { k: "progress", r, progress: { epoch: windows + 1, work: say("graft"), step: 9, steps: 25, loss: 0.3 } },
    ...(["wait", "germinate", "probe", "prune", "refused"] as const).map(
      (outcome, index): ViewChange => ({
        k: "decision",
        r,
        decision: {
          id: `decision-${index}`,
          atMs: startMs + index * 3000,
          traceId: "0123456789abcdef0123456789abcdef",
          epoch: 2 + index * 3,
          by: outcome === "prune" ? "emrakul" : "tamiyo",
          rule: say("severity of a layer, 2 successive checks"),
          outcome,
          reason: say("severity 3.4 and gap 0.093 at h2 in 2 of 2 checks; bypass of 32 from the input of h2 to h3"),
          confidence: 0.91,
          forecast: {
            lossGain: 0.31,
            lossGainLower: 0.12,
            lossGainUpper: 0.52,
            trialFlops: 4.1e9,
            parameters: 2080,
            cullRisk: 0.18,
          },
          site: say("h2"),
          seedId: "seed:h2",
          fromSite: say("h2"),
          toSite: say("h3"),
          requestId: `tamiyo-${index}`,
          latencyMs: 0.4,
        },
      }),
    ),
    {
      k: "escalation",
      r,
      escalation: {
        runId: r,
        seedId: "seed:h3",
        sinceEpoch: windows - 2,
        atMs,
        reason: say("two judges keep, two cull"),
        judgements: [{ judge: "loss", vote: "keep", mean: 0.2, lower: 0.1, upper: 0.3, confidence: 0.99, bound: 0.02 }],
        windowsLeft: 6,
        otherwise: "cull",
        settled: null,
      },
    },
    {
      k: "command",
      command: {
        requestId: "tamiyo-1",
        runId: r,
        kind: "germinate",
        seedId: "seed:h2",
        target: null,
        about: say("seed:h2"),
        sender: say("tamiyo"),
        role: "controller",
        atMs: startMs + 3000,
        state: "accepted",
        code: null,
        detail: say("germinate seed:h2 at the next boundary"),
        appliesAtEpoch: 6,
        expiresAtMs: null,
        approvers: [],
      },
    },
    {
      k: "command",
      command: {
        requestId: "tamiyo-9",
        runId: r,
        kind: "germinate",
        seedId: "seed:h4",
        target: null,
        about: say("seed:h4"),
        sender: say("emrakul"),
        role: "controller",
        atMs,
        state: "held",
        code: null,
        detail: say("waits for an operator's word"),
        appliesAtEpoch: null,
        expiresAtMs: atMs + 600_000,
        approvers: [say("operator")],
      },
    },
    {
      k: "alert",
      alert: {
        id: "alert-1",
        atMs,
        severity: "warning",
        source: "run",
        text: say("the jury is split on seed:h3: somebody's word is waited for"),
        runId: r,
        epoch: windows - 2,
        seedId: "seed:h3",
      },
    },
    {
      k: "actors",
      actors: [
        "esper",
        "esper/oona",
        "esper/urza",
        "esper/control",
        "esper/control/gate",
        "esper/control/tamiyo",
        "esper/run",
      ].map((path, index) => ({
        path,
        id: say(path.split("/").at(-1) ?? path),
        kind: index === 0 || path === "esper/control" ? "supervisor" : "worker",
        strategy: index === 0 ? "rest_for_one" : null,
        status: "running",
        generation: index === 5 ? 3 : 1,
        mailboxDepth: index,
        mailboxDepthMax: 1000,
        processed: 120 * index,
        deadLetters: index === 5 ? 1 : 0,
        processingMsTotal: 14 * index,
        processingMsMax: 3.2,
      })),
    },
    { k: "breaker", breaker: { name: say("bus library.asset.get"), state: "HALF_OPEN", reason: say("5 of 5 failed"), atMs } },
    {
      k: "supervision",
      note: {
        id: "note-1",
        atMs,
        kind: "restarting",
        child: say("esper/control/tamiyo"),
        detail: say("crashed: expected a plan"),
      },
    },
    {
      k: "letter",
      letter: {
        messageId: "letter-1",
        atMs,
        principal: say("tezzeret"),
        subject: say("compilation.blueprint.submitted"),
        reason: say("expected a blueprint, got none"),
        deliveries: 5,
        state: "waiting",
      },
    },
    { k: "checkpoint", r, checkpoint: { epoch: 30, file: say("checkpoints/30") } },
    { k: "count", atMs, events: 400, unreadable: 0 },
  ];
};

export const scene = (options: SceneOptions = {}): ViewState => {
  const state = emptyView("live");
  applyChanges(state, sceneChanges(options));
  return state;
};

/** The scene as a recorded run, in the order of its windows. */
export const sceneRecorded = () => {
  const changes = sceneChanges().map((change) => [change]);
  const epochs = changes.map(([change]) =>
    change?.k === "row"
      ? change.row.epoch
      : change?.k === "step"
        ? change.step.epoch
        : change?.k === "run" || change?.k === "host"
          ? 0
          : 40,
  );
  const sorted = epochs.map((epoch, index) => ({ epoch, index })).toSorted((a, b) => a.epoch - b.epoch || a.index - b.index);
  return {
    runId: sceneRunId,
    bytes: 1000,
    live: false,
    chunk: {
      runId: sceneRunId,
      from: 0,
      next: null,
      total: changes.length,
      epochs: sorted.map(({ epoch }) => epoch),
      at: sorted.map(({ epoch }) => epoch * 1000),
      changes: sorted.map(({ index }) => changes[index]!),
    },
    checkpoints: [{ epoch: 10, file: "checkpoints/scene/10", bytes: 9 }],
  };
};
