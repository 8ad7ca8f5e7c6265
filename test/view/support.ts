/** Envelopes of the events that the view reads, and arbitrary changes of it. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { lifecycleStates } from "../../src/contracts/lifecycle.ts";
import type { SubjectName } from "../../src/contracts/subjects.ts";
import type { ViewChange, ViewState } from "../../src/contracts/view.ts";
import { applyChanges, emptyView } from "../../src/view/reduce.ts";

export const goldenNames = ["culled", "escalated", "fossilized", "rolled-back", "rolled-back-by-order"] as const;

let made = 0;
export const envelope = (subject: SubjectName | "log.cut", payload: unknown, id?: string): Envelope => {
  made += 1;
  return {
    id: id ?? `e${made}`,
    subject,
    sender: "test",
    sentAtMs: 1_000_000 + made,
    traceId: "0".repeat(32),
    schemaVersion: 1,
    payload,
  };
};

/** A golden history as the messages that it was written from. */
export const goldenEvents = (name: (typeof goldenNames)[number]): Envelope[] =>
  readFileSync(new URL(`../golden/${name}.jsonl`, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => {
      const { kind, ...rest } = JSON.parse(line) as { kind: string; escalation?: unknown };
      if (kind === "transition") return [envelope("system.events.seed", rest)];
      if (kind === "escalation") return [envelope("system.events.escalation", rest.escalation)];
      return kind === "fieldReport" ? [envelope("innovation.field_reports", rest)] : [];
    });

export const hostOf = (layers: number): Record<string, unknown> => {
  const names = [...Array.from({ length: layers }, (_, index) => `h${index + 1}`), "output"];
  return {
    name: "mlp",
    hash: "f".repeat(64),
    parameters: 1000,
    batchSize: 32,
    stepFlops: 1000,
    forwardFlops: 300,
    sites: names.map((site, index) => ({
      site,
      kind: site === "output" ? "output" : "dense",
      inputWidth: 8,
      width: 8,
      inputShape: [8],
      shape: [8],
      slopeFlops: 10,
      legalTargets: names.slice(index + 1),
    })),
  };
};

export const started = (runId: string, layers: number, more: Record<string, unknown> = {}): Envelope =>
  envelope("system.events.run", {
    kind: "started",
    runId,
    arm: "grown",
    dataset: "mnist",
    engine: "native",
    host: hostOf(layers),
    flopsMax: 1e9,
    epochSteps: 10,
    hostSteps: 1000,
    ...more,
  });

const zeroFlops = { host: 0, kernel: 0, trial: 0, signal: 0, gate: 0, total: 0, monitoring: 0 };

export const layerSignal = (site: string, gap = 0.01): Record<string, unknown> => ({
  site,
  explainedIn: 0.5,
  explainedOut: 0.5 - gap,
  gap,
  gapError: 0.001,
  dimensionsIn: 8,
  dimensionsOut: 8,
});

export const windowOf = (runId: string, epoch: number, more: Record<string, unknown> = {}): Envelope =>
  envelope("system.events.epoch", {
    runId,
    arm: "grown",
    flopsMax: 1_000_000_000,
    elapsedMs: 100 * epoch,
    result: {
      runId,
      epoch,
      work: "host",
      interrupted: false,
      budgetUsed: false,
      steps: 10,
      hostStep: 10 * epoch,
      durationMs: 50,
      trainLoss: 1 / epoch,
      validation: { loss: 1.1 / epoch, accuracy: 1 - 1 / (epoch + 1), samples: 100 },
      flops: { ...zeroFlops, host: 1000 * epoch, total: 1000 * epoch },
      parameters: 1000,
      anomalies: [],
      tensorBytes: 0,
      ...more,
    },
  });

const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value);
const epoch = fc.integer({ min: 1, max: 12 });
const seedId = fc.constantFrom("seed:a", "seed:b", "seed:c");
const number = fc.integer({ min: 0, max: 9 });
const r = fc.constantFrom("r1", "r2");

/** Changes of few runs and seeds, so that they meet. Only what coalescing looks at is varied. */
export const anyChange: fc.Arbitrary<ViewChange> = fc.oneof(
  fc.record({ k: fc.constant("run" as const), r, arm: fc.constantFrom("grown", "healthy"), atMs: number }),
  fc.record({
    k: fc.constant("header" as const),
    r,
    atMs: number,
    set: fc.oneof(fc.record({ epoch }), fc.record({ activeSeedId: some(seedId) }), fc.record({ paused: fc.boolean() })),
  }),
  fc.record({
    k: fc.constant("row" as const),
    r,
    row: fc.record({
      epoch,
      trainLoss: some(number),
      validationLoss: some(number),
      validationAccuracy: some(number),
      gradNorm: some(number),
      stepsPerSecond: some(number),
      flops: some(number),
    }),
  }),
  fc.record({
    k: fc.constant("progress" as const),
    r,
    progress: fc.record({ epoch, work: fc.constant("host"), step: number, steps: number, loss: number }),
  }),
  fc.record({ k: fc.constant("embargoes" as const), r, until: fc.dictionary(fc.constantFrom("a", "b"), epoch) }),
  fc.record({
    k: fc.constant("step" as const),
    r,
    seedId,
    step: fc.record({
      sequence: fc.integer({ min: 1, max: 12 }),
      from: fc.constantFrom(...lifecycleStates),
      to: fc.constantFrom(...lifecycleStates),
      epoch,
      atMs: number,
      reason: fc.string({ maxLength: 3 }),
      gates: fc.constant([]),
    }),
    trial: some(fc.record({ fromSite: fc.constant("a"), toSite: fc.constantFrom("b", "c"), parameters: number })),
  }),
  fc.record({
    k: fc.constant("trial" as const),
    r,
    seedId,
    set: fc.oneof(
      fc.record({ parameters: number }),
      fc.record({ toSite: fc.constantFrom("b", "c") }),
      fc.record({ drift: number }),
    ),
  }),
  fc.record({ k: fc.constant("alpha" as const), r, seedId, epoch, alpha: number, drift: some(number) }),
  fc.record({
    k: fc.constant("breaker" as const),
    breaker: fc.record({
      name: fc.constantFrom("x", "y", "z"),
      state: fc.constantFrom("OPEN" as const, "CLOSED" as const),
      reason: fc.string({ maxLength: 2 }),
      atMs: number,
    }),
  }),
  fc.record({
    k: fc.constant("breakers" as const),
    breakers: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom("x", "y", "z"),
        state: fc.constantFrom("OPEN" as const, "CLOSED" as const),
        calls: number,
        failed: number,
        rejected: number,
        p99Ms: some(number),
      }),
      { selector: ({ name }) => name, maxLength: 3 },
    ),
  }),
  fc.record({ k: fc.constant("count" as const), atMs: number, events: number, unreadable: number }),
);

export const viewOf = (changes: Iterable<ViewChange>): ViewState => {
  const state = emptyView("live");
  applyChanges(state, changes);
  return state;
};
