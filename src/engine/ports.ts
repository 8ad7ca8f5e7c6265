/** Checks of what goes into and comes out of a loaded program, shared by all engines. */
import { ContractError, ServiceError } from "../contracts/errors.ts";
import type { DType, Tensor } from "../contracts/graph.ts";
import { formatShape, sameShape, sizeOf } from "../graph/shapes.ts";
import type { CompiledProgram, EngineName, Port, Tensors } from "./engine.ts";

export const portBytes = (ports: readonly Port[]): number => ports.reduce((sum, port) => sum + 4 * sizeOf(port.shape), 0);

export const allocate = (dtype: DType, shape: readonly number[]): Tensor => ({
  dtype,
  shape,
  data: dtype === "float32" ? new Float32Array(sizeOf(shape)) : new Int32Array(sizeOf(shape)),
});

const describe = (dtype: string, shape: readonly number[]): string => `${dtype} ${formatShape(shape)}`;

const checkTensor = (role: "feed" | "output buffer", port: Port, tensor: Tensor): void => {
  if (tensor.dtype !== port.dtype || !sameShape(tensor.shape, port.shape)) {
    throw new ContractError(
      `${role} ${port.name}: expected ${describe(port.dtype, port.shape)}, found ${describe(tensor.dtype, tensor.shape)}`,
    );
  }
  const array = port.dtype === "float32" ? Float32Array : Int32Array;
  if (!(tensor.data instanceof array) || tensor.data.length !== sizeOf(port.shape)) {
    throw new ContractError(
      `${role} ${port.name}: expected ${array.name} of ${sizeOf(port.shape)} elements, found ${tensor.data.constructor.name} of ${tensor.data.length}`,
    );
  }
};

/** K5 for feeds: exactly the ports, each of its dtype and shape. */
export const checkFeeds = (ports: readonly Port[], feeds: Tensors): void => {
  for (const port of ports) {
    const tensor = feeds[port.name];
    if (tensor === undefined) {
      throw new ContractError(`feed ${port.name}: expected ${describe(port.dtype, port.shape)}, found nothing; feed every input`);
    }
    checkTensor("feed", port, tensor);
  }
  checkKnown("feed", "inputs", ports, feeds);
};

const checkKnown = (role: string, side: string, ports: readonly Port[], tensors: Tensors): void => {
  const names = Object.keys(tensors);
  if (role === "feed" && names.length === ports.length) return;
  for (const name of names) {
    if (!ports.some((port) => port.name === name)) {
      const known = ports.map((port) => port.name).join(", ");
      throw new ContractError(`${role} ${name}: expected one of the program's ${side} (${known}), found an unknown name`);
    }
  }
};

interface Region {
  readonly holder: string;
  readonly start: number;
  readonly end: number;
}

/** K5 for output buffers: known names, right types, no bytes shared with a feed or with each other. */
export const checkInto = (ports: readonly Port[], into: Tensors, feeds: Tensors): void => {
  checkKnown("output buffer", "outputs", ports, into);
  const regions = new Map<ArrayBufferLike, Region[]>();
  const claim = (holder: string, { data }: Tensor): Region | undefined => {
    const region = { holder, start: data.byteOffset, end: data.byteOffset + data.byteLength };
    const taken = regions.get(data.buffer);
    if (taken === undefined) {
      regions.set(data.buffer, [region]);
      return undefined;
    }
    const clash = taken.find((other) => region.start < other.end && other.start < region.end);
    taken.push(region);
    return clash;
  };
  for (const name of Object.keys(feeds)) claim(`feed ${name}`, feeds[name]!);
  for (const port of ports) {
    const tensor = into[port.name];
    if (tensor === undefined) continue;
    checkTensor("output buffer", port, tensor);
    const clash = claim(`output buffer ${port.name}`, tensor);
    if (clash !== undefined) {
      throw new ContractError(
        `output buffer ${port.name}: expected memory of its own, found the memory of ${clash.holder}; give each output its own bytes`,
      );
    }
  }
};

/** Compiled bytes belong to one engine in one version. */
export const checkCompiled = (engine: EngineName, version: string, compiled: CompiledProgram): void => {
  if (compiled.engine !== engine || compiled.engineVersion !== version) {
    throw new ContractError(
      `compiled program: expected one of engine ${engine} ${version}, found ${compiled.engine} ${compiled.engineVersion}; compile it again`,
    );
  }
};

/** K6. */
export const disposedError = (what: string): ServiceError =>
  new ServiceError(`${what}: expected one that is in use, found it disposed; load the program again`);
