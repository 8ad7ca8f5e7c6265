/** Collects the layers and weights of a Keras model, hands out layer names that do not clash, and writes the files of a LayersModel. */
import { valueName } from "../names.ts";

interface WrittenLayer {
  readonly name: string;
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: readonly unknown[];
}

interface WrittenWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface LayersModelFiles {
  readonly "model.json": Uint8Array;
  readonly "weights.bin": Uint8Array;
}

export class ModelWriter {
  readonly #layers: WrittenLayer[] = [];
  readonly #weights: WrittenWeight[] = [];
  readonly #names = new Set<string>();

  input(name: string, shape: readonly number[], dtype: string): string {
    this.#names.add(name);
    const config = { batch_input_shape: [null, ...shape], dtype, sparse: false, name };
    this.#layers.push({ name, class_name: "InputLayer", config, inbound_nodes: [] });
    return name;
  }

  /** Adds a layer that reads others, with its weights by variable, and returns its name. */
  layer(
    className: string,
    wanted: string,
    inputs: readonly string[],
    config: Readonly<Record<string, unknown>>,
    weights: readonly (readonly [variable: string, shape: readonly number[], data: Float32Array])[] = [],
  ): string {
    const name = valueName(wanted.replaceAll("/", "_"), this.#names);
    this.#layers.push({
      name,
      class_name: className,
      config: { name, trainable: true, dtype: "float32", ...config },
      inbound_nodes: [inputs.map((input) => [input, 0, 0, {}])],
    });
    for (const [variable, shape, data] of weights) this.#weights.push({ name: `${name}/${variable}`, shape, data });
    return name;
  }

  /** `model.json` and one file of weights, as tensorflow.js writes them. */
  files(options: {
    readonly name: string;
    readonly input: string;
    readonly output: string;
    readonly metadata: unknown;
    readonly producer: string;
  }): LayersModelFiles {
    const topology = {
      class_name: "Model",
      config: {
        name: options.name,
        layers: this.#layers,
        input_layers: [[options.input, 0, 0]],
        output_layers: [[options.output, 0, 0]],
      },
      keras_version: "2.15.0",
      backend: "tensor_flow.js",
    };
    const weights = this.#weights.map(({ name, shape }) => ({ name, shape, dtype: "float32" }));
    const json = {
      format: "layers-model",
      generatedBy: options.producer,
      convertedBy: null,
      modelTopology: topology,
      userDefinedMetadata: options.metadata,
      weightsManifest: [{ paths: ["weights.bin"], weights }],
    };
    const bytes = new Uint8Array(4 * this.#weights.reduce((sum, { data }) => sum + data.length, 0));
    const view = new DataView(bytes.buffer);
    let offset = 0;
    for (const { data } of this.#weights) {
      for (const value of data) {
        view.setFloat32(offset, value, true);
        offset += 4;
      }
    }
    return { "model.json": new TextEncoder().encode(JSON.stringify(json)), "weights.bin": bytes };
  }
}
