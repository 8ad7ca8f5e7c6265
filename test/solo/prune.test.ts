/** Whole runs without a bus: Emrakul's proposal, or an operator's, goes through every state and ends smaller, or as if never tried. */
import { describe, expect, it } from "vitest";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { DatasetBuffers } from "../../src/contracts/dataset.ts";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import type { SessionSpec } from "../../src/contracts/plan.ts";
import { createEngine, type Engine } from "../../src/engine/engine.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { inference } from "../../src/graph/programs.ts";
import { runNumeric, toNumeric } from "../../src/graph/reference.ts";
import { runSolo, type SoloOptions, type SoloOutcome } from "../../src/solo/run-solo.ts";
import { drawn } from "../graph/numeric.ts";
import { dataset, nativeEngine, spec } from "../workers/fixture.ts";

let other: Promise<Engine> | undefined;
const cpu = (): Promise<Engine> => {
  other ??= createEngine("cpu", { threads: 1 });
  return other;
};

/** Growth is turned down, so that only prunings are tried. */
const calm = { gapMin: 1, dimensionsMax: 0, weightGainMax: 1e6 };
const config = (pruning: object): MorphogeneticConfig =>
  MorphogeneticConfig.parse({
    signal: { samples: 256, features: 16, warmupSteps: 60, everyEpochs: 1000 },
    trigger: calm,
    kernelLeadEpochs: 0,
    training: { steps: 20 },
    grafting: { steps: 10 },
    stabilization: { steps: 5, slopeMax: 10 },
    fineTuning: { steps: 40 },
    pruning: { everyEpochs: 3, ...pruning },
  });

const specFor = (pruning: object, changes: Partial<SessionSpec> = {}): SessionSpec => ({
  ...spec,
  damage: { site: "h2", kind: "dead", live: 8, layers: 1 },
  morphogenetic: config(pruning),
  schedule: "constant",
  ...changes,
});

const run = async (used: SessionSpec, more: Partial<SoloOptions> = {}, data: DatasetBuffers = dataset): Promise<SoloOutcome> => {
  let ticks = 0;
  return runSolo({
    spec: used,
    dataset: data,
    engine: await nativeEngine(),
    reference: await cpu(),
    growth: true,
    nowMs: () => ticks++,
    ...more,
  });
};

const ways = ({ transitions }: SoloOutcome): string[] => transitions.map(({ seedId, to }) => `${seedId} ${to}`);
const life = (seedId: string, ...states: string[]): string[] => states.map((state) => `${seedId} ${state}`);
const tried = ["GERMINATED", "LOADING", "GRAFTING", "STABILIZATION", "EVALUATING", "FINE_TUNING"];

const bytesOf = (parameters: SoloOutcome["parameters"]): object =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { data }]) => [
      name,
      contentHash({ bytes: Buffer.from(data.buffer).toString("base64") }),
    ]),
  );

const logitsOf = (host: Host, parameters: Readonly<Record<string, Tensor>>): Float64Array => {
  const program = inference({ host, batch: 8 });
  const feeds = program.inputs.map(({ name, shape }) => {
    const tensor = parameters[name];
    return [name, tensor === undefined ? drawn(shape, 3) : toNumeric(tensor)] as const;
  });
  return runNumeric(program, Object.fromEntries(feeds))["logits"]!.data;
};

describe("Emrakul's pruning", () => {
  let first: Promise<SoloOutcome> | undefined;
  const whole = (): Promise<SoloOutcome> => {
    first ??= run(specFor({ enabled: true }));
    return first;
  };

  it("dead units of a live host go: fewer FLOPs and parameters, and it learns as well as one that was never pruned", async () => {
    const pruned = await whole();
    const plain = await run(specFor({ enabled: false }));
    expect(plain.transitions).toEqual([]);
    const kept = life("seed:h2.prune", ...tried, "FOSSILIZED");
    expect(ways(pruned).slice(0, kept.length)).toEqual(kept);
    const decision = pruned.decisions.find(({ outcome }) => outcome === "prune");
    expect(decision).toMatchObject({ site: "h2", seedId: "seed:h2.prune", reason: expect.stringMatching(/^8 units of h2/) });
    const report = pruned.fieldReports[0]!;
    expect(report).toMatchObject({ outcome: "FOSSILIZED", prune: { kind: "units", site: "h2" } });
    expect(report).not.toHaveProperty("blueprint");
    expect(report.prune!.kind === "units" ? report.prune!.units : []).toHaveLength(8);
    expect(pruned.hostAtEnd.sites.find(({ site }) => site === "h2")!.width).toBe(8);
    expect(pruned.hostAtEnd.stepFlops).toBeLessThan(pruned.hostAtStart.stepFlops);
    expect(pruned.hostAtEnd.parameters).toBeLessThan(pruned.hostAtStart.parameters);
    expect(pruned.flops.total).toBeLessThanOrEqual(pruned.flopsMax);
    expect(pruned.test!.accuracy).toBeGreaterThan(plain.test!.accuracy - 0.05);
  });

  it("is off by default: a run that could prune and never looked is bit-equal to one that could not", async () => {
    const [off, idle] = [await run(specFor({})), await run(specFor({ enabled: true, everyEpochs: 1000 }))];
    expect(off.transitions).toEqual([]);
    expect(off.results.some((result) => "parts" in result)).toBe(false);
    expect(bytesOf(idle.parameters)).toEqual(bytesOf(off.parameters));
  });

  it("equal options give equal runs, looks and prunings included", async () => {
    const [one, two] = [await whole(), await run(specFor({ enabled: true }))];
    expect(bytesOf(one.parameters)).toEqual(bytesOf(two.parameters));
    expect(one.transitions).toEqual(two.transitions);
  });
});

describe("an operator's pruning", () => {
  /** Sends one command as soon as the host has had so many steps. */
  const operator = (command: KasminaControlCommand, steps = 100): Pick<SoloOptions, "operator"> => {
    let sent = false;
    return {
      operator: ({ hostStep }) => {
        if (sent || hostStep < steps) return undefined;
        sent = true;
        return command;
      },
    };
  };
  const prune = (site: string, units: number[], constants: number[] = []): KasminaControlCommand => ({
    kind: "germinate",
    requestId: "operator-1",
    seedId: `seed:${site}.prune`,
    prune: { kind: "units", site, units, constants },
    reason: "asked by the test",
  });
  const onCommand = { enabled: true, everyEpochs: 1000 };
  /** The trial cost FLOPs, so it left fewer for host steps; as many steps of a host alone give the same host. */
  const expectNeverTried = async (tried: SoloOutcome, used: SessionSpec): Promise<void> => {
    const alone = await run({ ...used, flopsMax: tried.hostSteps * tried.hostAtEnd.stepFlops }, { growth: false });
    expect(alone.hostSteps).toBe(tried.hostSteps);
    expect(bytesOf(tried.parameters)).toEqual(bytesOf(alone.parameters));
  };

  it("useful units stay: the screen refuses, and from then on the run is as if it had never tried", async () => {
    const { damage: _damage, ...healthy } = specFor(onCommand);
    const tries = await run(healthy, operator(prune("h1", [0, 1, 2, 3, 4, 5, 6, 7])));
    const never = await run(healthy);
    expect(ways(tries).slice(0, 6)).toEqual(life("seed:h1.prune", ...tried.slice(0, 5), "CULLED"));
    const culled = tries.transitions.find(({ to }) => to === "CULLED")!;
    expect(culled.reason).toMatch(/^screen \(without the parts against with\): the smaller host may lose .* at most 1 %/);
    expect(tries.hostAtEnd.hash).toBe(never.hostAtEnd.hash);
    await expectNeverTried(tries, healthy);
  });

  it.each(["LOADING", "EVALUATING", "FINE_TUNING"])(
    "culled by order in %s, the run goes on as if it had never tried",
    async (state) => {
      const { damage: _damage, ...healthy } = specFor({ ...onCommand, lossMax: 1 });
      const first = operator(prune("h1", [0])).operator!;
      let [reached, done] = [false, false];
      const tries = await run(healthy, {
        onTransition: ({ to }) => {
          reached ||= to === state;
        },
        operator: (at) => {
          if (!reached || done) return first(at);
          done = true;
          return { kind: "cull", requestId: "operator-2", seedId: "seed:h1.prune", reason: "seen enough" };
        },
      });
      expect(tries.transitions.find(({ to }) => to === "CULLED")?.reason).toBe("seen enough");
      await expectNeverTried(tries, healthy);
    },
  );

  it("a kept bypass that nobody needs any more goes, and the host has its old shape", async () => {
    const grow: KasminaControlCommand = {
      kind: "germinate",
      requestId: "operator-1",
      seedId: "seed:h2",
      toSite: "h3",
      blueprint: { kind: "dense", hiddenWidth: 16, initialization: "zero" },
      reason: "asked by the test",
    };
    let step = 0;
    const used = specFor(
      { ...onCommand, lossMax: 1 },
      { damage: { site: "h2", kind: "dead", live: 1, layers: 1 }, hostSteps: 700 },
    );
    // Gates that let the bypass in: this is about how it goes.
    const { training, evaluation, fineTuning, jury } = used.morphogenetic;
    const open = {
      training: { ...training, steps: 40, confidence: 0.5 },
      evaluation: { ...evaluation, confidence: 0.5 },
      fineTuning: { ...fineTuning, gainMin: 0, confidence: 0.5 },
      jury: { ...jury, weights: { loss: 3, accuracy: 0, calibration: 0, cost: 0 } },
    };
    let kept = false;
    const result = await run(
      { ...used, morphogenetic: { ...used.morphogenetic, ...open } },
      {
        onTransition: ({ to }) => {
          kept ||= to === "FOSSILIZED";
        },
        operator: ({ hostStep }) => {
          if (step === 0 && hostStep >= 100) {
            step = 1;
            return grow;
          }
          if (step === 1 && kept) {
            step = 2;
            return {
              kind: "germinate",
              requestId: "operator-2",
              seedId: "seed:h2.prune",
              prune: { kind: "bypass", site: "h2", seedId: "seed:h2" },
              reason: "asked by the test",
            };
          }
          return undefined;
        },
      },
    );
    expect(ways(result)).toContain("seed:h2 FOSSILIZED");
    expect(ways(result)).toContain("seed:h2.prune FOSSILIZED");
    expect(result.hostAtEnd.hash).toBe(result.hostAtStart.hash);
    expect(logitsOf(result.host, result.parameters).every(Number.isFinite)).toBe(true);
  });
});
