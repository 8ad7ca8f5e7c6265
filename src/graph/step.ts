/**
 * One optimizer step as one program: forward, loss, backward and update. Tensors go in by name and come out as `<name>'`.
 *
 * K1  A cohort that is not trainable has no gradient node, no slot and no output: its isolation is in the structure.
 * K2  Every parameter and slot that changes has exactly one output.
 */
import { GraphError } from "../contracts/errors.ts";
import type { Graph, GraphOutput, Host, Parameter, Program } from "../contracts/graph.ts";
import type { OptimizerConfig } from "../contracts/optimizer.ts";
import { gradients } from "./autodiff.ts";
import { type Binding, type BoundInput, openBinding, type RandomInput } from "./bind.ts";
import type { Emitter } from "./emitter.ts";
import { programFlops } from "./flops.ts";
import { clipFactor, globalNorm, type Slot, scalarNames, slotsOf, updateParameter } from "./optimizers.ts";
import { assembleProgram } from "./program.ts";
import { sizeOf } from "./shapes.ts";

/** What a loss must know of a host. */
export type LossHost = Pick<Host, "graph" | "task">;

export interface StepOptions {
  /** A graph with input `x`, output `logits` [N · rows, K] and any further inputs, such as a seed's alpha. Its task names the loss. */
  readonly host: LossHost;
  readonly optimizer: OptimizerConfig;
  readonly trainableCohorts: readonly string[];
  readonly batch: number;
}

/** Plain data: it may cross to another thread. */
export interface StepProgram {
  readonly program: Program;
  readonly batch: number;
  readonly trainableCohorts: readonly string[];
  /** All parameters, in the graph's order: each is an input of the program. */
  readonly parameters: readonly Parameter[];
  /** Optimizer state of the trainable parameters, an input each; starts at zero. */
  readonly slots: readonly Slot[];
  /** Scalar inputs, shape []: feed them from `optimizerScalars` per trainable cohort. */
  readonly scalars: readonly string[];
  /** Uniform draws in [0, 1), fresh for each step. */
  readonly randomInputs: readonly RandomInput[];
  /** Inputs of the graph other than `x`, for example `alpha:<seed>`. */
  readonly graphInputs: readonly BoundInput[];
  /** Parameter or slot → the output that holds it after the step. What is not listed does not change. */
  readonly updates: Readonly<Record<string, string>>;
  /** Running statistics among `updates`. */
  readonly stateUpdates: readonly string[];
  readonly flops: number;
}

/** The output that holds a parameter or slot after the step. */
export const updatedName = (name: string): string => `${name}'`;

/** The value behind a graph's output. Throws GraphError when there is none of that name. */
export const outputValue = (graph: Graph, name: string): string => {
  const output = graph.outputs.find((candidate) => candidate.name === name);
  if (output !== undefined) return output.value;
  const found = graph.outputs.map((candidate) => candidate.name).join(", ");
  throw new GraphError(`expected an output named ${name}, got ${found}; name the value that the loss should read`, {
    path: name,
  });
};

/** The loss of each row of the logits on the targets `y`: int32 [N · rows] of a classification, float32 [N, K] of a regression. */
const lossPerRow = (
  binding: Binding,
  host: LossHost,
  logits: string,
): { readonly perRow: string; readonly labels: BoundInput } => {
  const b = binding.emitter;
  const shape = b.type(logits).shape;
  const labels: BoundInput =
    host.task === "classification"
      ? { name: "y", dtype: "int32", shape: shape.slice(0, 1) }
      : { name: "y", dtype: "float32", shape };
  b.declare(labels.name, { dtype: labels.dtype, shape: labels.shape });
  const op = host.task === "classification" ? "softmaxCrossEntropy" : "meanSquaredError";
  const perRow = binding.expand({ id: b.fresh("loss/perRow"), op, inputs: [logits, labels.name], attributes: {} });
  return { perRow, labels };
};

/** The mean over each sample's rows: [N · rows] → [N]. Throws GraphError when the rows do not divide. */
export const meanPerSample = (b: Emitter, perRow: string, batch: number): string => {
  const rows = sizeOf(b.type(perRow).shape) / batch;
  if (!Number.isInteger(rows)) {
    throw new GraphError(`logits: expected equally many rows for each of ${batch} samples, got ${rows}; check the host's output`);
  }
  return rows === 1 ? perRow : b.mean(b.reshape(perRow, [batch, rows]), [1], false);
};

/**
 * Appends the loss per sample [N], the mean over the sample's rows. Returns its value, the logits [N · rows, K] and the further
 * input `y`.
 */
export const appendLoss = (
  binding: Binding,
  host: LossHost,
  batch: number,
): { readonly perSample: string; readonly logits: string; readonly labels: BoundInput } => {
  const logits = binding.resolve(outputValue(host.graph, "logits"));
  const { perRow, labels } = lossPerRow(binding, host, logits);
  return { perSample: meanPerSample(binding.emitter, perRow, batch), logits, labels };
};

const checkCohorts = (graph: Graph, cohorts: readonly string[]): void => {
  const known = new Set(graph.parameters.map((parameter) => parameter.cohort));
  for (const cohort of cohorts) {
    if (!known.has(cohort)) {
      throw new GraphError(`expected trainable cohorts among ${[...known].join(", ")}, got ${cohort}; check the seed's id`, {
        path: cohort,
      });
    }
  }
};

/**
 * The program of one step. Inputs: the graph's inputs, parameters and random inputs, `y`, slots, scalars. Outputs: `loss`
 * (mean over the batch, []), `gradNorm` (global norm of the trainable gradients before clipping, []) and one per update.
 */
export const trainStep = (options: StepOptions): StepProgram => {
  const { host, optimizer, trainableCohorts, batch } = options;
  const graph = host.graph;
  checkCohorts(graph, trainableCohorts);
  const binding = openBinding(graph, { batch, mode: "train", trainableCohorts });
  const b = binding.emitter;
  const { perRow, labels } = lossPerRow(binding, host, binding.resolve(outputValue(graph, "logits")));
  b.scope = "loss";
  // Every sample has as many rows: the mean over samples is the mean over rows.
  const loss = b.mean(perRow, [0], false);

  const trainable = graph.parameters.filter((parameter) => parameter.trainable && trainableCohorts.includes(parameter.cohort)); // K1
  const slots = trainable.flatMap((parameter) => slotsOf(optimizer, parameter));
  const scalars = trainableCohorts.flatMap((cohort) => scalarNames(optimizer, cohort));
  const extra: BoundInput[] = [labels];
  for (const { name, shape } of [...slots, ...scalars.map((name) => ({ name, shape: [] }))]) {
    b.declare(name, { dtype: "float32", shape });
    extra.push({ name, dtype: "float32", shape });
  }

  const raw = gradients(
    b,
    loss,
    trainable.map((parameter) => parameter.name),
  );
  b.scope = "update";
  const gradNorm = globalNorm(b, [...raw.values()]);
  const factor = optimizer.clipNorm > 0 ? clipFactor(b, gradNorm, optimizer.clipNorm) : null;
  const changed = new Map<string, string>(binding.stateUpdates);
  for (const parameter of trainable) {
    b.scope = `update/${parameter.name}`;
    const gradient = raw.get(parameter.name)!;
    const update = updateParameter(b, optimizer, parameter, factor === null ? gradient : b.mul(gradient, factor));
    changed.set(parameter.name, update.parameter);
    for (const [slot, value] of update.slots) changed.set(slot, value);
  }

  const outputs: GraphOutput[] = [
    { name: "loss", value: loss },
    { name: "gradNorm", value: gradNorm },
    ...[...changed].map(([name, value]) => ({ name: updatedName(name), value })), // K2
  ];
  const program = assembleProgram(binding, outputs, extra);
  return {
    program,
    batch,
    trainableCohorts,
    parameters: graph.parameters,
    slots,
    scalars,
    randomInputs: binding.randomInputs,
    graphInputs: binding.inputs.filter((input) => input.name !== "x"),
    updates: Object.fromEntries([...changed.keys()].map((name) => [name, updatedName(name)])),
    stateUpdates: [...binding.stateUpdates.keys()],
    flops: programFlops(program),
  };
};
