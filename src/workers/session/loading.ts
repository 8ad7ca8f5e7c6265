/** How a kernel comes into trial: gate 1, loading or a hit in the cache, first parameters, gate 2. */
import { ContractError, describeError } from "../../contracts/errors.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { KernelMeasurement } from "../../contracts/measure.ts";
import type { BoundaryAction, EpochResult } from "../../contracts/plan.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { pruneTarget } from "../../graph/prune.ts";
import { alphaInput } from "../../graph/rewrite.ts";
import type { KernelArtifacts, OpenRequest } from "../lane.ts";
import type { LearnerState, TrialState } from "../session-state.ts";
import { dryRun, dryRunFlops } from "./dry-run.ts";
import { broughtParameters, startParameters } from "./grow.ts";
import type { HostTraining } from "./host-training.ts";
import { KernelFailure } from "./kernel-failure.ts";
import type { KernelExpectation, LoadedKernel } from "./kernels.ts";
import { KernelCache, loadKernel, misfits, staticProblems } from "./kernels.ts";
import type { Learner, TensorMap } from "./learner.ts";
import { scalar, startCursor } from "./learner.ts";
import type { SessionPorts } from "./ports.ts";
import { tinyStart } from "./tiny-start.ts";
import { Trial } from "./trial.ts";

type LoadAction = Extract<BoundaryAction, { kind: "load_kernel" }>;

const problemsMax = 16;

export interface KernelDock {
  /** The trial is absent when gate 1 failed or the kernel could not be loaded; `staticProblems` says why. */
  load(
    action: LoadAction,
    epoch: number,
    host: HostTraining,
    kernels: KernelArtifacts,
  ): Promise<{ readonly trial: Trial | undefined; readonly measurement: KernelMeasurement }>;
  restore(
    saved: TrialState,
    groups: Readonly<Record<"kernel" | "grown" | "twin", TensorMap>>,
    host: HostTraining,
    kernels: KernelArtifacts,
  ): Promise<Trial>;
  acquire(hash: string, kernels: KernelArtifacts): Promise<{ readonly kernel: LoadedKernel; readonly cached: boolean }>;
  release(kernel: LoadedKernel): void;
  /** Brings a kernel into the cache without a trial; why it could not be is told. */
  cache(hash: string, host: HostTraining, kernels: KernelArtifacts): Promise<CachedKernel>;
  evict(hash: string): void;
  dispose(): Promise<void>;
}

export type CachedKernel = NonNullable<EpochResult["cached"]>[number];

const shortHash = (hash: string): string => hash.slice(0, 12);

const notHanded = (hash: string): string =>
  `kernel ${shortHash(hash)}: expected its artifact beside the plan, found none; it was withdrawn, or is not in the library`;

/** An artifact that was not handed over is told by `acquire`. */
const artifactProblems = (artifact: unknown, expected: KernelExpectation): string[] =>
  artifact === undefined ? [] : staticProblems(artifact, expected);

/** @param growth Only forked, by seed and window: a kernel's draws do not depend on what came before it. */
export const createKernelDock = (
  { spec, dataset }: OpenRequest,
  { engine, nowMs, twins }: SessionPorts,
  growth: RandomSource,
): KernelDock => {
  const cache = new KernelCache(spec.morphogenetic.kernelCacheBytesMax);

  const expectation = (action: LoadAction, host: HostTraining): KernelExpectation => ({
    host: host.set.host,
    seedId: action.seedId,
    fromSite: action.fromSite,
    toSite: action.toSite,
    engine: engine.name,
    engineVersion: engine.version,
    optimizer: spec.optimizer,
    batchSize: spec.batchSize,
    signalSamples: spec.morphogenetic.signal.samples,
    signalFeatures: spec.morphogenetic.signal.features,
  });

  const acquire: KernelDock["acquire"] = (hash, kernels) =>
    cache.acquire(hash, () => {
      const artifact = kernels[hash];
      if (artifact !== undefined) return loadKernel(engine, hash, artifact);
      throw new ContractError(
        `kernel ${hash.slice(0, 12)}: expected its artifact beside the plan, found none; fetch it from the library`,
      );
    });

  const openTrial = (kernel: LoadedKernel, learner: Learner, host: HostTraining): Trial =>
    new Trial({ kernel, learner, host, dataset, ledger: host.ledger, config: spec.morphogenetic, twins });

  /** First parameters of a kernel; absent where TINY's could not be measured. */
  const firstParameters = async (
    kernel: LoadedKernel,
    stream: RandomSource,
    host: HostTraining,
    state: LearnerState,
  ): Promise<Map<string, Tensor> | undefined> => {
    const { key } = kernel;
    const drawn = startParameters(
      key,
      host.set.host,
      broughtParameters(key, host.set.host),
      stream.fork("parameters"),
      host.learner.tensors,
    );
    if (key.prune !== undefined || key.request.initialization !== "tiny") return drawn;
    const cursor = startCursor(dataset, spec.batchSize, stream.fork("moments"));
    const { blueprint, signal } = spec.morphogenetic;
    const learner = host.learnerOf(kernel.programs.kernelStep, drawn, { ...state, cursor });
    const sources = { engine, kernel, host: host.set.host, learner, hostTensors: host.learner.tensors, ledger: host.ledger };
    return tinyStart({ ...sources, batches: blueprint.tinyBatches, ridge: signal.ridge }, drawn);
  };

  const freshTrial = async (
    kernel: LoadedKernel,
    { seedId }: LoadAction,
    epoch: number,
    host: HostTraining,
  ): Promise<Trial | undefined> => {
    const stream = growth.fork(`kernel:${seedId}:${epoch}`);
    const state = {
      cohortSteps: {},
      cursor: startCursor(dataset, spec.batchSize, stream.fork("batches")),
      random: [...stream.fork("dropout").state()],
      hostStep: host.learner.hostStep,
    };
    const parameters = await firstParameters(kernel, stream, host, state);
    return parameters && openTrial(kernel, host.learnerOf(kernel.programs.kernelStep, parameters, state), host);
  };

  /** A trial whose kernel could not be started is none; `problems` says why. */
  const startTrial = async (
    kernel: LoadedKernel,
    action: LoadAction,
    epoch: number,
    host: HostTraining,
    problems: string[],
  ): Promise<Trial | undefined> => {
    const { prune, request } = kernel.key;
    if (request.kind === "replacement" && spec.morphogenetic.base === "frozen") {
      problems.push("kernel replacement: expected a base that learns, found a frozen one; grow a bypass instead");
      return undefined;
    }
    const pruning = prune && pruneTarget(host.set.host, host.learner.tensors, prune);
    if (pruning?.kind === "refused") {
      problems.push(`kernel prune: ${pruning.reason}`);
      return undefined;
    }
    try {
      const trial = await freshTrial(kernel, action, epoch, host);
      if (trial === undefined) {
        problems.push(
          "kernel start: expected finite moments and FLOPs left to measure them for TINY, found none; start it with zero or lower blueprint.tinyBatches",
        );
      }
      return trial;
    } catch (error) {
      if (!(error instanceof KernelFailure)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };

  const gateTwo = async (trial: Trial, host: HostTraining, problems: string[]) => {
    const flops = dryRunFlops(trial.kernel);
    if (!host.ledger.fits(flops)) return {};
    host.ledger.charge("gate", flops);
    const frozen = { ...Object.fromEntries(host.learner.tensors), [alphaInput(trial.seedId)]: scalar(1) };
    try {
      return { dryRun: await dryRun(trial.kernel, trial.learner, frozen, host.set.host.classes, nowMs) };
    } catch (error) {
      // The kernel is at fault: gate 1 says so and the host goes on.
      if (!(error instanceof KernelFailure)) throw error;
      problems.push(error.message);
      return {};
    }
  };

  const bytesMax = spec.morphogenetic.kernelCacheBytesMax;

  return {
    acquire,
    release: (kernel) => cache.release(kernel),
    evict: (hash) => void cache.evict(hash),
    dispose: () => cache.clear(),
    cache: async (hash, host, kernels) => {
      const startMs = nowMs();
      const told = (problems: readonly string[]): CachedKernel => ({
        kernelHash: hash,
        problems: problems.slice(0, problemsMax),
        loadMs: Math.max(0, nowMs() - startMs),
      });
      const artifact = kernels[hash];
      if (artifact === undefined) return told([notHanded(hash)]);
      const { seedId, fromSite, toSite } = artifact.key;
      const problems = staticProblems(
        artifact,
        expectation({ kind: "load_kernel", kernelHash: hash, seedId, fromSite, toSite }, host),
      );
      if (problems.length > 0) return told(problems);
      try {
        const { kernel } = await acquire(hash, kernels);
        cache.release(kernel);
        if (kernel.bytes > bytesMax)
          return told([
            `kernel ${shortHash(hash)}: expected at most ${bytesMax} bytes (kernelCacheBytesMax), found ${kernel.bytes}`,
          ]);
        return told([]);
      } catch (error) {
        return told([describeError(error)]);
      }
    },
    load: async (action, epoch, host, kernels) => {
      const startMs = nowMs();
      const [known, artifact] = [cache.peek(action.kernelHash), kernels[action.kernelHash]];
      const expected = expectation(action, host);
      const problems = known === undefined ? artifactProblems(artifact, expected) : misfits(known, expected);
      let loaded: Awaited<ReturnType<typeof acquire>> | undefined;
      try {
        if (problems.length === 0) loaded = await acquire(action.kernelHash, kernels);
      } catch (error) {
        problems.push(describeError(error));
      }
      const loadMs = Math.max(0, nowMs() - startMs);
      const trial = loaded && (await startTrial(loaded.kernel, action, epoch, host, problems));
      if (loaded !== undefined && trial === undefined) cache.release(loaded.kernel);
      const measurement: KernelMeasurement = {
        kind: "loaded",
        kernelHash: action.kernelHash,
        parameters: loaded?.kernel.parameters ?? 0,
        staticProblems: problems,
        ...(trial === undefined ? {} : await gateTwo(trial, host, problems)),
        loadMs,
        cached: loaded?.cached ?? false,
      };
      return { trial, measurement };
    },
    restore: async (saved, groups, host, kernels) => {
      const { kernel } = await acquire(saved.kernelHash, kernels);
      const trial = openTrial(kernel, host.learnerOf(kernel.programs.kernelStep, groups.kernel, saved.kernel), host);
      trial.alpha = saved.alpha;
      trial.trainingGradNorm = saved.trainingGradNorm;
      if (saved.contest !== undefined) {
        trial.restoreContest(saved.contest, (name, executable, state) => host.learnerOf(executable, groups[name], state));
      }
      return trial;
    },
  };
};
