/** The multi-layer perceptron: dense layers h1 … hn, each with an activation, then `output`. */
import type { Host, HostLayer, Task } from "../../contracts/graph.ts";
import { GraphBuilder } from "../builder.ts";
import { sizeOf } from "../shapes.ts";
import { type Activation, activate, dense, expectPositive, outputLayer } from "./parts.ts";

export interface MlpOptions {
  readonly name: string;
  /** Of one sample, for example [784] or [1, 28, 28]. */
  readonly inputShape: readonly number[];
  /** Units of each hidden layer. */
  readonly widths: readonly number[];
  /** Width of the output: classes, or the outputs of a regression. */
  readonly classes: number;
  /** Default relu. */
  readonly activation?: Activation;
  /** Default classification. */
  readonly task?: Task;
}

/** He initialisation, zero biases. */
export const mlp = (options: MlpOptions): Host => {
  const { name, inputShape, widths, classes, activation = "relu", task = "classification" } = options;
  expectPositive(`${name} inputShape`, inputShape);
  expectPositive(`${name} widths`, widths);
  const b = new GraphBuilder();
  let input = b.input("x", [-1, ...inputShape]);
  let inputs = sizeOf(inputShape);
  if (inputShape.length > 1) input = b.op("reshape", [input], { shape: [-1, inputs] }, "flatten");
  const layers = widths.map((units, i): HostLayer => {
    const layer = `h${i + 1}`;
    const { preActivation, parameters } = dense(b, layer, input, [inputs, units]);
    const output = activate(b, layer, preActivation, activation);
    const made: HostLayer = { name: layer, kind: "dense", input, preActivation, output, parameters };
    [input, inputs] = [output, units];
    return made;
  });
  layers.push(outputLayer(b, input, inputs, classes));
  return { name, graph: b.build(), layers, task, rows: 1, classes };
};
