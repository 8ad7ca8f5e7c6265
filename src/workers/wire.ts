/** What crosses the thread boundary. Errors travel as plain data and become typed errors again on the other side. */
import type { MessagePort } from "node:worker_threads";
import type { CompiledKernelArtifact, KernelKey } from "../contracts/assets.ts";
import type { ValidationConfig } from "../contracts/config-validation.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import type { ErrorPlace } from "../contracts/errors.ts";
import {
  ContractError,
  DataError,
  describeError,
  EsperError,
  GraphError,
  InputError,
  ServiceError,
  TrainingError,
} from "../contracts/errors.ts";
import type { Host } from "../contracts/graph.ts";
import type { EpochPlan, SessionSpec } from "../contracts/plan.ts";
import type { ImportedHost, KernelArtifacts } from "./lane.ts";
import type { SessionSnapshot } from "./session-state.ts";

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly place: ErrorPlace;
}

export type TaskReply<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "failed"; readonly error: WireError }
  /** This thread holds no session of that run: it is another thread than the one that opened it. */
  | { readonly kind: "no_session" };

/** `progress` is the port that the session tells its progress on. */
export interface OpenTask {
  readonly kind: "open";
  readonly spec: SessionSpec;
  readonly imported?: ImportedHost;
  readonly dataset: DatasetBuffers;
  readonly seeds: number;
  readonly table: SharedArrayBuffer;
  readonly seedIds: readonly string[];
  readonly progress: MessagePort;
  /** The session's seat in a second lane. */
  readonly twins?: TwinSeat;
}

/** The training thread's end of the way to the lane of its twins. */
export interface TwinSeat {
  readonly port: MessagePort;
  /** Shared words, see twin-control.ts. */
  readonly control: SharedArrayBuffer;
}

export type TwinThreadTask =
  | { readonly kind: "prepare"; readonly engine: SessionSpec["engine"]; readonly threads: number }
  /** Lasts until the port closes. */
  | ({ readonly kind: "serve" } & Pick<OpenTask, "spec" | "dataset" | "seeds" | "table"> & TwinSeat);

export type TrainingTask =
  | OpenTask
  | { readonly kind: "run"; readonly plan: EpochPlan; readonly kernels: KernelArtifacts }
  | { readonly kind: "restore"; readonly runId: string; readonly snapshot: SessionSnapshot; readonly kernels: KernelArtifacts }
  | { readonly kind: "status" | "host" | "snapshot" | "test" | "close"; readonly runId: string };

export type ForgeWork =
  | { readonly kind: "compile"; readonly key: KernelKey; readonly host: Host }
  | {
      readonly kind: "characterize";
      readonly artifact: CompiledKernelArtifact;
      readonly host: Host;
      readonly config: ValidationConfig;
    }
  | { readonly kind: "warm"; readonly engine: KernelKey["engine"] };

export type ForgeTask = ForgeWork & {
  /** One 32-bit word: set, the work ends after the program or the step that is under way. */
  readonly stop: SharedArrayBuffer;
};

export const toWireError = (error: unknown): WireError =>
  error instanceof EsperError
    ? { code: error.code, message: error.message, place: error.place }
    : { code: "bug", message: error instanceof Error ? (error.stack ?? error.message) : describeError(error), place: {} };

const constructors: Readonly<Record<string, new (message: string, place: ErrorPlace) => EsperError>> = {
  input: InputError,
  contract: ContractError,
  data: DataError,
  service: ServiceError,
  training: TrainingError,
  graph: GraphError,
};

export const fromWireError = ({ code, message, place }: WireError): Error => {
  const typed = constructors[code];
  return typed === undefined ? new Error(message) : new typed(message, place);
};

/** Runs a task so that nothing is thrown across the boundary: a rejected task means that the thread is gone. */
export const answer = async <T>(task: () => Promise<T>): Promise<TaskReply<T>> => {
  try {
    return { kind: "done", value: await task() };
  } catch (error) {
    return { kind: "failed", error: toWireError(error) };
  }
};
