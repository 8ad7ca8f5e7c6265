/**
 * What is known of an ONNX model before it runs: weights, and the integers that it computes its shapes with.
 *
 * Exporters write a flatten as Shape → Gather → Concat → Reshape. Such integers are folded here, for both trial sizes of the batch.
 */
import { DataError, GraphError } from "../../contracts/errors.ts";
import type { DecodedNode, DecodedTensor } from "../../engine/onnx/decode.ts";
import { sizeOf } from "../../graph/shapes.ts";
import type { NodeReader } from "./attributes.ts";

/** A tensor of floats that comes with the model. */
export interface Weight {
  readonly kind: "weight";
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** From an initializer, which is trained; a Constant node is part of the formula. */
  readonly trained: boolean;
}

/** Integers of rank 0 or 1, for the smaller and the larger trial batch. */
export interface Integers {
  readonly kind: "integers";
  readonly scalar: boolean;
  readonly values: readonly [readonly number[], readonly number[]];
}

export type Constant = Weight | Integers;

const elementTypes: Readonly<Record<number, string>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "float64",
};

const raw = ({ rawData }: DecodedTensor): DataView | undefined =>
  rawData === undefined || rawData.length === 0
    ? undefined
    : new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);

const readAll = (
  view: DataView | undefined,
  bytes: number,
  read: (view: DataView, at: number) => number,
  listed: readonly number[],
): number[] =>
  view === undefined ? [...listed] : Array.from({ length: view.byteLength / bytes }, (_, i) => read(view, i * bytes));

/** A tensor of the file as floats or integers. @throws GraphError for another element type, DataError when elements are missing. */
export const readTensor = (tensor: DecodedTensor, name: string, trained: boolean): Constant => {
  if (tensor.dataLocation !== 0) {
    throw new GraphError(
      `initializer ${name}: expected its data in the file, got data in a file of its own; save the model as one file`,
      { path: name },
    );
  }
  const view = raw(tensor);
  const count = sizeOf(tensor.dims);
  const complete = (values: readonly number[]): readonly number[] => {
    if (values.length === count) return values;
    throw new DataError(
      `initializer ${name}: expected ${count} elements for [${tensor.dims.join(", ")}], got ${values.length}; the file is damaged`,
      { path: name },
    );
  };
  const weight = (values: readonly number[]): Weight => ({
    kind: "weight",
    name,
    shape: tensor.dims,
    data: Float32Array.from(complete(values)),
    trained,
  });
  const integers = (values: readonly number[]): Integers => {
    if (tensor.dims.length > 1) {
      throw new GraphError(
        `constant ${name}: expected integers of rank 0 or 1, got [${tensor.dims.join(", ")}]; only shapes, axes and ids of one token may be constant`,
        { path: name },
      );
    }
    return { kind: "integers", scalar: tensor.dims.length === 0, values: [complete(values), complete(values)] };
  };
  switch (tensor.dataType) {
    case 1:
      return weight(readAll(view, 4, (v, at) => v.getFloat32(at, true), tensor.floatData));
    case 11:
      return weight(readAll(view, 8, (v, at) => v.getFloat64(at, true), tensor.doubleData));
    case 6:
      return integers(readAll(view, 4, (v, at) => v.getInt32(at, true), tensor.int32Data));
    case 7:
      return integers(readAll(view, 8, (v, at) => Number(v.getBigInt64(at, true)), tensor.int64Data));
    default:
      throw new GraphError(
        `initializer ${name}: expected float32, float64, int32 or int64, got ${elementTypes[tensor.dataType] ?? `type ${tensor.dataType}`}; export the model in float32`,
        { path: name },
      );
  }
};

type Fold = (inputs: readonly Integers[], node: NodeReader) => { values: (which: 0 | 1) => readonly number[]; scalar: boolean };

const elementwise =
  (f: (a: number, b: number) => number): Fold =>
  ([a, b]) => ({
    scalar: a!.scalar && b!.scalar,
    values: (which) => {
      const [left, right] = [a!.values[which], b!.values[which]];
      return Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
        f(left[left.length === 1 ? 0 : i]!, right[right.length === 1 ? 0 : i]!),
      );
    },
  });

const fromEnd = (index: number, length: number): number => Math.min(length, Math.max(0, index < 0 ? index + length : index));

const folds: Readonly<Record<string, Fold>> = {
  Identity: ([x]) => ({ scalar: x!.scalar, values: (which) => x!.values[which] }),
  Cast: ([x]) => ({ scalar: x!.scalar, values: (which) => x!.values[which].map(Math.trunc) }),
  Squeeze: ([x]) => ({ scalar: true, values: (which) => x!.values[which] }),
  Unsqueeze: ([x]) => ({ scalar: false, values: (which) => x!.values[which] }),
  Reshape: ([x, shape]) => ({ scalar: shape!.values[0].length === 0, values: (which) => x!.values[which] }),
  Concat: (parts) => ({ scalar: false, values: (which) => parts.flatMap((part) => part.values[which]) }),
  Gather: ([x, ids]) => ({
    scalar: ids!.scalar,
    values: (which) => ids!.values[which].map((id) => x!.values[which].at(id) ?? Number.NaN),
  }),
  Slice: ([x, starts, ends]) => ({
    scalar: false,
    values: (which) => {
      const list = x!.values[which];
      return list.slice(fromEnd(starts!.values[which][0]!, list.length), fromEnd(ends!.values[which][0]!, list.length));
    },
  }),
  Add: elementwise((a, b) => a + b),
  Sub: elementwise((a, b) => a - b),
  Mul: elementwise((a, b) => a * b),
  Div: elementwise((a, b) => Math.trunc(a / b)),
  ReduceProd: ([x]) => ({ scalar: true, values: (which) => [sizeOf(x!.values[which])] }),
};

/** The value of a node that only computes with known integers; undefined when it does anything else. */
export const foldIntegers = (
  node: DecodedNode,
  inputs: readonly (Constant | undefined)[],
  reader: NodeReader,
): Integers | undefined => {
  const fold = folds[node.opType];
  if (fold === undefined || inputs.length === 0) return undefined;
  const known = inputs.filter((input): input is Integers => input?.kind === "integers");
  if (known.length !== inputs.length) return undefined;
  const { scalar, values } = fold(known, reader);
  return { kind: "integers", scalar, values: [values(0), values(1)] };
};
