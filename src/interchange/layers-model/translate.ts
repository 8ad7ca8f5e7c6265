/** What the translation of one Keras layer may use, and the activations that layers carry. */
import type { OpAttributes, OpName } from "../../contracts/graph.ts";
import { formatShape } from "../../graph/shapes.ts";
import type { GraphSketch } from "../sketch.ts";
import type { Weights } from "./artifacts.ts";
import type { KerasValue } from "./layout.ts";
import type { LayerConfig } from "./topology.ts";

export interface LayerCall {
  readonly sketch: GraphSketch;
  readonly weights: Weights;
  readonly config: LayerConfig;
  readonly name: string;
  readonly inputs: readonly KerasValue[];
  /** True for the layer whose value is the model's output. */
  readonly isLast: boolean;
  /** Says that a node is this layer's product. */
  readonly nameLayer: (product: string) => void;
}

export type TranslateLayer = (call: LayerCall) => KerasValue;

/** The data of a weight of this layer. @throws GraphError when it is missing or of another shape. */
export const weightOf = ({ weights, config, name }: LayerCall, variable: string, shape: readonly number[]): Float32Array => {
  const found = weights.find(name, variable);
  if (found !== undefined && formatShape(found.shape) === formatShape(shape)) return found.data;
  throw config.refuse(
    `a weight ${name}/${variable} of shape ${formatShape(shape)}`,
    found === undefined ? "none" : formatShape(found.shape),
    "save the model with its weights",
  );
};

export const emit = <O extends OpName>(
  { sketch, name }: LayerCall,
  op: O,
  inputs: readonly string[],
  attributes: OpAttributes<O>,
  part: string,
): string => sketch.op(op, inputs, attributes, `${name}/${part}`);

/** Every activation in operators of ours. `x` stands in our layout; a softmax runs over the channels of a map. */
export const activation = (call: LayerCall, x: KerasValue, kind: string): KerasValue => {
  const { sketch, config, name, isLast } = call;
  const { value } = x;
  const op = <O extends OpName>(operator: O, inputs: readonly string[], attributes: OpAttributes<O>, part: string): string =>
    emit(call, operator, inputs, attributes, part);
  const constant = (number: number): string => sketch.scalar(number, name);
  const made = (result: string): KerasValue => ({ ...x, value: result });
  switch (kind) {
    case "linear":
      return x;
    case "relu":
    case "tanh":
    case "sigmoid":
      return made(op(kind, [value], {}, "activation"));
    case "gelu":
      return made(op("gelu", [value], { approximate: "none" }, "activation"));
    case "gelu_new":
      return made(op("gelu", [value], { approximate: "tanh" }, "activation"));
    case "swish":
    case "silu":
      return made(op("mul", [value, op("sigmoid", [value], {}, "gate")], {}, "activation"));
    case "relu6": {
      const above = op("relu", [op("sub", [value, constant(6)], {}, "shifted")], {}, "above");
      return made(op("sub", [op("relu", [value], {}, "positive"), above], {}, "activation"));
    }
    case "softmax": {
      if (isLast) {
        sketch.note(`The softmax of ${name} at the end was dropped: outputs are logits, and the loss has it.`);
        return x;
      }
      return made(op("softmax", [value], { axis: x.image ? 1 : x.shape.length }, "activation"));
    }
    default:
      throw config.refuse(
        "one of the activations linear, relu, relu6, tanh, sigmoid, gelu, gelu_new, swish, softmax",
        kind,
        "use one of these",
      );
  }
};
