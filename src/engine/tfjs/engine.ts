/** The tensorflow.js engines: a program is its canonical JSON, run node by node on the wasm or the cpu backend. */
import type { Tensor as TfTensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { ContractError, describeError, EsperError, ServiceError } from "../../contracts/errors.ts";
import { DType, GraphNode, GraphOutput, type Program, type Tensor } from "../../contracts/graph.ts";
import type { ValueType } from "../../graph/operators/operator.ts";
import { programTypes } from "../../graph/program.ts";
import type { CompiledProgram, Engine, Executable, Port, RunOptions, Tensors } from "../engine.ts";
import { applyTable, outputPorts } from "../operator-table.ts";
import { allocate, checkCompiled, checkFeeds, checkInto, disposedError, portBytes } from "../ports.ts";
import { type TensorflowBackend, type TensorflowLibrary, withBackend } from "./library.ts";
import { clauses } from "./operators.ts";

export const createTensorflowEngine = async (backend: TensorflowBackend): Promise<Engine> => {
  const version = await withBackend(backend, (tf) => tf.version_core);
  let disposed = false;
  return {
    name: backend,
    version,
    compile: async (program) => {
      if (disposed) throw disposedError(`engine ${backend}`);
      programTypes(program);
      return { engine: backend, engineVersion: version, bytes: encodeProgram(program) };
    },
    load: async (compiled) => {
      if (disposed) throw disposedError(`engine ${backend}`);
      checkCompiled(backend, version, compiled);
      return new TensorflowExecutable(backend, decodeProgram(compiled), compiled.bytes.byteLength);
    },
    dispose: async () => {
      disposed = true;
    },
  };
};

const ProgramSchema = z.strictObject({
  inputs: z.array(z.strictObject({ name: z.string(), dtype: DType, shape: z.array(z.int().min(0)) })),
  nodes: z.array(GraphNode),
  outputs: z.array(GraphOutput),
});

/** K1: the keys of every object in order, so that equal programs give equal bytes. */
const encodeProgram = ({ inputs, nodes, outputs }: Program): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({ inputs, nodes, outputs }, (_, value: unknown) =>
      value !== null && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
    ),
  );

const decodeProgram = ({ bytes }: CompiledProgram): Program => {
  try {
    return ProgramSchema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new ContractError(`compiled program: expected a program as JSON, found: ${describeError(error)}`, {}, { cause: error });
  }
};

interface Step {
  readonly node: GraphNode;
  readonly result: ValueType;
  /** Values that nobody reads after this node. */
  readonly released: readonly string[];
}

const planSteps = (program: Program): readonly Step[] => {
  const types = programTypes(program);
  const kept = new Set(program.outputs.map((output) => output.value));
  const seen = new Set<string>();
  const steps: Step[] = [];
  for (const node of program.nodes.toReversed()) {
    const released = [...new Set([...node.inputs, node.id])].filter((name) => !kept.has(name) && !seen.has(name));
    for (const name of released) seen.add(name);
    steps.push({ node, result: types.get(node.id)!, released });
  }
  return steps.reverse();
};

class TensorflowExecutable implements Executable {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly memoryBytes: number;
  readonly #backend: TensorflowBackend;
  readonly #program: Program;
  readonly #steps: readonly Step[];
  #disposed = false;

  constructor(backend: TensorflowBackend, program: Program, programBytes: number) {
    this.inputs = program.inputs;
    this.outputs = outputPorts(program, programTypes(program));
    this.memoryBytes = programBytes + portBytes(this.inputs) + portBytes(this.outputs);
    this.#backend = backend;
    this.#program = program;
    this.#steps = planSteps(program);
  }

  async run(feeds: Tensors, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    if (this.#disposed) throw disposedError("executable");
    checkFeeds(this.inputs, feeds);
    const into = options.into ?? {};
    checkInto(this.outputs, into, feeds);
    return await withBackend(this.#backend, (tf) => {
      if (this.#disposed) throw disposedError("executable");
      try {
        return this.#evaluate(tf, feeds, into);
      } catch (error) {
        if (error instanceof EsperError) throw error;
        throw new ServiceError(
          `tensorflow.js: expected the program to run, found: ${describeError(error)}`,
          {},
          { cause: error },
        );
      }
    });
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
  }

  /** Every tensor is released when its last reader has run; the scope releases the rest, also after an error. */
  #evaluate(tf: TensorflowLibrary, feeds: Tensors, into: Tensors): Record<string, Tensor> {
    const results: Record<string, Tensor> = {};
    tf.engine().startScope();
    try {
      const values = new Map<string, TfTensor>();
      for (const { name, dtype, shape } of this.inputs) values.set(name, tf.tensor(feeds[name]!.data, [...shape], dtype));
      for (const { node, result, released } of this.#steps) {
        const inputs = node.inputs.map((name) => values.get(name)!);
        values.set(
          node.id,
          tf.tidy(() => applyTable(clauses, node, { tf, inputs, result })),
        );
        for (const name of released) {
          values.get(name)!.dispose();
          values.delete(name);
        }
      }
      for (const [index, { name, value }] of this.#program.outputs.entries()) {
        const port = this.outputs[index]!;
        const tensor = into[name] ?? allocate(port.dtype, port.shape);
        // K4: what dataSync gives may be the backend's own memory, or a feed's.
        tensor.data.set(values.get(value)!.dataSync());
        results[name] = tensor;
      }
    } finally {
      tf.engine().endScope();
    }
    return results;
  }
}
