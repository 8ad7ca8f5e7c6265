/**
 * What seeds added to a base, apart from it: listed, saved, loaded, switched off.
 *
 * D1  The base is the host without its seeds: its graph and parameters are those that the seeds were grown on, if it was frozen.
 * D2  Adapters fit one base alone, known by the hashes of its graph and of its parameters. Any other is refused.
 */
import { z } from "zod";
import { DataError, InputError } from "../contracts/errors.ts";
import { Host, type Tensor } from "../contracts/graph.ts";
import { hostHash } from "../graph/hash.ts";
import { removeBypass } from "../graph/rewrite.ts";
import { formatShape } from "../graph/shapes.ts";
import { Lineage, seedsOf, tensorsHash } from "../interchange/lineage.ts";
import { decodeSafetensors, encodeSafetensors } from "../store/safetensors.ts";

type Parameters = Readonly<Record<string, Tensor>>;

export interface GrownModel {
  readonly host: Host;
  readonly parameters: Parameters;
}

/** D1. Seeds are taken out in the reverse of the order in which they came. */
export const baseOf = ({ host, parameters }: GrownModel): GrownModel => {
  const base = seedsOf(host)
    .toReversed()
    .reduce((grown, seedId) => removeBypass(grown, seedId), host);
  return { host: base, parameters: Object.fromEntries(base.graph.parameters.map(({ name }) => [name, parameters[name]!])) };
};

const Base = z.strictObject({ hostHash: z.string(), parametersHash: z.string() });
export type Base = z.infer<typeof Base>;

export const baseHashes = (model: GrownModel): Base => {
  const base = baseOf(model);
  return { hostHash: hostHash(base.host), parametersHash: tensorsHash(base.parameters) };
};

/** One seed's part of a model. */
export interface Adapter {
  readonly seedId: string;
  /** Parameters that it adds. */
  readonly parameters: number;
  readonly tensors: readonly string[];
}

export const listAdapters = ({ host }: Pick<GrownModel, "host">): Adapter[] =>
  seedsOf(host).map((seedId) => {
    const own = host.graph.parameters.filter(({ cohort }) => cohort === seedId);
    return {
      seedId,
      parameters: own.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0),
      tensors: own.map(({ name }) => name),
    };
  });

/** The seeds' tensors, and what the base must be. @throws InputError when there is nothing to save. */
export const encodeAdapters = (model: GrownModel, lineage: Lineage): Uint8Array => {
  const tensors = listAdapters(model).flatMap(({ tensors: names }) => names);
  if (tensors.length === 0)
    throw new InputError("adapters: expected a model that has grown, found none of its seeds kept; fit it with growth first");
  return encodeSafetensors(Object.fromEntries(tensors.map((name) => [name, model.parameters[name]!])), {
    format: "esper-adapters",
    base: JSON.stringify(baseHashes(model)),
    host: JSON.stringify(model.host),
    lineage: JSON.stringify(lineage),
  });
};

const headerBytesMax = 67_108_864;

/** Saved adapters as they lie in their file. */
export interface SavedAdapters {
  /** The base that they belong to. */
  readonly base: Base;
  /** The base with the seeds on it. */
  readonly host: Host;
  readonly lineage: Lineage;
  readonly tensors: Parameters;
}

const damaged = (file: string, expected: string, found: string): DataError =>
  new DataError(`adapters ${file}: expected ${expected}, found ${found}; save them again`, { file });

/** @throws DataError for a file that holds something else. */
export const decodeAdapters = (bytes: Uint8Array, file: string): SavedAdapters => {
  const { tensors, metadata } = decodeSafetensors(bytes, headerBytesMax, file);
  if (metadata["format"] !== "esper-adapters")
    throw damaged(file, "adapters that Esper saved", metadata["format"] ?? "another file");
  const read = <T>(key: string, schema: z.ZodType<T>): T => {
    try {
      return schema.parse(JSON.parse(metadata[key] ?? ""));
    } catch {
      throw damaged(file, `${key} as metadata`, "something else");
    }
  };
  return { base: read("base", Base), host: read("host", Host), lineage: read("lineage", Lineage), tensors };
};

/** Puts adapters onto their base; seeds that the model has already are replaced. D2. */
export const applyAdapters = (model: GrownModel, bytes: Uint8Array, file: string): GrownModel & { readonly lineage: Lineage } => {
  const { base: wanted, host, lineage, tensors } = decodeAdapters(bytes, file);
  const base = baseOf(model);
  const found = baseHashes(model);
  if (found.hostHash !== wanted.hostHash || found.parametersHash !== wanted.parametersHash) {
    const which = found.hostHash === wanted.hostHash ? "other weights" : "another graph";
    throw new InputError(
      `adapters ${file}: expected the base ${wanted.parametersHash.slice(0, 12)} that they were grown on, found a base with ${which} (${found.parametersHash.slice(0, 12)}); load them onto that base`,
      { file },
    );
  }
  const parameters = Object.fromEntries(
    host.graph.parameters.map(({ name, shape }) => {
      const tensor = base.parameters[name] ?? tensors[name];
      if (tensor === undefined || formatShape(tensor.shape) !== formatShape(shape))
        throw damaged(
          file,
          `the tensor ${name} of shape ${formatShape(shape)}`,
          tensor === undefined ? "none" : formatShape(tensor.shape),
        );
      return [name, tensor];
    }),
  );
  return { host, parameters, lineage };
};

/**
 * The same model with its seeds under new names, so that the next run may grow at the same sites again: `seed:h1` becomes `seed:h1-g1`,
 * with the first number that is free.
 */
export const settleSeeds = ({ host, parameters }: GrownModel): GrownModel => {
  const renamed = new Map<string, string>();
  const taken = new Set(seedsOf(host));
  for (const seedId of seedsOf(host)) {
    if (/-g\d+$/.test(seedId)) continue;
    let n = 1;
    while (taken.has(`${seedId}-g${n}`)) n++;
    renamed.set(seedId, `${seedId}-g${n}`);
    taken.add(`${seedId}-g${n}`);
  }
  if (renamed.size === 0) return { host, parameters };
  const rename = (name: string): string => {
    for (const [from, to] of renamed)
      if (name === from || name.startsWith(`${from}/`) || name.startsWith(`${from}:`)) return to + name.slice(from.length);
    return name;
  };
  const { graph, layers } = host;
  return {
    host: {
      ...host,
      graph: {
        ...graph,
        parameters: graph.parameters.map((each) => ({ ...each, name: rename(each.name), cohort: rename(each.cohort) })),
        nodes: graph.nodes.map((node) => ({ ...node, id: rename(node.id), inputs: node.inputs.map(rename) })),
        outputs: graph.outputs.map((output) => ({ ...output, value: rename(output.value) })),
      },
      layers: layers.map((layer) => ({
        ...layer,
        input: rename(layer.input),
        preActivation: rename(layer.preActivation),
        output: rename(layer.output),
        parameters: layer.parameters.map(rename),
      })),
    },
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [rename(name), tensor])),
  };
};
