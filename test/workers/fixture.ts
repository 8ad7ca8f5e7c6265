/** A small problem for sessions: 8 × 8 images of four classes, an MLP 64-16-16-16-4, everything drawn from fixed seeds. */
import type { CompiledKernelArtifact, KernelKey } from "../../src/contracts/assets.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import type { DatasetBuffers } from "../../src/contracts/dataset.ts";
import type { BoundaryAction, EpochPlan, EpochResult, SessionSpec, Work } from "../../src/contracts/plan.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { contentHash } from "../../src/graph/hash.ts";
import { compileKernel } from "../../src/workers/session/forge.ts";
import { Session } from "../../src/workers/session/session.ts";
import type { TwinLane } from "../../src/workers/session/twin-lane.ts";
import { patterns } from "../support/patterns.ts";

export const dataset = patterns();

const config = EsperConfig.parse({
  optimization: { optimizer: { kind: "adam", learningRate: 0.003 } },
  morphogenetic: { training: { steps: 30 }, signal: { samples: 256, features: 16 }, trigger: { gapMin: 0.03 } },
});

export const spec: SessionSpec = {
  runId: "r-test",
  model: { name: "mlp", widths: [16, 16, 16], activation: "relu" },
  optimizer: config.optimization.optimizer,
  schedule: "cosine",
  warmupSteps: 5,
  batchSize: 32,
  randomSeed: 11,
  damage: { site: "h2", kind: "dead", live: 1, layers: 1 },
  engine: "native",
  threads: 1,
  hostSteps: 400,
  epochSteps: 20,
  morphogenetic: config.morphogenetic,
  governor: config.governor,
  progressHz: 50,
};

let shared: Promise<Engine> | undefined;
/** One engine for all tests of a file. */
export const nativeEngine = (): Promise<Engine> => {
  shared ??= createEngine("native", { threads: 1 });
  return shared;
};

export const seedIds = ["seed:h1", "seed:h2", "seed:h3"];
export const seedId = "seed:h2";
export const span = { fromSite: "h2", toSite: "h3" };

/** A session driven by hand: numbers its windows and keeps the kernels. */
export class Driver {
  readonly session: Session;
  readonly table: SeedStateTable;
  readonly kernels: Record<string, CompiledKernelArtifact> = {};
  readonly spec: SessionSpec;

  private constructor(session: Session, table: SeedStateTable, usedSpec: SessionSpec) {
    this.session = session;
    this.table = table;
    this.spec = usedSpec;
  }

  static async open(
    changes: Partial<SessionSpec> = {},
    data: DatasetBuffers = dataset,
    engine?: Engine,
    twins?: TwinLane,
  ): Promise<Driver> {
    const used = { ...spec, ...changes };
    const table = new SeedStateTable(seedIds.length);
    let ticks = 0;
    const ports = {
      engine: engine ?? (await nativeEngine()),
      nowMs: () => ticks++,
      tell: () => undefined,
      ...(twins && { twins }),
    };
    return new Driver(await Session.open({ spec: used, dataset: data, table, seedIds }, ports), table, used);
  }

  plan(work: Work, before: BoundaryAction[] = [], measureSignal = false): EpochPlan {
    return { runId: this.spec.runId, epoch: this.session.status.epoch + 1, before, work, measureSignal };
  }

  run(work: Work, before: BoundaryAction[] = [], measureSignal = false): Promise<EpochResult> {
    return this.session.run(this.plan(work, before, measureSignal), this.kernels);
  }

  host(steps = 20, before: BoundaryAction[] = [], measureSignal = false): Promise<EpochResult> {
    return this.run({ kind: "host", steps }, before, measureSignal);
  }

  async compile(): Promise<string> {
    const { artifact } = await compileKernel(await nativeEngine(), await kernelKey(this.session, this.spec), this.session.host);
    const hash = contentHash(artifact);
    this.kernels[hash] = artifact;
    return hash;
  }

  async load(): Promise<EpochResult> {
    const kernelHash = await this.compile();
    return this.run({ kind: "load", seedId }, [{ kind: "load_kernel", seedId, kernelHash, ...span }]);
  }

  /** Works of a trial in order, up to and including the named one. */
  async trial(until: Work["kind"]): Promise<EpochResult> {
    const works: Work[] = [
      { kind: "train_kernel", seedId, steps: 30 },
      { kind: "graft", seedId, steps: 10, progressFrom: 0, progressTo: 0.5 },
      { kind: "graft", seedId, steps: 10, progressFrom: 0.5, progressTo: 1 },
      { kind: "stabilize", seedId, steps: 5 },
      { kind: "evaluate", seedId },
      { kind: "fine_tune", seedId, steps: 20 },
    ];
    let result = await this.load();
    const last = works.findLastIndex(({ kind }) => kind === until);
    for (const work of works.slice(0, last + 1)) result = await this.run(work);
    return result;
  }

  discard(continueFrom: "host" | "twin"): BoundaryAction {
    return { kind: "discard", seedId, continueFrom };
  }
}

export const kernelKey = async (
  session: { readonly status: Session["status"] },
  used: SessionSpec = spec,
): Promise<KernelKey> => {
  const engine = await nativeEngine();
  return {
    hostHash: session.status.host.hash,
    request: { kind: "dense", hiddenWidth: 16, initialization: "zero" },
    seedId,
    ...span,
    engine: engine.name,
    engineVersion: engine.version,
    optimizer: used.optimizer,
    batchSize: used.batchSize,
    signalSamples: used.morphogenetic.signal.samples,
    signalFeatures: used.morphogenetic.signal.features,
  };
};

/** Everything that a host goes on from, bit for bit: tensors as hexadecimal, and the learner's state. */
export const fingerprint = (session: Session): object => {
  const { state, tensors } = session.snapshot();
  const host = Object.entries(tensors).filter(([name]) => name.startsWith("host/"));
  return {
    learner: state.learner,
    tensors: Object.fromEntries(
      host.map(([name, { data }]) => [name, contentHash({ bytes: Buffer.from(data.buffer).toString("base64") })]),
    ),
  };
};
