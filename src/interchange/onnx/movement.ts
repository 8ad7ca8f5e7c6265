/** ONNX operators that move data: reshape, flatten, transpose, concat, slice, pad. */
import { formatShape, sizeOf } from "../../graph/shapes.ts";
import type { Translate, Translation } from "./translate.ts";

/** A shape as ONNX writes it, for a value of a known shape: 0 copies a dimension, -1 takes what is left. */
const resolveShape = (wanted: readonly number[], from: readonly number[], zeroCopies: boolean): number[] => {
  const copied = wanted.map((dim, axis) => (dim === 0 && zeroCopies ? from[axis]! : dim));
  const known = sizeOf(copied.filter((dim) => dim !== -1));
  return copied.map((dim) => (dim === -1 ? sizeOf(from) / known : dim));
};

const reshapeTo = (t: Translation, x: string, of: (shape: readonly number[], which: 0 | 1) => number[]): string => {
  const [a, b] = t.sketch.trialShapes(x);
  return t.sketch.reshape(x, [of(a, 0), of(b, 1)], t.name);
};

/**
 * A batch that was fixed when the model was exported: a leading number that leaves no whole tensor is read as the batch.
 * Exporters write [1, 784] for a flatten that was traced with one sample.
 */
const reshape: Translate = (t) => {
  const x = t.value(0);
  const zeroCopies = t.reader.int("allowzero", 0) === 0;
  const wanted = t.integers(1, "a shape");
  const by = (lists: readonly [readonly number[], readonly number[]]): string =>
    reshapeTo(t, x, (from, which) => resolveShape(lists[which], from, zeroCopies));
  const [from] = t.sketch.trialShapes(x);
  const first = resolveShape(wanted[0], from, zeroCopies);
  if (sizeOf(first) === sizeOf(from) && first.every(Number.isInteger)) return by(wanted);
  const [batch = 0, ...rest] = wanted[0];
  t.reader.require(batch > 0 && !rest.includes(-1), `a shape for ${formatShape(t.shape(x))}`, formatShape(wanted[0]));
  t.sketch.note(`${t.name} reshapes to a fixed batch of ${batch}; the batch is open now.`);
  return by([
    [-1, ...rest],
    [-1, ...rest],
  ]);
};

const flatten: Translate = (t) => {
  const x = t.value(0);
  const rank = t.shape(x).length;
  const axis = t.axis(t.reader.int("axis", 1), rank + 1);
  return reshapeTo(t, x, (from) => [sizeOf(from.slice(0, axis)), sizeOf(from.slice(axis))]);
};

const axesOf = (t: Translation, rank: number): readonly number[] | undefined =>
  (t.has(1) ? t.fixedIntegers(1, "axes") : t.reader.ints("axes"))?.map((axis) => t.axis(axis, rank));

const squeeze: Translate = (t) => {
  const x = t.value(0);
  const shape = t.shape(x);
  const axes = axesOf(t, shape.length) ?? shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
  return reshapeTo(t, x, (from) => from.filter((_, axis) => !axes.includes(axis)));
};

const unsqueeze: Translate = (t) => {
  const x = t.value(0);
  const listed = t.has(1) ? t.fixedIntegers(1, "axes") : (t.reader.ints("axes") ?? []);
  const rank = t.shape(x).length + listed.length;
  const axes = listed.map((axis) => t.axis(axis, rank));
  return reshapeTo(t, x, (from) => {
    const rest = [...from];
    return Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.shift()!));
  });
};

const transpose: Translate = (t) => {
  const x = t.value(0);
  const rank = t.shape(x).length;
  const perm = t.reader.ints("perm") ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  return t.emit("transpose", [x], { perm: [...perm] });
};

const concat: Translate = (t) => {
  const parts = Array.from({ length: t.count }, (_, index) => t.value(index));
  return t.emit("concat", parts, { axis: t.axis(t.reader.int("axis", 0), t.shape(parts[0]!).length) });
};

/** `ends` past the axis mean its end; steps other than 1 are not sliced. */
const slice: Translate = (t) => {
  const x = t.value(0);
  const shape = t.shape(x);
  const starts = t.has(1) ? t.fixedIntegers(1, "starts") : (t.reader.ints("starts") ?? []);
  const ends = t.has(2) ? t.fixedIntegers(2, "ends") : (t.reader.ints("ends") ?? []);
  const axes = (t.has(3) ? t.fixedIntegers(3, "axes") : (t.reader.ints("axes") ?? starts.map((_, i) => i))).map((axis) =>
    t.axis(axis, shape.length),
  );
  const steps = t.has(4) ? t.fixedIntegers(4, "steps") : [];
  t.reader.require(
    steps.every((step) => step === 1),
    "steps of 1",
    formatShape(steps),
  );
  const from = shape.map(() => 0);
  const to = shape.map(() => -1);
  axes.forEach((axis, i) => {
    const length = shape[axis]!;
    const [start, end] = [starts[i]!, ends[i]!];
    if (length === -1) {
      t.reader.require(start === 0 && end > 1e9, "the whole batch", `${start} to ${end}`, "slice other axes only");
      return;
    }
    from[axis] = start < 0 ? Math.max(0, start + length) : start;
    to[axis] = Math.min(length, end < 0 ? end + length : end);
  });
  return t.emit("slice", [x], { starts: from, ends: to });
};

const pad: Translate = (t) => {
  const x = t.value(0);
  const rank = t.shape(x).length;
  const pads = t.has(1) ? t.fixedIntegers(1, "pads") : (t.reader.ints("pads") ?? []);
  const filled = t.isWeight(2) ? t.weight(2, "a filling").data[0]! : t.reader.float("value", 0);
  const fits = t.reader.text("mode", "constant") === "constant" && filled === 0 && pads.every((count) => count >= 0);
  t.reader.require(fits && pads.length === 2 * rank, "zeros around every axis", formatShape(pads));
  return t.emit("pad", [x], { before: pads.slice(0, rank), after: pads.slice(rank) });
};

const expand: Translate = (t) => {
  const x = t.value(0);
  const [a, b] = t.integers(1, "a shape");
  const [from] = t.sketch.trialShapes(x);
  const rank = Math.max(a.length, from.length);
  const widened = (wanted: readonly number[], own: readonly number[]): number[] =>
    Array.from({ length: rank }, (_, i) => {
      const dim = wanted[i - (rank - wanted.length)] ?? 1;
      return dim === 1 ? (own[i - (rank - own.length)] ?? 1) : dim;
    });
  const [small, large] = [widened(a, from), widened(b, t.sketch.trialShapes(x)[1])];
  return t.emit("broadcastTo", [x], { shape: small.map((dim, axis) => (dim === large[axis] ? dim : -1)) });
};

/** A repeated number, such as the zeros that a mask begins with. */
const constantOfShape: Translate = (t) => {
  const shape = t.fixedIntegers(0, "a shape");
  const tensor = t.reader.tensor("value");
  const bytes = tensor?.rawData;
  const value =
    tensor?.floatData[0] ??
    (bytes === undefined ? 0 : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat32(0, true));
  t.reader.require(tensor === undefined || tensor.dataType === 1, "a float32 value", `type ${tensor?.dataType}`);
  return t.emit("fill", [], { value, shape: [...shape] });
};

export const movementOperators: Readonly<Record<string, Translate>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Slice: slice,
  Pad: pad,
  Expand: expand,
  ConstantOfShape: constantOfShape,
};
