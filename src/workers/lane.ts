/**
 * What the main thread sees of the worker threads: a training lane holds sessions, a forge lane compiles kernels.
 *
 * L1 A call answers with `done`, or with `lost` when its thread died: then every session of that lane is gone, the next
 *    `open` starts a fresh thread, and `restore` continues from a checkpoint. Any other failure is a typed EsperError.
 * L2 Calls on one lane run in the order in which they are made.
 * L3 `SeedStateTable.stopRequested` ends a window after the step that is under way. The window stays open: the same plan,
 *    run again, continues it, also after `snapshot` and `restore`, bit for bit.
 * L4 Nothing a lane returns shares memory with the session, the seed-state table apart.
 */
import type { BlueprintIR, CompiledKernelArtifact, KernelKey } from "../contracts/assets.ts";
import type { KernelCharacterization } from "../contracts/characterization.ts";
import type { ValidationConfig } from "../contracts/config-validation.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import type { Host, Tensor } from "../contracts/graph.ts";
import type { Validation } from "../contracts/measure.ts";
import type { EpochPlan, EpochResult, LaneProgress, SessionSpec, SessionStatus } from "../contracts/plan.ts";
import type { SeedStateTable } from "../contracts/seed-state.ts";
import type { SessionSnapshot } from "./session-state.ts";

export type LaneOutcome<T> = { readonly kind: "done"; readonly value: T } | { readonly kind: "lost"; readonly reason: string };

/** Kernels by the SHA-256 of their canonical JSON. The caller has verified the hash. */
export type KernelArtifacts = Readonly<Record<string, CompiledKernelArtifact>>;

/** A host that is not built from the configuration: one of the user's own, or one taken from a checkpoint. */
export interface ImportedHost {
  readonly host: Host;
  /** Every parameter of its graph. */
  readonly parameters: Readonly<Record<string, Tensor>>;
}

export interface OpenRequest {
  readonly spec: SessionSpec;
  /** Present when `spec.model` names a file. */
  readonly imported?: ImportedHost;
  readonly dataset: DatasetBuffers;
  /** The shared seed state; `seedIds[i]` is the seed of row i. The lane writes alpha, health, epoch and the window's step. */
  readonly table: SeedStateTable;
  readonly seedIds: readonly string[];
}

export interface TrainingLane {
  /** Builds host, parameters and programs. @throws InputError when a session of that run is open, or the damage names no layer. */
  open(request: OpenRequest): Promise<LaneOutcome<SessionStatus>>;
  /**
   * Runs one window. `kernels` holds the artifact of every `load_kernel` in the plan; a kernel that the lane has cached may be
   * left out.
   * @throws ContractError when the plan does not fit the session's state (another run, a window out of order, no such trial).
   */
  run(plan: EpochPlan, kernels: KernelArtifacts): Promise<LaneOutcome<EpochResult>>;
  status(runId: string): Promise<LaneOutcome<SessionStatus>>;
  /** The host as a graph, for Urza: its hash is `status.host.hash`. */
  host(runId: string): Promise<LaneOutcome<Host>>;
  /** Everything that a fresh session of the same spec needs to continue bit-equal. Between windows, or after an interrupted one. */
  snapshot(runId: string): Promise<LaneOutcome<SessionSnapshot>>;
  /**
   * Continues from a snapshot in a session that `open` has just made. `kernels` holds the artifacts that
   * `snapshot.state.kernelHashes` names.
   * @throws ContractError when the snapshot belongs to another spec, or an artifact is missing.
   */
  restore(runId: string, snapshot: SessionSnapshot, kernels: KernelArtifacts): Promise<LaneOutcome<SessionStatus>>;
  /** Loss and accuracy on the test samples. @throws InputError the second time: test data is read once. */
  test(runId: string): Promise<LaneOutcome<Validation>>;
  close(runId: string): Promise<LaneOutcome<void>>;
  /** At most `progressHz` messages a second from each session. Returns the way to stop listening. */
  onProgress(listener: (progress: LaneProgress) => void): () => void;
  /** Kills the thread and every session in it; what runs is `lost`. The lane may be opened again. */
  abort(): Promise<void>;
  /** Stops the threads for good. What runs is lost. */
  destroy(): Promise<void>;
}

export interface CompiledKernel {
  readonly artifact: CompiledKernelArtifact;
  readonly blueprint: BlueprintIR;
  readonly compileMs: number;
}

export interface ForgeLane {
  /**
   * Compiles every program that a kernel needs over its life. The same key gives the same bytes.
   * The key's `blueprintHash` in the artifact is the SHA-256 of the blueprint's canonical JSON.
   * @throws GraphError when the span is not legal; the signal's reason when it aborts (the thread is given up and replaced).
   */
  compile(key: KernelKey, host: Host, signal?: AbortSignal): Promise<LaneOutcome<CompiledKernel>>;
  /**
   * Measures a kernel on this machine, on batches of its own and fresh parameters, against another engine that is at hand.
   * @throws ContractError when the host is not the kernel's; the signal's reason as soon as it aborts (the thread ends its step and is kept).
   */
  characterize(
    artifact: CompiledKernelArtifact,
    host: Host,
    config: ValidationConfig,
    signal?: AbortSignal,
  ): Promise<LaneOutcome<KernelCharacterization>>;
  /** Loads the engines that compile and measure for this one, so that the first kernel is not late. */
  warm(engine: KernelKey["engine"]): Promise<LaneOutcome<void>>;
  /** What is asked for is lost; resolves when the work under way has stopped and the threads have ended. */
  destroy(): Promise<void>;
}
