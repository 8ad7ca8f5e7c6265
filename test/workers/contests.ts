/** Contests to compare, window by window: the same life of a run on anything that takes plans. */
import type { CompiledKernelArtifact, KernelKey } from "../../src/contracts/assets.ts";
import type { Host } from "../../src/contracts/graph.ts";
import type { BoundaryAction, EpochPlan, EpochResult, SessionSpec, SessionStatus, Work } from "../../src/contracts/plan.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { contentHash } from "../../src/graph/hash.ts";
import type { KernelArtifacts, LaneOutcome, TrainingLane } from "../../src/workers/lane.ts";
import { compileKernel } from "../../src/workers/session/forge.ts";
import { Session } from "../../src/workers/session/session.ts";
import type { TwinLane } from "../../src/workers/session/twin-lane.ts";
import type { SessionSnapshot } from "../../src/workers/session-state.ts";
import { spec as baseSpec, dataset, kernelKey, seedId, seedIds } from "./fixture.ts";

interface Carrier {
  run(plan: EpochPlan, kernels: KernelArtifacts): Promise<EpochResult>;
  status(): Promise<SessionStatus>;
  host(): Promise<Host>;
  snapshot(): Promise<SessionSnapshot>;
  restore(snapshot: SessionSnapshot, kernels: KernelArtifacts): Promise<unknown>;
  destroy(): Promise<unknown>;
}

/** What of a result two runs must share: not times, and not where a step was taken. */
export const shared = ({ durationMs: _, secondLaneSteps: __, kernel, ...result }: EpochResult): object => {
  if (kernel?.kind !== "loaded") return { ...result, kernel };
  const { loadMs: ___, dryRun, ...loaded } = kernel;
  return { ...result, kernel: { ...loaded, dryRun: dryRun && { ...dryRun, latencyMs: 0 } } };
};

/** A run with contests in it: numbers its windows, keeps its kernels and its results. */
export class Contestant {
  readonly spec: SessionSpec;
  readonly table = new SeedStateTable(seedIds.length);
  readonly kernels: Record<string, CompiledKernelArtifact> = {};
  readonly results: EpochResult[] = [];
  readonly #carrier: Carrier;

  private constructor(spec: SessionSpec, carrier: Carrier) {
    this.spec = spec;
    this.#carrier = carrier;
  }

  /** In this thread. */
  static async atHand(changes: Partial<SessionSpec> = {}, twins?: TwinLane): Promise<Contestant> {
    const spec = { ...baseSpec, ...changes };
    const engine = await createEngine(spec.engine, { threads: 1 });
    let session: Session | undefined;
    const here = (): Session => {
      if (session === undefined) throw new Error("expected an open session");
      return session;
    };
    const contestant = new Contestant(spec, {
      run: (plan, kernels) => here().run(plan, kernels),
      status: async () => here().status,
      host: async () => here().host,
      snapshot: async () => here().snapshot(),
      restore: (snapshot, kernels) => here().restore(snapshot, kernels),
      destroy: () => here().dispose(),
    });
    const ports = { engine, nowMs: () => 0, tell: () => undefined, ...(twins && { twins }) };
    session = await Session.open({ spec, dataset, table: contestant.table, seedIds }, ports);
    return contestant;
  }

  /** In a lane's thread; its session is closed with it. */
  static async inLane(lane: TrainingLane, changes: Partial<SessionSpec> = {}): Promise<Contestant> {
    const spec = { ...baseSpec, ...changes };
    const done = async <T>(asked: Promise<LaneOutcome<T>>): Promise<T> => {
      const outcome = await asked;
      if (outcome.kind === "lost") throw new Error(`expected an answer, found a lost lane: ${outcome.reason}`);
      return outcome.value;
    };
    const contestant = new Contestant(spec, {
      run: (plan, kernels) => done(lane.run(plan, kernels)),
      status: () => done(lane.status(spec.runId)),
      host: () => done(lane.host(spec.runId)),
      snapshot: () => done(lane.snapshot(spec.runId)),
      restore: (snapshot, kernels) => done(lane.restore(spec.runId, snapshot, kernels)),
      destroy: () => lane.close(spec.runId),
    });
    await done(lane.open({ spec, dataset, table: contestant.table, seedIds }));
    return contestant;
  }

  async plan(work: Work, before: BoundaryAction[] = []): Promise<EpochPlan> {
    const { epoch } = await this.#carrier.status();
    return { runId: this.spec.runId, epoch: epoch + 1, before, work, measureSignal: false };
  }

  async take(plan: EpochPlan): Promise<EpochResult> {
    const result = await this.#carrier.run(plan, this.kernels);
    this.results.push(result);
    return result;
  }

  async run(work: Work, before: BoundaryAction[] = []): Promise<EpochResult> {
    return this.take(await this.plan(work, before));
  }

  async load(changes: Partial<KernelKey> = {}): Promise<EpochResult> {
    const key = { ...(await kernelKey({ status: await this.#carrier.status() }, this.spec)), ...changes };
    const engine = await createEngine(this.spec.engine, { threads: 1 });
    const compiled = { ...key, engine: engine.name, engineVersion: engine.version };
    const { artifact } = await compileKernel(engine, compiled, await this.#carrier.host());
    const kernelHash = contentHash(artifact);
    this.kernels[kernelHash] = artifact;
    const { seedId: seed, fromSite, toSite } = key;
    return this.run({ kind: "load", seedId: seed }, [{ kind: "load_kernel", seedId: seed, kernelHash, fromSite, toSite }]);
  }

  snapshot(): Promise<SessionSnapshot> {
    return this.#carrier.snapshot();
  }

  /** Takes over where another stands. */
  async restore(other: Contestant): Promise<void> {
    Object.assign(this.kernels, other.kernels);
    await this.#carrier.restore(await other.snapshot(), this.kernels);
  }

  destroy(): Promise<unknown> {
    return this.#carrier.destroy();
  }
}

export const contest = { kind: "fine_tune" as const, seedId, steps: 20 };

/** Up to the first contest. */
export const prepare = async (run: Contestant): Promise<void> => {
  await run.run({ kind: "host", steps: 40 });
  await run.load();
  await run.run({ kind: "train_kernel", seedId, steps: 20 });
};

const host: Work = { kind: "host", steps: 15 };

/** Every way through a contest, to a host that trains on. */
export const lives: Readonly<Record<string, (run: Contestant) => Promise<unknown>>> = {
  "kept, and another contest of the grown host": async (run) => {
    await prepare(run);
    await run.run(contest);
    await run.run(host, [{ kind: "keep", seedId }]);
    const second = "seed:h1";
    await run.load({ seedId: second, fromSite: "h1", toSite: "h2" });
    await run.run({ kind: "fine_tune", seedId: second, steps: 10 });
    await run.run(host, [{ kind: "discard", seedId: second, continueFrom: "twin" }]);
  },
  "culled after a second round": async (run) => {
    await prepare(run);
    await run.run(contest);
    await run.run({ ...contest, steps: 9 });
    await run.run(host, [{ kind: "discard", seedId, continueFrom: "twin" }]);
  },
  "a pruning": async (run) => {
    const pruned = "seed:h3.prune";
    const prune = { kind: "units" as const, site: "h3", units: [1, 4], constants: [] };
    await run.run({ kind: "host", steps: 40 });
    await run.load({
      seedId: pruned,
      fromSite: "h3",
      toSite: "h3",
      request: { kind: "no-op", hiddenWidth: 1, initialization: "zero" },
      prune,
    });
    await run.run({ kind: "fine_tune", seedId: pruned, steps: 20 });
    await run.run(host, [{ kind: "keep", seedId: pruned }]);
  },
};
