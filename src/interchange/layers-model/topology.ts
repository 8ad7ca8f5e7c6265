/** The topology of a Keras model as a list of layers in order, each with the layers that it reads: Sequential and functional alike. */
import { z } from "zod";
import { DataError, describeError, GraphError } from "../../contracts/errors.ts";

const Config = z.record(z.string(), z.unknown());

const LayerJson = z.object({
  class_name: z.string(),
  name: z.string().optional(),
  config: Config,
  inbound_nodes: z.array(z.unknown()).default([]),
});
type LayerJson = z.infer<typeof LayerJson>;

const ModelConfigJson = z.object({
  class_name: z.string(),
  config: z.unknown(),
});

const GraphConfig = z.object({
  name: z.string().default("model"),
  layers: z.array(LayerJson).max(10_000),
  input_layers: z.unknown().optional(),
  output_layers: z.unknown().optional(),
});

export interface KerasLayer {
  readonly name: string;
  readonly className: string;
  readonly config: LayerConfig;
  /** Names of the layers that it reads; empty for the input. */
  readonly inputs: readonly string[];
}

export interface KerasTopology {
  readonly name: string;
  /** Shape of one sample. */
  readonly inputShape: readonly number[];
  /** In an order in which each stands behind what it reads; the first is the input. */
  readonly layers: readonly KerasLayer[];
  readonly output: string;
}

/** Reads a layer's settings; errors name the layer. */
export class LayerConfig {
  readonly layer: string;
  readonly className: string;
  readonly #config: Readonly<Record<string, unknown>>;

  constructor(layer: string, className: string, config: Readonly<Record<string, unknown>>) {
    this.layer = layer;
    this.className = className;
    this.#config = config;
  }

  get(name: string): unknown {
    return this.#config[name];
  }

  number(name: string, otherwise: number): number {
    const found = this.get(name);
    return typeof found === "number" ? found : otherwise;
  }

  flag(name: string, otherwise: boolean): boolean {
    const found = this.get(name);
    return typeof found === "boolean" ? found : otherwise;
  }

  text(name: string, otherwise: string): string {
    const found = this.get(name);
    return typeof found === "string" ? found : otherwise;
  }

  numbers(name: string): readonly number[] | undefined {
    const found = this.get(name);
    return Array.isArray(found) && found.every((item) => typeof item === "number") ? found : undefined;
  }

  /** Two numbers, written as a pair or as one. */
  pair(name: string, otherwise: [number, number]): [number, number] {
    const found = this.get(name);
    if (typeof found === "number") return [found, found];
    const list = this.numbers(name);
    return list?.length === 2 ? [list[0]!, list[1]!] : otherwise;
  }

  refuse(expected: string, found: string, next: string): GraphError {
    return new GraphError(`${this.className} ${this.layer}: expected ${expected}, got ${found}; ${next}`, { path: this.layer });
  }

  require(holds: boolean, expected: string, found: string, next = "change the layer"): void {
    if (!holds) throw this.refuse(expected, found, next);
  }
}

const parse = <T>(schema: z.ZodType<T>, value: unknown, what: string): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new DataError(
    `LayersModel, ${what} ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not as expected"}; save the model again`,
  );
};

/** Keras 2 writes [["name", node, tensor, {}], …] for each call; Keras 3 writes {args: [{config: {keras_history: ["name", node, tensor]}}]}. */
const sourcesOf = (call: unknown): { readonly layer: string; readonly node: number }[] => {
  if (Array.isArray(call)) {
    if (typeof call[0] === "string") return [{ layer: call[0], node: Number(call[1] ?? 0) }];
    return call.flatMap(sourcesOf);
  }
  if (typeof call !== "object" || call === null) return [];
  if ("keras_history" in call) return sourcesOf(call.keras_history);
  if ("args" in call) return sourcesOf(call.args);
  return "config" in call ? sourcesOf(call.config) : [];
};

const inputShapeOf = (config: LayerConfig): readonly number[] | undefined => {
  const found = config.get("batch_input_shape") ?? config.get("batch_shape") ?? config.get("batchInputShape");
  if (!Array.isArray(found)) return undefined;
  const shape: readonly unknown[] = found.slice(1);
  if (shape.length > 0 && shape.every((dim): dim is number => typeof dim === "number" && dim > 0)) return shape;
  throw config.refuse("an input shape with every dimension but the batch known", JSON.stringify(found), "fix the input's shape");
};

const layerOf = (json: LayerJson, inputs: readonly string[]): KerasLayer => {
  const name = json.name ?? (typeof json.config["name"] === "string" ? json.config["name"] : json.class_name);
  return { name, className: json.class_name, config: new LayerConfig(name, json.class_name, json.config), inputs };
};

const inputName = "esper_input";

const sequential = (graph: z.infer<typeof GraphConfig>): KerasTopology => {
  const layers: KerasLayer[] = [];
  let inputShape: readonly number[] | undefined;
  let previous = inputName;
  for (const json of graph.layers) {
    const layer = layerOf(json, [previous]);
    inputShape ??= inputShapeOf(layer.config);
    if (layer.className === "InputLayer") continue;
    layers.push(layer);
    previous = layer.name;
  }
  if (inputShape === undefined || layers.length === 0) {
    throw new GraphError(
      `Sequential ${graph.name}: expected layers and an input shape, got ${layers.length} layers and ${inputShape === undefined ? "no shape" : "a shape"}; build the model before saving it`,
      { path: graph.name },
    );
  }
  const input = layerOf({ class_name: "InputLayer", name: inputName, config: {}, inbound_nodes: [] }, []);
  return { name: graph.name, inputShape, layers: [input, ...layers], output: previous };
};

const only = (graph: z.infer<typeof GraphConfig>, what: "input" | "output"): string => {
  const found = sourcesOf(graph[`${what}_layers`]).map(({ layer }) => layer);
  if (found.length === 1) return found[0]!;
  throw new GraphError(
    `model ${graph.name}: expected one ${what}, got ${found.join(", ") || "none"}; cut the model down to the one that is trained`,
    { path: graph.name },
  );
};

const functional = (graph: z.infer<typeof GraphConfig>): KerasTopology => {
  const [input, output] = [only(graph, "input"), only(graph, "output")];
  const waiting = graph.layers.map((json) => {
    if (json.inbound_nodes.length > 1) {
      const shared = layerOf(json, []);
      throw shared.config.refuse(
        "to be called once",
        `${json.inbound_nodes.length} calls`,
        "use a layer of its own for each call",
      );
    }
    return layerOf(
      json,
      sourcesOf(json.inbound_nodes[0] ?? []).map(({ layer }) => layer),
    );
  });
  const first = waiting.find(({ name }) => name === input);
  const inputShape = first === undefined ? undefined : inputShapeOf(first.config);
  if (inputShape === undefined)
    throw new DataError(`model ${graph.name}: expected the input ${input} with its shape, found none`);
  const placed: KerasLayer[] = [];
  const done = new Set<string>();
  // Files list layers in the order in which they were made, which is not always the order in which they are read.
  for (let left = waiting; left.length > 0; ) {
    const ready = left.filter((layer) => layer.inputs.every((name) => done.has(name)));
    if (ready.length === 0)
      throw new DataError(
        `model ${graph.name}: expected layers without a circle, found one at ${left[0]!.name}; the file is damaged`,
      );
    for (const layer of ready) {
      placed.push(layer);
      done.add(layer.name);
    }
    left = left.filter(({ name }) => !done.has(name));
  }
  return { name: graph.name, inputShape, layers: placed, output };
};

const parseText = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataError(`LayersModel, topology: expected JSON, found: ${describeError(error)}; save the model again`);
  }
};

/** @throws DataError for a topology that cannot be read, GraphError for a model with several inputs or outputs. */
export const readTopology = (topology: unknown): KerasTopology => {
  const outer =
    typeof topology === "object" && topology !== null && "model_config" in topology ? topology.model_config : topology;
  const value = typeof outer === "string" ? parseText(outer) : outer;
  const { class_name: className, config } = parse(ModelConfigJson, value, "topology");
  // Older files write a Sequential's layers as the config itself.
  const graph = parse(GraphConfig, Array.isArray(config) ? { layers: config } : config, `topology of the ${className}`);
  switch (className) {
    case "Sequential":
      return sequential(graph);
    case "Model":
    case "Functional":
      return functional(graph);
    default:
      throw new GraphError(
        `model ${graph.name}: expected Sequential, Model or Functional, got ${className}; build it with those`,
        {
          path: graph.name,
        },
      );
  }
};
