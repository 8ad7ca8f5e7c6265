/** Runs a host on the native engine, makes tensorflow.js models and ONNX files, and compares logits. */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import ort from "onnxruntime-node";
import { expect } from "vitest";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { type Attribute, attribute, elementType, encodeModel, type OnnxNode } from "../../src/engine/onnx/schema.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { inference } from "../../src/graph/programs.ts";
import { createRandom } from "../../src/graph/random.ts";
import { sizeOf } from "../../src/graph/shapes.ts";

const require = createRequire(import.meta.url);

export const loadTf = async (): Promise<typeof tfjs> => {
  const tf = require("@tensorflow/tfjs") as typeof tfjs;
  tf.enableProdMode();
  await tf.setBackend("cpu");
  return tf;
};

export const random = createRandom(7);

export const draw = (shape: readonly number[], label: string, scale = 1): Float32Array => {
  const stream = random.fork(label);
  return Float32Array.from({ length: sizeOf(shape) }, () => scale * stream.normal());
};

export const floats = (shape: readonly number[], label: string, scale = 1): Tensor => ({
  dtype: "float32",
  shape,
  data: draw(shape, label, scale),
});

/** Parameters as if trained: running statistics and biases off their first values, variances positive. */
export const trainedParameters = (host: Host, label = "parameters"): Record<string, Tensor> =>
  Object.fromEntries(
    [...initializeParameters(host.graph.parameters, random.fork(label))].map(([name, tensor]) => {
      const stream = random.fork(`${label}/${name}`);
      const data = Float32Array.from(tensor.data, (value) =>
        name.endsWith("variance") ? value + stream.uniform() : value + 0.1 * stream.normal(),
      );
      return [name, { ...tensor, data }];
    }),
  );

/** Logits of a host on the native engine. */
export const logitsOf = async (host: Host, parameters: Readonly<Record<string, Tensor>>, x: Tensor): Promise<Float32Array> => {
  const engine = await createEngine("native", { threads: 1 });
  const program = inference({ host, batch: x.shape[0]! });
  const executable = await engine.load(await engine.compile(program));
  try {
    const given = { x, ...parameters };
    const feeds = Object.fromEntries(executable.inputs.map(({ name }) => [name, given[name as keyof typeof given]!]));
    return (await executable.run(feeds))["logits"]!.data as Float32Array;
  } finally {
    await executable.dispose();
    await engine.dispose();
  }
};

/** Every element within the tolerance, and not all of them the same. */
export const expectClose = (found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-4): void => {
  expect(found.length).toBe(wanted.length);
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    const distance = Math.abs(found[i]! - wanted[i]!);
    worst = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(worst, distance);
  }
  expect(worst).toBeLessThan(tolerance);
  expect(Math.max(...Array.from(wanted)) - Math.min(...Array.from(wanted))).toBeGreaterThan(0.01);
};

/** [N, C, H, W] → [N, H, W, C]. */
export const toChannelsLast = ({ shape, data }: Tensor): Float32Array => {
  const [n, c, h, w] = [shape[0]!, shape[1]!, shape[2]!, shape[3]!];
  const result = new Float32Array(data.length);
  for (let sample = 0; sample < n; sample++)
    for (let channel = 0; channel < c; channel++)
      for (let at = 0; at < h * w; at++) result[(sample * h * w + at) * c + channel] = data[(sample * c + channel) * h * w + at]!;
  return result;
};

export const temporaryFolder = (): { readonly path: string; readonly remove: () => void } => {
  const path = mkdtempSync(join(tmpdir(), "esper-interchange-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
};

/** The first output of an ONNX model on onnxruntime itself. */
export const runOnnx = async (
  bytes: Uint8Array,
  x: Tensor,
  dtype: "float32" | "int32" | "int64" = "float32",
): Promise<Float32Array> => {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  try {
    const name = session.inputNames[0]!;
    const tensor =
      dtype === "int64"
        ? new ort.Tensor(
            "int64",
            BigInt64Array.from(x.data, (id) => BigInt(id)),
            x.shape,
          )
        : dtype === "int32"
          ? new ort.Tensor("int32", x.data as Int32Array, x.shape)
          : new ort.Tensor("float32", x.data as Float32Array, x.shape);
    const result = await session.run({ [name]: tensor });
    return result[session.outputNames[0]!]!.data as Float32Array;
  } finally {
    await session.release();
  }
};

/** Writes an ONNX model by hand: nodes in order, weights by name. */
export class OnnxWriter {
  readonly nodes: OnnxNode[] = [];
  readonly #initializers: { name: string; dims: readonly number[]; dataType: number; rawData: Uint8Array }[] = [];

  weight(name: string, shape: readonly number[], data: Float32Array = draw(shape, name, 0.3)): string {
    this.#initializers.push({ name, dims: shape, dataType: elementType.float32, rawData: new Uint8Array(data.buffer) });
    return name;
  }

  int64(name: string, values: readonly number[], dims: readonly number[] = [values.length]): string {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.#initializers.push({ name, dims, dataType: elementType.int64, rawData });
    return name;
  }

  node(opType: string, input: readonly string[], output: string, attributes: readonly Attribute[] = []): string {
    this.nodes.push({ opType, input, output: [output], attribute: attributes });
    return output;
  }

  encode(
    input: { readonly shape: readonly (number | string)[]; readonly elemType?: number },
    output: { readonly name: string; readonly shape: readonly (number | string)[] },
    opset = 20,
  ): Uint8Array {
    return encodeModel({
      opset,
      nodes: this.nodes,
      initializers: this.#initializers,
      inputs: [{ name: "input", elemType: input.elemType ?? elementType.float32, shape: input.shape }],
      outputs: [{ name: output.name, elemType: elementType.float32, shape: output.shape }],
    });
  }
}

export { attribute, elementType };
