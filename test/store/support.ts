/** Small valid assets, envelopes and records for the tests of the stores. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { BlueprintIR, CompiledKernelArtifact, FieldReport, HostAsset, KernelKey } from "../../src/contracts/assets.ts";
import type { KernelTags } from "../../src/contracts/characterization.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import type { Graph } from "../../src/contracts/graph.ts";
import type { LifecycleState, SeedTransition } from "../../src/contracts/lifecycle.ts";
import type { EpochPlan } from "../../src/contracts/plan.ts";
import { type Log, silentLog } from "../../src/contracts/ports.ts";
import { type Artifacts, openArtifacts, reindexArtifacts } from "../../src/node/artifacts.ts";
import { type Database, type DatabaseOptions, openDatabase } from "../../src/store/database.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import type { FileSystem } from "../../src/store/file-system.ts";
import { createLedger, type Ledger, type LedgerOptions } from "../../src/store/ledger.ts";
import { keyRing, ledgerSigner } from "../../src/store/ledger-signature.ts";
import { migrations } from "../../src/store/migrations.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { createSimulatedClock, type SimulatedClock } from "../support/clock.ts";

/** A folder of its own, removed when the test ends. */
export const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "esper-store-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

export const temporaryDatabase = (
  file = join(temporaryFolder(), "esper.db"),
  over: Pick<DatabaseOptions, "nextTurn"> = {},
): Database => {
  const database = openDatabase({ file, migrations, busyTimeoutMs: 20, ...over });
  onTestFinished(() => database.close());
  return database;
};

/** One key for all tests of a file. */
export const testKey = generateSigningKey();
export const testSigner = ledgerSigner(testKey);
export const testRing = keyRing(testSigner.fingerprint);

/** A ledger whose heads stay in the database. */
export const testLedger = (database: Database, over: Partial<LedgerOptions> = {}): Ledger =>
  createLedger({
    database,
    signer: testSigner,
    clock: { nowMs: () => 1_700_000_000_000 },
    headEntriesMax: 256,
    onHead: () => undefined,
    ...over,
  });

/** Library, checkpoints and index of a data directory on a disk. */
export interface TestArtifacts extends Artifacts {
  readonly clock: SimulatedClock;
}

export interface TestArtifactsOptions {
  readonly fileSystem: FileSystem;
  readonly database: Database;
  readonly dataDir?: string;
  readonly clock?: SimulatedClock;
  readonly signer?: typeof testSigner;
  readonly log?: Log;
  /** `services.artifacts`. */
  readonly artifacts?: { readonly indexEntriesMax?: number; readonly indexExpiryMs?: number; readonly trustedKeys?: string[] };
  readonly checkpointBytesMax?: number;
}

const artifactsOptions = (options: TestArtifactsOptions) => {
  const { clock = createSimulatedClock({ startMs: 1_700_000_000_000 }), dataDir = "/data", signer = testSigner } = options;
  const { services, checkpoint } = EsperConfig.parse({
    services: { artifacts: options.artifacts ?? {}, assetBytesMax: 100_000 },
    checkpoint: { bytesMax: options.checkpointBytesMax ?? 10_000 },
  });
  const { fileSystem, database, log = silentLog } = options;
  const paths = dataPaths(dataDir);
  const ledger = testLedger(database, { signer });
  return { fileSystem, database, paths, signer, ledger, clock, toolchain: "esper test", log, services, checkpoint };
};

export const testArtifacts = async (options: TestArtifactsOptions): Promise<TestArtifacts> => {
  const whole = artifactsOptions(options);
  return { ...(await openArtifacts(whole)), clock: whole.clock };
};

export const testReindex = (options: TestArtifactsOptions) => reindexArtifacts(artifactsOptions(options));

export const hashOf = (digit: string): string => digit.repeat(64);

const graph: Graph = {
  inputs: [{ name: "in", dtype: "float32", shape: [-1, 2] }],
  parameters: [],
  nodes: [{ id: "out", op: "relu", inputs: ["in"], attributes: {} }],
  outputs: [{ name: "out", value: "out" }],
};

export const blueprint = (name = "bypass"): BlueprintIR => ({
  schemaVersion: 1,
  name,
  request: { kind: "dense", hiddenWidth: 4, initialization: "zero" },
  graph,
});
export const host: HostAsset = {
  schemaVersion: 1,
  host: { name: "mlp", graph, layers: [], task: "classification", rows: 1, classes: 2 },
};
export const kernelKey = (seedId = "seed:h1"): KernelKey => ({
  hostHash: hashOf("a"),
  request: { kind: "dense", hiddenWidth: 4, initialization: "zero" },
  seedId,
  fromSite: "h1",
  toSite: "h2",
  engine: "native",
  engineVersion: "1",
  optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0, clipNorm: 0 },
  batchSize: 8,
  signalSamples: 64,
  signalFeatures: 8,
});
export const kernel = (over: Partial<CompiledKernelArtifact> = {}): CompiledKernelArtifact => ({
  schemaVersion: 1,
  key: kernelKey(),
  blueprintHash: hashOf("b"),
  foldedHost: host.host,
  parameters: 3,
  programs: Object.fromEntries(
    ["kernelStep", "jointStep", "grownEvaluate", "foldedEvaluate", "foldedSignal", "foldedSpans"].map((name) => [
      name,
      { bytes: "AAAA", flops: 5 },
    ]),
  ) as CompiledKernelArtifact["programs"],
  ...over,
});

export const fieldReport = (runId = "r-1", reason = "lost"): FieldReport => ({
  runId,
  seedId: "seed:h1",
  site: "h1",
  fromSite: "h1",
  toSite: "h2",
  outcome: "CULLED",
  reason,
  history: [],
  trialFlops: 7,
});

export const transition = (
  sequence: number,
  from: LifecycleState,
  to: LifecycleState,
  over: Partial<SeedTransition> = {},
): SeedTransition => ({
  runId: "r-1",
  seedId: "seed:h1",
  sequence,
  from,
  to,
  epoch: sequence,
  reason: "because",
  evidence: { gain: 0.5 },
  ...over,
});

export const plan = (epoch: number, runId = "r-1"): EpochPlan => ({
  runId,
  epoch,
  before: [],
  work: { kind: "host", steps: 10 },
  measureSignal: true,
});

export const envelope = (id: string, payload: unknown = { text: "x" }, subject = "system.events.epoch"): Envelope => ({
  id,
  subject,
  sender: "kasmina",
  sentAtMs: 1_700_000_000_000,
  traceId: "0123456789abcdef0123456789abcdef",
  schemaVersion: 1,
  payload,
});

const latency = { medianMs: 1, p99Ms: 2, runs: 20 };
export const tags = (over: Partial<KernelTags> = {}): KernelTags => ({
  kernelHash: hashOf("d"),
  machine: "here",
  engine: "native",
  hostHash: hashOf("a"),
  blueprint: { kind: "dense", hiddenWidth: 4, initialization: "zero" },
  tags: ["fast", "stable"],
  measured: {
    latency: { kernelStep: latency, grownEvaluate: latency, hostStep: latency, hostEvaluate: latency },
    flops: { kernelStep: 5, grownEvaluate: 5, hostStep: 5, hostEvaluate: 5 },
    memoryBytes: 10,
    parameters: 3,
    drift: { engine: "wasm", maxAbsolute: 0, relative: 0 },
    deadShare: 0,
    firstStepSpike: 0,
    stability: { steps: 50, finite: true, lossRatio: 1 },
  },
  ...over,
});
