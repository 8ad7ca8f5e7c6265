/**
 * What runs a `Program`: compile it to bytes in the forge lane, load the bytes at an epoch boundary, run it every step.
 *
 * Every engine obeys the same rules, held by one contract suite:
 *   K1  The compiled bytes are a pure function of the program and the engine's version.
 *   K2  Two runs on equal feeds give bit-equal outputs (for a fixed number of threads).
 *   K3  `run` never writes to a feed, and never keeps a reference to one that it later writes to.
 *   K4  An output is memory of its own, or the buffer that the caller gave for it; no later run changes it.
 *   K5  Feeds and outputs are checked against the program before anything runs.
 *   K6  After `dispose`, `run` and `load` are errors; disposing twice is not.
 */
import type { DType, Program, Tensor } from "../contracts/graph.ts";

/** `native` is onnxruntime on the CPU; `wasm` and `cpu` are tensorflow.js with the backend of that name. */
export const engineNames = ["native", "wasm", "cpu"] as const;
export type EngineName = (typeof engineNames)[number];

/** One input or output of a program, every dimension bound. */
export interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export type Tensors = Readonly<Record<string, Tensor>>;

export interface CompiledProgram {
  readonly engine: EngineName;
  readonly engineVersion: string;
  readonly bytes: Uint8Array;
}

export interface RunOptions {
  /**
   * Tensors that receive the outputs of the same name, of the output's dtype and shape: saves an allocation and a copy
   * per output. None may share memory with a feed or with another. Outputs that are not named get memory of their own.
   */
  readonly into?: Tensors;
}

export interface Executable {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Memory that the loaded program holds between runs, in bytes: an estimate from its size and its ports. */
  readonly memoryBytes: number;
  /**
   * Feeds exactly the program's inputs.
   * @throws ContractError on a missing, unknown or ill-typed feed or output buffer; ServiceError after `dispose`.
   */
  run(feeds: Tensors, options?: RunOptions): Promise<Record<string, Tensor>>;
  dispose(): Promise<void>;
}

export interface Engine {
  readonly name: EngineName;
  readonly version: string;
  /** Program to bytes. May take its time: it belongs in the forge lane. */
  compile(program: Program): Promise<CompiledProgram>;
  /**
   * Bytes to something that runs: what happens at an epoch boundary.
   * @throws ContractError when the bytes are of another engine or version, or are damaged.
   */
  load(compiled: CompiledProgram): Promise<Executable>;
  dispose(): Promise<void>;
}

export interface EngineOptions {
  /** Threads of one operator. tensorflow.js uses one whatever this says. */
  readonly threads: number;
}

/** Loads only the engine that is asked for, so that a missing binary of one does not hinder another. */
export const createEngine = async (name: EngineName, options: EngineOptions): Promise<Engine> => {
  switch (name) {
    case "native": {
      const { createNativeEngine } = await import("./onnx/engine.ts");
      return createNativeEngine(options);
    }
    case "wasm":
    case "cpu": {
      const { createTensorflowEngine } = await import("./tfjs/engine.ts");
      return createTensorflowEngine(name);
    }
  }
};
