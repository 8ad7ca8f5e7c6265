/** Programs that read a host without changing it: evaluation, inference, and probes for signals. */
import type { Program } from "../contracts/graph.ts";
import { gradients } from "./autodiff.ts";
import { type Binding, openBinding } from "./bind.ts";
import { assembleProgram } from "./program.ts";
import { appendLoss, type LossHost, meanPerSample, outputValue } from "./step.ts";

interface ReadOptions {
  /** A graph with input `x` and output `logits` [N · rows, K]. */
  readonly host: LossHost;
  readonly batch: number;
}

/** Inputs: the graph's and its parameters. Output: `logits`. */
export const inference = ({ host, batch }: Pick<ReadOptions, "batch"> & { readonly host: Pick<LossHost, "graph"> }): Program => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  return assembleProgram(binding, [{ name: "logits", value: binding.resolve(outputValue(host.graph, "logits")) }]);
};

/** Share of each sample's rows whose largest logit is the label's, [N]. */
const shareRight = (binding: Binding, logits: string, labels: string, batch: number): string => {
  const b = binding.emitter;
  b.scope = "correct";
  return meanPerSample(b, b.emit("equal", [b.emit("argMax", [logits], { axis: 1 }), labels], {}), batch);
};

/** Squared error of each sample, summed over the outputs, [N]: R² is 1 − its sum over that of (y − mean of y)². */
const squaredError = (binding: Binding, prediction: string, target: string): string => {
  const b = binding.emitter;
  b.scope = "correct";
  const error = b.sub(prediction, target);
  return b.sum(b.mul(error, error), [1], false);
};

/**
 * Inputs as `inference` and `y`: int32 [N · rows], or float32 [N, K] of a regression. Outputs: `lossPerSample` [N], `logits`
 * [N · rows, K], and `correct` [N]: the share of the sample's rows that are right, or for a regression its squared error.
 */
export const evaluate = ({ host, batch }: ReadOptions): Program => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { perSample, logits, labels } = appendLoss(binding, host, batch);
  const correct =
    host.task === "classification" ? shareRight(binding, logits, labels.name, batch) : squaredError(binding, logits, labels.name);
  const outputs = [
    { name: "lossPerSample", value: perSample },
    { name: "correct", value: correct },
    { name: "logits", value: logits },
  ];
  return assembleProgram(binding, outputs, [labels]);
};

export interface ProbeOptions extends ReadOptions {
  /** Values of the graph to read. */
  readonly values: readonly string[];
  /** Values of the graph for which the gradient of the mean loss is wanted. */
  readonly gradients: readonly string[];
}

/**
 * Inputs as `evaluate`. Outputs: `logits`, `lossPerSample`, `value:<name>` for each value, and `gradient:<name>` for each gradient, in
 * the value's shape. Running statistics are used and dropout is off, so that a probe disturbs nothing.
 */
export const probe = ({ host, batch, values, gradients: wanted }: ProbeOptions): Program => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { perSample, logits, labels } = appendLoss(binding, host, batch);
  const b = binding.emitter;
  b.scope = "loss";
  const resolved = wanted.map((name) => binding.resolve(name));
  const found = wanted.length === 0 ? new Map<string, string>() : gradients(b, b.mean(perSample, [0], false), resolved);
  const outputs = [
    { name: "logits", value: logits },
    { name: "lossPerSample", value: perSample },
    ...values.map((name) => {
      const value = binding.resolve(name);
      b.type(value);
      return { name: `value:${name}`, value };
    }),
    ...wanted.map((name, i) => ({ name: `gradient:${name}`, value: found.get(resolved[i]!)! })),
  ];
  return assembleProgram(binding, outputs, [labels]);
};
