/** Programs that read a host without changing it: evaluation, inference, and probes for signals. */
import type { Graph, Program } from "../contracts/graph.ts";
import { gradients } from "./autodiff.ts";
import { openBinding } from "./bind.ts";
import { assembleProgram } from "./program.ts";
import { appendLoss, outputValue } from "./step.ts";

interface ReadOptions {
  /** A graph with input `x` and output `logits` [N, K]. */
  readonly host: { readonly graph: Graph };
  readonly batch: number;
}

/** Inputs: the graph's and its parameters. Output: `logits`. */
export const inference = ({ host, batch }: ReadOptions): Program => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  return assembleProgram(binding, [{ name: "logits", value: binding.resolve(outputValue(host.graph, "logits")) }]);
};

/** Inputs as `inference` and `y` (int32 [N]). Outputs: `lossPerSample` [N], `correct` [N] (1 or 0), `logits` [N, K]. */
export const evaluate = ({ host, batch }: ReadOptions): Program => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { perSample, logits, labels } = appendLoss(binding, host.graph, batch);
  const b = binding.emitter;
  b.scope = "correct";
  const correct = b.emit("equal", [b.emit("argMax", [logits], { axis: 1 }), labels.name], {});
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
  const { perSample, logits, labels } = appendLoss(binding, host.graph, batch);
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
