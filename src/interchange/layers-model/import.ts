/** A tf.LayersModel as a host: one translation for each layer, kernels and maps turned into our layout. */
import { GraphError } from "../../contracts/errors.ts";
import { finishImport } from "../finish.ts";
import type { ImportedModel } from "../imported.ts";
import { GraphSketch } from "../sketch.ts";
import { type Artifacts, type LayersModelLike, readLayersModel, takeLayersModel } from "./artifacts.ts";
import { imageValue, inKerasOrder, type KerasValue, plainValue } from "./layout.ts";
import { plainLayers } from "./plain.ts";
import { type KerasLayer, type KerasTopology, readTopology } from "./topology.ts";
import type { TranslateLayer } from "./translate.ts";
import { weightedLayers } from "./weighted.ts";

const layerTable: Readonly<Record<string, TranslateLayer>> = { ...weightedLayers, ...plainLayers };

export { isLayersModel, type LayersModelLike } from "./artifacts.ts";

export const kerasLayers: readonly string[] = [...Object.keys(layerTable), "InputLayer"].sort();

/** Ids where an embedding reads them, numbers otherwise. A map [H, W, C] comes as [C, H, W], as data sets give it. */
const addInput = (sketch: GraphSketch, { inputShape, layers }: KerasTopology, input: string): KerasValue => {
  const areIds = layers.some(({ className, inputs }) => className === "Embedding" && inputs.includes(input));
  if (inputShape.length !== 3)
    return plainValue(sketch.input("x", [-1, ...inputShape], areIds ? "int32" : "float32"), inputShape);
  const [h, w, c] = [inputShape[0]!, inputShape[1]!, inputShape[2]!];
  return imageValue(sketch.input("x", [-1, c, h, w], "float32"), inputShape);
};

/** A layer that nobody but activations follows up to the output ends the model: its softmax is the last one. */
const isLast = ({ layers, output }: KerasTopology, layer: KerasLayer): boolean => {
  if (layer.name === output) return true;
  const readers = layers.filter(({ inputs }) => inputs.includes(layer.name));
  return readers.length === 1 && readers[0]!.name === output && readers[0]!.className === "Reshape";
};

const importArtifacts = ({ topology: json, weights, notes }: Artifacts): ImportedModel => {
  const topology = readTopology(json);
  const sketch = new GraphSketch();
  for (const note of notes) sketch.note(note);
  const layerNames = new Map<string, string>();
  const values = new Map<string, KerasValue>();
  let inputShape: readonly number[] = topology.inputShape;
  for (const layer of topology.layers) {
    const { name, className, config } = layer;
    if (className === "InputLayer") {
      const x = addInput(sketch, topology, name);
      inputShape = sketch.shape(x.value).slice(1);
      values.set(name, x);
      continue;
    }
    const translate = layerTable[className];
    if (translate === undefined)
      throw config.refuse(`one of the layers ${kerasLayers.join(", ")}`, className, "build the model with these");
    const inputs = layer.inputs.map((input) => values.get(input)!);
    if (inputs.length === 0) throw config.refuse("a layer to read", "none", "the file is damaged: save the model again");
    const nameLayer = (product: string): void => void layerNames.set(product, name);
    values.set(name, translate({ sketch, weights, config, name, inputs, isLast: isLast(topology, layer), nameLayer }));
  }
  const last = values.get(topology.output);
  if (last === undefined) {
    throw new GraphError(
      `model ${topology.name}: expected a layer ${topology.output} as its output, got none; save the model again`,
      {
        path: topology.output,
      },
    );
  }
  return finishImport(sketch, { name: topology.name, logits: inKerasOrder(sketch, last, "output"), layerNames, inputShape });
};

/** From `model.json` and its weight files. @throws DataError for damaged files, GraphError naming the layer that is lacking. */
export const importLayersModelFile = async (path: string): Promise<ImportedModel> => importArtifacts(await readLayersModel(path));

/** From a model in memory. */
export const importLayersModel = async (model: LayersModelLike): Promise<ImportedModel> =>
  importArtifacts(await takeLayersModel(model));
