/**
 * A tf.LayersModel as data: its topology, and its weights by name.
 *
 * From disk: `model.json` and the weight files that its manifest names. From a program: the model's own `save(handler)` hands the same
 * over, so that tensorflow.js need not be known here.
 */
import { readFile } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { z } from "zod";
import { ContractError, DataError, describeError, GraphError } from "../../contracts/errors.ts";
import { sizeOf } from "../../graph/shapes.ts";

const WeightSpec = z.object({
  name: z.string(),
  shape: z.array(z.number().int().min(0)).max(8),
  dtype: z.string(),
  quantization: z.object({ dtype: z.string(), scale: z.number().optional(), min: z.number().optional() }).optional(),
});
type WeightSpec = z.infer<typeof WeightSpec>;

const ModelJson = z.object({
  format: z.string().optional(),
  modelTopology: z.unknown(),
  weightsManifest: z.array(z.object({ paths: z.array(z.string()).max(10_000), weights: z.array(WeightSpec) })).default([]),
});

export interface Weights {
  /** Shape and data of the weight of a layer, such as `kernel`; undefined when the layer has none of that name. */
  find(layer: string, variable: string): { readonly shape: readonly number[]; readonly data: Float32Array } | undefined;
}

export interface Artifacts {
  readonly topology: unknown;
  readonly weights: Weights;
  readonly notes: readonly string[];
}

const elementBytes: Readonly<Record<string, number>> = { float32: 4, int32: 4, float16: 2, uint16: 2, uint8: 1, bool: 1 };

/** IEEE 754 binary16. */
const fromHalf = (bits: number): number => {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * 2 ** -14 * (fraction / 1024);
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
};

const readElements = (spec: WeightSpec, view: DataView, count: number): Float32Array => {
  const { quantization } = spec;
  const stored = quantization?.dtype ?? spec.dtype;
  const { scale = 1, min = 0 } = quantization ?? {};
  const element: Readonly<Record<string, (at: number) => number>> = {
    float32: (at) => view.getFloat32(4 * at, true),
    int32: (at) => view.getInt32(4 * at, true),
    float16: (at) => fromHalf(view.getUint16(2 * at, true)),
    uint16: (at) => view.getUint16(2 * at, true) * scale + min,
    uint8: (at) => view.getUint8(at) * scale + min,
  };
  const read = element[stored];
  if (read === undefined || (spec.dtype !== "float32" && spec.dtype !== "int32")) {
    throw new GraphError(
      `weight ${spec.name}: expected float32, or float16, uint16 or uint8 quantised from it, got ${stored}; save the model in float32`,
      { path: spec.name },
    );
  }
  return Float32Array.from({ length: count }, (_, i) => read(i));
};

/** Cuts the bytes of all weights, one after the other, by their specs. */
const cutWeights = (specs: readonly WeightSpec[], bytes: Uint8Array, source: string): Artifacts["weights"] => {
  const byName = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  let offset = 0;
  for (const spec of specs) {
    const size = elementBytes[spec.quantization?.dtype ?? spec.dtype] ?? 4;
    const count = sizeOf(spec.shape);
    if (offset + size * count > bytes.length) {
      throw new DataError(
        `LayersModel ${source}, weight ${spec.name}: expected ${size * count} bytes from byte ${offset}, found ${bytes.length - offset}; a weight file is missing or truncated`,
        { file: source },
      );
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, size * count);
    byName.set(spec.name.replace(/:\d+$/, ""), { shape: spec.shape, data: readElements(spec, view, count) });
    offset += size * count;
  }
  if (offset !== bytes.length) {
    throw new DataError(
      `LayersModel ${source}: expected ${offset} bytes of weights, found ${bytes.length}; the weight files do not belong to this model`,
      { file: source },
    );
  }
  return {
    // Keras writes `dense/kernel`, `model/dense/kernel` or `dense/dense/kernel`.
    find: (layer, variable) => {
      const exact = byName.get(`${layer}/${variable}`);
      if (exact !== undefined) return exact;
      const found = [...byName.keys()].filter((name) => name.endsWith(`/${variable}`) && name.split("/").includes(layer));
      return found.length === 1 ? byName.get(found[0]!) : undefined;
    },
  };
};

const quantizedNotes = (specs: readonly WeightSpec[]): string[] => {
  const kinds = [...new Set(specs.flatMap(({ quantization }) => (quantization === undefined ? [] : [quantization.dtype])))];
  return kinds.map((kind) => `Weights quantised to ${kind} were converted to float32; what quantising lost stays lost.`);
};

const joinBytes = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
};

const readPart = async (path: string, what: string): Promise<Uint8Array> => {
  try {
    return await readFile(path);
  } catch (error) {
    throw new DataError(
      `${what} (${path}): expected a file, found: ${describeError(error)}; check the path`,
      { file: path },
      { cause: error },
    );
  }
};

/** @throws DataError for a file that is missing, damaged or no LayersModel. */
export const readLayersModel = async (path: string): Promise<Artifacts> => {
  const text = new TextDecoder().decode(await readPart(path, "LayersModel"));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DataError(
      `LayersModel ${path}: expected JSON, found: ${describeError(error)}; name the model.json that tensorflow.js saved`,
      { file: path },
      { cause: error },
    );
  }
  const parsed = ModelJson.safeParse(json);
  if (!parsed.success || parsed.data.modelTopology === undefined) {
    const issue = parsed.error?.issues[0];
    throw new DataError(
      `LayersModel ${path}: expected modelTopology and weightsManifest, found ${issue?.path.join(".") ?? "no modelTopology"}; name the model.json that tensorflow.js saved`,
      { file: path },
    );
  }
  const { format, modelTopology, weightsManifest } = parsed.data;
  if (format === "graph-model") {
    throw new GraphError(
      `LayersModel ${path}: expected the format layers-model, found graph-model; save the model with model.save(), or export it as ONNX`,
      { file: path },
    );
  }
  const folder = resolve(dirname(path));
  const parts: Uint8Array[] = [];
  for (const file of weightsManifest.flatMap(({ paths }) => paths)) {
    const full = resolve(join(folder, file));
    if (!full.startsWith(folder + sep)) {
      throw new DataError(`LayersModel ${path}: expected weight files in its own folder, found ${file}; the file is damaged`, {
        file: path,
      });
    }
    parts.push(await readPart(full, "weight file"));
  }
  const specs = weightsManifest.flatMap(({ weights }) => weights);
  return { topology: modelTopology, weights: cutWeights(specs, joinBytes(parts), path), notes: quantizedNotes(specs) };
};

const Handed = z.object({ modelTopology: z.unknown(), weightSpecs: z.array(WeightSpec), weightData: z.unknown() });

/** What tensorflow.js calls an IOHandler: `save` gets the artifacts. */
interface SaveHandler {
  save(artifacts: unknown): Promise<{
    readonly modelArtifactsInfo: { readonly dateSaved: Date; readonly modelTopologyType: "JSON" };
  }>;
}

/** A tf.LayersModel as this code sees it: something that can be saved. */
export interface LayersModelLike {
  readonly layers: readonly unknown[];
  save(handler: SaveHandler): Promise<unknown>;
}

export const isLayersModel = (value: unknown): value is LayersModelLike =>
  typeof value === "object" &&
  value !== null &&
  "save" in value &&
  typeof value.save === "function" &&
  "layers" in value &&
  Array.isArray(value.layers);

const bytesOf = (data: unknown): Uint8Array | undefined => {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (!Array.isArray(data)) return undefined;
  const parts = data.map(bytesOf);
  return parts.every((part) => part !== undefined) ? joinBytes(parts) : undefined;
};

/** The model's own artifacts. The model is not changed. @throws ContractError when it hands over something else. */
export const takeLayersModel = async (model: LayersModelLike): Promise<Artifacts> => {
  let handed: unknown;
  await model.save({
    save: async (artifacts) => {
      handed = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
    },
  });
  const parsed = Handed.safeParse(handed);
  const bytes = parsed.success ? bytesOf(parsed.data.weightData) : undefined;
  if (!parsed.success || bytes === undefined) {
    throw new ContractError(
      "LayersModel: expected its save() to hand over modelTopology, weightSpecs and weightData, found something else; pass a tf.LayersModel",
    );
  }
  const { modelTopology, weightSpecs } = parsed.data;
  // Weights are copied: the caller may go on training its model.
  return {
    topology: modelTopology,
    weights: cutWeights(weightSpecs, bytes.slice(), "in memory"),
    notes: quantizedNotes(weightSpecs),
  };
};
