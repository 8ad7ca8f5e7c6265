/** The plain convolutional network: 3×3 convolutions c1 … cn, global average pool, then `output`. */
import { GraphError } from "../../contracts/errors.ts";
import type { Host, HostLayer, Task } from "../../contracts/graph.ts";
import { GraphBuilder } from "../builder.ts";
import { type Activation, activate, convolution, expectPositive, outputLayer } from "./parts.ts";

export interface CnnOptions {
  readonly name: string;
  /** Of one sample: channels, height, width. */
  readonly inputShape: readonly [number, number, number];
  /** Filters of each convolution. */
  readonly channels: readonly number[];
  readonly classes: number;
  /** Default relu. */
  readonly activation?: Activation;
  /** How far each layer shrinks the image; default 1 for the first layer and 2 after it. */
  readonly strides?: readonly number[];
  /** `stride` convolves with the stride; `average` convolves with stride 1 and averages windows of that size after the activation. */
  readonly downsample?: "stride" | "average";
  /** Batch normalisation before each activation, in place of the bias. */
  readonly batchNorm?: boolean;
  /** Default classification. */
  readonly task?: Task;
}

/** He initialisation, zero biases. */
export const cnn = (options: CnnOptions): Host => {
  const { name, inputShape, channels, classes, activation = "relu", task = "classification" } = options;
  const { downsample = "stride", batchNorm = false } = options;
  const strides = options.strides ?? channels.map((_, i) => (i === 0 ? 1 : 2));
  expectPositive(`${name} inputShape`, inputShape);
  expectPositive(`${name} channels`, channels);
  expectPositive(`${name} strides`, strides);
  if (strides.length !== channels.length) {
    throw new GraphError(
      `${name} strides: expected one per layer, got ${strides.length} for ${channels.length} layers; check the model's options`,
    );
  }
  const b = new GraphBuilder();
  let input = b.input("x", [-1, ...inputShape]);
  let inputs: number = inputShape[0];
  const layers = channels.map((filters, i): HostLayer => {
    const layer = `c${i + 1}`;
    const stride = strides[i]!;
    const step = downsample === "stride" ? stride : 1;
    const { preActivation, parameters } = convolution(b, layer, input, { inputs, filters, kernel: 3, stride: step, batchNorm });
    let output = activate(b, layer, preActivation, activation);
    if (downsample === "average" && stride > 1) {
      const window: [number, number] = [stride, stride];
      output = b.op("avgPool2d", [output], { kernelSize: window, strides: window, pads: [0, 0, 0, 0] }, `${layer}/pool`);
    }
    const made: HostLayer = { name: layer, kind: "conv2d", input, preActivation, output, parameters };
    [input, inputs] = [output, filters];
    return made;
  });
  const pooled = b.op("globalAveragePool", [input], {}, "pooled");
  layers.push(outputLayer(b, pooled, inputs, classes));
  return { name, graph: b.build(), layers, task, rows: 1, classes };
};
