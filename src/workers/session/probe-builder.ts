/**
 * Nodes that both measuring programs need: values as rows, random features, sketches, moments.
 *
 * Random features of a value: its units are projected by Gaussian weights, each projection is standardised over the batch, shifted by a
 * Gaussian bias and passed through ReLU. Standardising makes them the features of the activation's directions alone: its scale and mean,
 * which training changes all the time, drop out. On feature maps the projections are 3×3 convolutions, which is how a reader of the maps
 * sees them, averaged over all places and over quarters of the image.
 */
import { GraphError } from "../../contracts/errors.ts";
import { dimensionsCap } from "../../contracts/signal.ts";
import type { Binding, BoundInput } from "../../graph/bind.ts";
import type { Emitter } from "../../graph/emitter.ts";
import { sizeOf } from "../../graph/shapes.ts";

/** Inputs with this prefix want standard normal draws, the same ones in every check. */
export const randomPrefix = "random:";

/** Keeps a standardised projection finite where a layer is dead. */
const varianceMin = 1e-12;
/** Units below this part of the liveliest unit's deviation fade out of a sketch: what is left of a constant unit is rounding. */
const deviationMin = 0.02;
/** Feature maps are averaged to at most so many places a side where every place is a row. */
const placesMax = 4;
/** Wider values are projected before their covariance is taken. */
const widthMax = 256;
/** Places a side at which random convolutions look. */
const looksMax = 7;

export interface Features {
  /** [R, features], not centred. */
  readonly values: string;
  /** The projections behind them, standardised, [R, k]: linear in the value. */
  readonly projections: string;
  /** Those of the first value as they come, [R, k]; for maps there are none. */
  readonly raw?: string;
}

export class ProbeBuilder {
  readonly #batch: number;
  readonly #rows: number;
  readonly #features: number;
  readonly b: Emitter;
  readonly binding: Binding;
  readonly inputs: BoundInput[] = [];

  /** @param rows Predictions for each sample. */
  constructor(binding: Binding, batch: number, rows: number, features: number) {
    this.binding = binding;
    this.b = binding.emitter;
    this.#batch = batch;
    this.#rows = rows;
    this.#features = features;
  }

  get rowCount(): number {
    return this.#batch * this.#rows;
  }

  input(name: string, shape: readonly number[]): string {
    this.inputs.push({ name, dtype: "float32", shape });
    return this.b.declare(name, { dtype: "float32", shape });
  }

  normal(name: string, shape: readonly number[]): string {
    return this.input(`${randomPrefix}${name}`, shape);
  }

  scale(x: string, factor: number): string {
    return this.b.mul(x, this.b.scalar(factor));
  }

  centre(x: string): string {
    return this.b.sub(x, this.b.mean(x, [0], true));
  }

  /** aᵀb / rows. */
  moment(a: string, b: string): string {
    return this.scale(this.b.matMul(a, b, true), 1 / this.b.type(a).shape[0]!);
  }

  squares(x: string): string {
    const axes = this.b.type(x).shape.map((_, axis) => axis);
    return this.b.sum(this.b.mul(x, x), axes, false);
  }

  isMap(value: string): boolean {
    return this.b.type(value).shape.length === 4;
  }

  /** True where a value has one entry for each sample, or for each of its tokens. */
  isReadable(name: string): boolean {
    const { shape } = this.b.type(this.binding.resolve(name));
    if (shape.length === 2) return shape[0] === this.rowCount;
    if (shape.length === 3) return shape[0] === this.#batch && (this.#rows === 1 || shape[1] === this.#rows);
    return shape.length === 4 && shape[0] === this.#batch && this.#rows === 1;
  }

  /** [R, d]: tokens are rows of their own, or averaged where a sample has one prediction; maps are averaged, or summed, over their places. */
  vectors(value: string, places: "mean" | "sum" = "mean"): string {
    const { b } = this;
    const { shape } = b.type(value);
    const pool = places === "mean" ? b.mean.bind(b) : b.sum.bind(b);
    if (shape.length === 2) return value;
    if (shape.length === 4) return pool(value, [2, 3], false);
    if (shape.length === 3) return this.#rows === 1 ? pool(value, [1], false) : b.reshape(value, [this.rowCount, shape[2]!]);
    throw new GraphError(`probe of ${value}: expected a rank of 2, 3 or 4, found ${shape.length}`, { path: value });
  }

  /** [R', d] with every place of a map, averaged to a few, and every token a row. */
  places(value: string): string {
    const { b } = this;
    const { shape } = b.type(value);
    if (shape.length === 3) return b.reshape(value, [shape[0]! * shape[1]!, shape[2]!]);
    if (shape.length !== 4) return value;
    const size = (dim: number): number => Math.max(1, Math.ceil(dim / placesMax));
    const kernelSize: [number, number] = [size(shape[2]!), size(shape[3]!)];
    const pooled = b.emit("avgPool2d", [value], { kernelSize, strides: kernelSize, pads: [0, 0, 0, 0] });
    const [samples, channels, height, width] = b.type(pooled).shape as [number, number, number, number];
    return b.reshape(b.emit("transpose", [pooled], { perm: [0, 2, 3, 1] }), [samples * height * width, channels]);
  }

  /** Features of what may be read in several values together. Rows share k features; every map has its own. */
  features(name: string, values: readonly string[]): Features {
    const { b } = this;
    const maps = values.filter((value) => this.isMap(value));
    const vectors = values.filter((value) => !this.isMap(value)).map((value) => this.vectors(value));
    const parts = maps.map((value, index) => this.#mapFeatures(`${name}:map${index}`, value));
    if (vectors.length > 0) parts.push(this.#vectorFeatures(name, vectors));
    if (parts.length === 1) return parts[0]!;
    const join = (pick: (part: Features) => string): string => b.emit("concat", parts.map(pick), { axis: 1 });
    return { values: join(({ values: each }) => each), projections: join(({ projections }) => projections) };
  }

  #vectorFeatures(name: string, vectors: readonly string[]): Features {
    const { b } = this;
    const raw = vectors.map((value, index) =>
      b.matMul(value, this.normal(`${name}:${index}`, [b.type(value).shape[1]!, this.#features])),
    );
    const projected = raw.map((each) => this.#standardise(each, [0]));
    const sum = projected.reduce((total, each) => b.add(total, each));
    const projections = projected.length === 1 ? sum : this.scale(sum, 1 / Math.sqrt(projected.length));
    const values = b.unary("relu", b.add(projections, this.normal(`${name}:bias`, [this.#features])));
    return { values, projections, raw: raw[0]! };
  }

  #mapFeatures(name: string, value: string): Features {
    const { b } = this;
    const k = this.#features;
    const [, channels, height, width] = b.type(value).shape as [number, number, number, number];
    const stride = (dim: number): number => Math.max(1, Math.floor(dim / looksMax));
    const looked = b.emit("conv2d", [value, this.normal(name, [k, channels, 3, 3])], {
      strides: [stride(height), stride(width)],
      pads: [1, 1, 1, 1],
      groups: 1,
    });
    const standard = this.#standardise(looked, [0, 2, 3]);
    const fired = b.unary("relu", b.add(standard, this.normal(`${name}:bias`, [k, 1, 1])));
    const [tall, wide] = b.type(fired).shape.slice(2) as [number, number];
    const whole = b.mean(fired, [2, 3], false);
    const projections = b.mean(standard, [2, 3], false);
    if (tall < 2 || wide < 2) return { values: whole, projections };
    const half = b.emit("slice", [fired], { starts: [0, 0, 0, 0], ends: [-1, Math.ceil(k / 2), -1, -1] });
    const kernelSize: [number, number] = [Math.floor(tall / 2), Math.floor(wide / 2)];
    const quarters = b.emit("avgPool2d", [half], { kernelSize, strides: kernelSize, pads: [0, 0, 0, 0] });
    const flat = b.reshape(quarters, [this.#batch, sizeOf(b.type(quarters).shape.slice(1))]);
    return { values: b.emit("concat", [whole, flat], { axis: 1 }), projections };
  }

  #standardise(x: string, axes: readonly number[]): string {
    const { b } = this;
    const centred = b.sub(x, b.mean(x, axes, true));
    return b.div(centred, b.unary("sqrt", b.add(b.mean(b.mul(centred, centred), axes, true), b.scalar(varianceMin))));
  }

  /** Variance of each unit over samples, tokens and places, [d]. */
  unitVariances(value: string): string {
    const { b } = this;
    const axes = this.isMap(value) ? [0, 2, 3] : b.type(value).shape.length === 3 ? [0, 1] : [0];
    const centred = b.sub(value, b.mean(value, axes, true));
    return b.mean(b.mul(centred, centred), axes, false);
  }

  /** Covariance of s random projections of the units, each unit at about unit deviation, [s, s]. */
  sketch(name: string, value: string): string {
    const { b } = this;
    const centred = this.centre(this.places(value));
    const variances = b.mean(b.mul(centred, centred), [0], true);
    const floor = this.scale(b.emit("reduceMax", [variances], { axes: [1], keepDims: true }), deviationMin ** 2);
    const level = b.div(centred, b.unary("sqrt", b.add(b.add(variances, floor), b.scalar(varianceMin))));
    const sketch = b.matMul(level, this.normal(name, [b.type(level).shape[1]!, dimensionsCap]));
    return this.moment(sketch, sketch);
  }

  /** Gaussian projections of rows, [R, columns]. */
  project(name: string, rows: string, columns: number): string {
    return this.b.matMul(rows, this.normal(name, [this.b.type(rows).shape[1]!, columns]));
  }

  /** At most `width` columns, [R, w]: a random projection that keeps norms where there are more. */
  narrow(name: string, rows: string, width = widthMax): string {
    const columns = this.b.type(rows).shape[1]!;
    if (columns <= width) return rows;
    return this.scale(this.project(name, rows, width), 1 / Math.sqrt(width));
  }
}
