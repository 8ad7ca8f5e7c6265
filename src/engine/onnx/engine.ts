/**
 * The native engine: ONNX models on onnxruntime's CPU provider.
 *
 * Bit-equal runs (K2) come from sequential execution and a fixed number of threads: onnxruntime splits work by shape,
 * never by timing.
 */
import ort from "onnxruntime-node";
import { ContractError, describeError, ServiceError } from "../../contracts/errors.ts";
import type { Program, Tensor } from "../../contracts/graph.ts";
import type { CompiledProgram, Engine, EngineOptions, Executable, Port, RunOptions, Tensors } from "../engine.ts";
import { allocate, checkCompiled, checkFeeds, checkInto, disposedError, portBytes } from "../ports.ts";
import { lowerProgram, outputNameOf } from "./lower.ts";
import { encodeModel } from "./schema.ts";

const sessionOptions = (options: EngineOptions): ort.InferenceSession.SessionOptions => ({
  executionProviders: ["cpu"],
  executionMode: "sequential",
  intraOpNumThreads: options.threads,
  interOpNumThreads: 1,
  graphOptimizationLevel: "all",
  logSeverityLevel: 3,
});

export const createNativeEngine = async (options: EngineOptions): Promise<Engine> => {
  const version = ort.env.versions.node ?? ort.env.versions.common;
  let disposed = false;
  return {
    name: "native",
    version,
    compile: async (program: Program): Promise<CompiledProgram> => {
      if (disposed) throw disposedError("engine native");
      return { engine: "native", engineVersion: version, bytes: encodeModel(lowerProgram(program)) };
    },
    load: async (compiled) => {
      if (disposed) throw disposedError("engine native");
      checkCompiled("native", version, compiled);
      return new NativeExecutable(await createSession(compiled.bytes, options), compiled.bytes.byteLength);
    },
    dispose: async () => {
      disposed = true;
    },
  };
};

const createSession = async (bytes: Uint8Array, options: EngineOptions): Promise<ort.InferenceSession> => {
  try {
    return await ort.InferenceSession.create(bytes, sessionOptions(options));
  } catch (error) {
    throw new ContractError(
      `compiled program: expected an ONNX model that onnxruntime can load, found: ${describeError(error)}`,
      {},
      { cause: error },
    );
  }
};

const portsOf = (metadata: readonly ort.InferenceSession.ValueMetadata[], rename: (name: string) => string): Port[] =>
  metadata.map((value) => {
    if (!value.isTensor || (value.type !== "float32" && value.type !== "int32")) {
      throw new ContractError(`compiled program: expected ${value.name} to be a float32 or int32 tensor, found another type`);
    }
    return { name: rename(value.name), dtype: value.type, shape: value.shape.map(Number) };
  });

class NativeExecutable implements Executable {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly memoryBytes: number;
  readonly #onnxOutputs: readonly string[];
  #session: ort.InferenceSession | undefined;

  constructor(session: ort.InferenceSession, modelBytes: number) {
    const inputNames = new Set(session.inputNames);
    this.inputs = portsOf(session.inputMetadata, (name) => name);
    this.outputs = portsOf(session.outputMetadata, (name) => outputNameOf(name, inputNames));
    this.#onnxOutputs = session.outputNames;
    this.memoryBytes = modelBytes + portBytes(this.inputs) + portBytes(this.outputs);
    this.#session = session;
  }

  async run(feeds: Tensors, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    const session = this.#session;
    if (session === undefined) throw disposedError("executable");
    checkFeeds(this.inputs, feeds);
    const into = options.into ?? {};
    checkInto(this.outputs, into, feeds);
    const ortFeeds: Record<string, ort.Tensor> = {};
    for (const { name } of this.inputs) ortFeeds[name] = toOrt(isShared(feeds[name]!) ? copyOf(feeds[name]!) : feeds[name]!);
    // K4: onnxruntime writes straight into these buffers, so that nothing is copied out.
    const results: Record<string, Tensor> = {};
    const fetches: Record<string, ort.Tensor> = {};
    for (const [index, { name, dtype, shape }] of this.outputs.entries()) {
      const wanted = into[name];
      const tensor = wanted === undefined || isShared(wanted) ? allocate(dtype, shape) : wanted;
      results[name] = tensor;
      fetches[this.#onnxOutputs[index]!] = toOrt(tensor);
    }
    try {
      await session.run(ortFeeds, fetches);
    } catch (error) {
      throw new ServiceError(`onnxruntime: expected the program to run, found: ${describeError(error)}`, {}, { cause: error });
    }
    for (const [name, wanted] of Object.entries(into)) {
      if (results[name] === wanted) continue;
      wanted.data.set(results[name]!.data);
      results[name] = wanted;
    }
    return results;
  }

  async dispose(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

/** onnxruntime's binding refuses memory that threads share: such tensors are copied in and out. */
const isShared = ({ data }: Tensor): boolean => data.buffer instanceof SharedArrayBuffer;

const copyOf = (tensor: Tensor): Tensor => ({ ...tensor, data: tensor.data.slice() });

/** Wraps the memory of a tensor; nothing is copied. */
const toOrt = (tensor: Tensor): ort.Tensor =>
  tensor.dtype === "float32"
    ? new ort.Tensor("float32", tensor.data as Float32Array, tensor.shape)
    : new ort.Tensor("int32", tensor.data as Int32Array, tensor.shape);
