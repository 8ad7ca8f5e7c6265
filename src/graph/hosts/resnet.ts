/**
 * The CIFAR form of the residual network (He et al., 2016): a 3×3 stem, stages of basic blocks with batch normalisation, global
 * average pool, `output`. The first block of every stage but the first halves the image and doubles the channels.
 */
import type { Host, HostLayer, Task } from "../../contracts/graph.ts";
import { GraphBuilder } from "../builder.ts";
import { activate, convolution, expectPositive, outputLayer } from "./parts.ts";

export interface ResnetOptions {
  readonly name: string;
  /** Of one sample: channels, height, width. */
  readonly inputShape: readonly [number, number, number];
  /** Channels of the first stage. */
  readonly width: number;
  /** Basic blocks of each stage; [2, 2, 2, 2] is ResNet-18. */
  readonly blocks: readonly number[];
  readonly classes: number;
  /** Default classification. */
  readonly task?: Task;
}

interface BlockShape {
  readonly inputs: number;
  readonly filters: number;
  readonly stride: number;
}

/** relu(c2(relu(c1(x))) + shortcut(x)). The last convolution and the shortcut end before the addition: they have no activation of their own. */
const basicBlock = (b: GraphBuilder, name: string, input: string, { inputs, filters, stride }: BlockShape) => {
  const first = `${name}.c1`;
  const second = `${name}.c2`;
  const c1 = convolution(b, first, input, { inputs, filters, kernel: 3, stride, batchNorm: true });
  const hidden = activate(b, first, c1.preActivation, "relu");
  const c2 = convolution(b, second, hidden, { inputs: filters, filters, kernel: 3, stride: 1, batchNorm: true });
  const linear = (layer: string, from: string, { preActivation, parameters }: typeof c1): HostLayer => ({
    name: layer,
    kind: "conv2d",
    input: from,
    preActivation,
    output: preActivation,
    parameters,
  });
  const layers: HostLayer[] = [
    { name: first, kind: "conv2d", input, preActivation: c1.preActivation, output: hidden, parameters: c1.parameters },
    linear(second, hidden, c2),
  ];
  let shortcut = input;
  if (stride !== 1 || inputs !== filters) {
    const layer = `${name}.shortcut`;
    const projected = convolution(b, layer, input, { inputs, filters, kernel: 1, stride, batchNorm: true });
    layers.push(linear(layer, input, projected));
    shortcut = projected.preActivation;
  }
  const sum = b.op("add", [c2.preActivation, shortcut], {}, `${name}/sum`);
  return { output: activate(b, name, sum, "relu"), layers };
};

/** Layers `stem`, `s1.b1.c1`, `s1.b1.c2`, …, `s2.b1.shortcut`, …, `output`. He initialisation. */
export const resnet = ({ name, inputShape, width, blocks, classes, task = "classification" }: ResnetOptions): Host => {
  expectPositive(`${name} inputShape`, inputShape);
  expectPositive(`${name} width`, [width]);
  expectPositive(`${name} blocks`, blocks);
  const b = new GraphBuilder();
  const x = b.input("x", [-1, ...inputShape]);
  const stem = convolution(b, "stem", x, { inputs: inputShape[0], filters: width, kernel: 3, stride: 1, batchNorm: true });
  let input = activate(b, "stem", stem.preActivation, "relu");
  let inputs = width;
  const layers: HostLayer[] = [
    { name: "stem", kind: "conv2d", input: x, preActivation: stem.preActivation, output: input, parameters: stem.parameters },
  ];
  blocks.forEach((count, stage) => {
    const filters = width * 2 ** stage;
    for (let block = 0; block < count; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const made = basicBlock(b, `s${stage + 1}.b${block + 1}`, input, { inputs, filters, stride });
      layers.push(...made.layers);
      [input, inputs] = [made.output, filters];
    }
  });
  layers.push(outputLayer(b, b.op("globalAveragePool", [input], {}, "pooled"), inputs, classes));
  return { name, graph: b.build(), layers, task, rows: 1, classes };
};
