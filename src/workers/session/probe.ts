/**
 * The programs behind the signal. Both read `x` [N, …], `y` [N], the host's parameters and random weights, and return small
 * matrices of second moments; the ridge regressions happen outside in float64.
 *
 * Random features of a cut: its values are flattened (feature maps are first averaged to at most 4 × 4 places, which keeps where
 * something is without thousands of inputs), projected by Gaussian weights [d, k], each projection standardised over the N samples,
 * shifted by a Gaussian bias and passed through ReLU. Standardising makes the features those of the activation's directions alone:
 * its scale and mean, which training changes all the time, drop out.
 */
import { GraphError } from "../../contracts/errors.ts";
import type { GraphOutput, Host, Program } from "../../contracts/graph.ts";
import { gradients } from "../../graph/autodiff.ts";
import type { BoundInput } from "../../graph/bind.ts";
import { openBinding } from "../../graph/bind.ts";
import type { Emitter } from "../../graph/emitter.ts";
import { assembleProgram } from "../../graph/program.ts";
import { appendLoss } from "../../graph/step.ts";
import type { Cut } from "./cuts.ts";
import { cutsOf, foldedBypasses } from "./cuts.ts";

export interface ProbeOptions {
  readonly host: Host;
  /** N. */
  readonly samples: number;
  /** k. */
  readonly features: number;
}

/** Names of the inputs that hold random weights: [d, k] per value of a cut, and [k]. */
export const featureWeight = (cut: number, value: number): string => `features:${cut}:${value}`;
export const featureBias = (cut: number): string => `features:${cut}:bias`;
/** Scalar input that picks the cut a bypass would start from: 1 for that one and 0 for the others. */
export const spanStart = (site: string): string => `from:${site}`;

const gridMax = 4;
/** Keeps a standardised projection finite where a layer is dead. */
const varianceMin = 1e-12;

class ProbeBuilder {
  readonly #b: Emitter;
  readonly #samples: number;
  readonly #features: number;
  readonly inputs: BoundInput[] = [];

  constructor(b: Emitter, samples: number, features: number) {
    this.#b = b;
    this.#samples = samples;
    this.#features = features;
  }

  input(name: string, shape: readonly number[]): string {
    this.inputs.push({ name, dtype: "float32", shape });
    return this.#b.declare(name, { dtype: "float32", shape });
  }

  /** x − its mean over the samples. */
  centre(x: string): string {
    return this.#b.sub(x, this.#b.mean(x, [0], true));
  }

  /** aᵀb / N. */
  moment(a: string, b: string): string {
    return this.#b.mul(this.#b.matMul(a, b, true), this.#b.scalar(1 / this.#samples));
  }

  /** [N, …] → [N, d], feature maps averaged to at most `places` × `places`. */
  flatten(value: string, places: number): string {
    const b = this.#b;
    const shape = b.type(value).shape;
    if (shape.length === 2) return value;
    if (shape.length !== 4) throw new GraphError(`probe of ${value}: expected a rank of 2 or 4, found ${shape.length}`);
    const size = (dim: number): number => Math.max(1, Math.floor(dim / places));
    const kernelSize: [number, number] = [size(shape[2]!), size(shape[3]!)];
    const pooled = b.emit("avgPool2d", [value], { kernelSize, strides: kernelSize, pads: [0, 0, 0, 0] });
    const [, channels, height, width] = b.type(pooled).shape;
    return b.reshape(pooled, [this.#samples, channels! * height! * width!]);
  }

  /** Features of a cut, not centred, [N, k]. */
  featuresOf(cut: Cut, index: number): string {
    const b = this.#b;
    b.scope = `probe/features${index}`;
    const projections = cut.values.map((value, position) => {
      const flat = this.flatten(value, gridMax);
      const weight = this.input(featureWeight(index, position), [b.type(flat).shape[1]!, this.#features]);
      return this.#standardise(b.matMul(flat, weight));
    });
    const sum = projections.reduce((total, projection) => b.add(total, projection));
    const scaled = projections.length === 1 ? sum : b.mul(sum, b.scalar(1 / Math.sqrt(projections.length)));
    return b.unary("relu", b.add(scaled, this.input(featureBias(index), [this.#features])));
  }

  #standardise(x: string): string {
    const b = this.#b;
    const centred = this.centre(x);
    const variance = b.mean(b.mul(centred, centred), [0], true);
    return b.div(centred, b.unary("sqrt", b.add(variance, b.scalar(varianceMin))));
  }
}

/** Outputs: `gram:<i>` [k, k] and `cross:<i>` [k, classes] of each cut, `power` and `errorPower` (mean ‖err‖², centred and not). */
export const signalProgram = ({ host, samples, features }: ProbeOptions): Program => {
  const binding = openBinding(host.graph, { batch: samples, mode: "eval" });
  const { logits, labels } = appendLoss(binding, host.graph, samples);
  const b = binding.emitter;
  const probe = new ProbeBuilder(b, samples, features);
  b.scope = "probe/error";
  const error = b.sub(
    b.emit("oneHot", [labels.name], { depth: host.classes }),
    b.emit("softmax", [logits], { axis: b.type(logits).shape.length - 1 }),
  );
  const centredError = probe.centre(error);
  const power = (value: string): string => b.mul(b.sum(b.mul(value, value), [0, 1], false), b.scalar(1 / samples));
  const outputs: GraphOutput[] = [
    { name: "errorPower", value: power(error) },
    { name: "power", value: power(centredError) },
  ];
  for (const [index, cut] of cutsOf(host).entries()) {
    const centred = probe.centre(probe.featuresOf({ ...cut, values: cut.values.map(binding.resolve) }, index));
    b.scope = `probe/moments${index}`;
    outputs.push(
      { name: `gram:${index}`, value: probe.moment(centred, centred) },
      { name: `cross:${index}`, value: probe.moment(centred, centredError) },
    );
  }
  return assembleProgram(binding, outputs, [labels, ...probe.inputs]);
};

/**
 * Moments for the energy of spans that start at one cut, picked by the `from:<site>` scalars, and end at each later layer.
 * Outputs: `candidate` [k, k], and for each layer q: `present:<q>` [d, d], `overlap:<q>` [d, k], `presentGradient:<q>` [d, m],
 * `candidateGradient:<q>` [k, m]. dL/dz of a feature map is summed over its places and what the layer reads is averaged over them.
 */
export const spanProgram = ({ host, samples, features }: ProbeOptions): Program => {
  const binding = openBinding(host.graph, { batch: samples, mode: "eval" });
  const { perSample, labels } = appendLoss(binding, host.graph, samples);
  const b = binding.emitter;
  const probe = new ProbeBuilder(b, samples, features);
  b.scope = "probe/loss";
  const targets = host.layers.slice(1);
  const preActivations = targets.map((layer) => binding.resolve(layer.preActivation));
  const slopes = gradients(b, b.sum(perSample, [0], false), preActivations);
  const starts = host.layers.flatMap((layer, index) => (layer.kind === "output" ? [] : [{ layer, index }]));
  const chosen = starts
    .map(({ layer, index }) => {
      const values = probe.featuresOf({ values: [binding.resolve(layer.input)] }, index);
      return b.mul(values, probe.input(spanStart(layer.name), []));
    })
    .reduce((total, values) => b.add(total, values));
  b.scope = "probe/candidate";
  const candidate = probe.centre(chosen);
  const outputs: GraphOutput[] = [{ name: "candidate", value: probe.moment(candidate, candidate) }];
  const bypasses = foldedBypasses(host);
  for (const [position, layer] of targets.entries()) {
    b.scope = `probe/${layer.name}`;
    const added = bypasses.filter(({ to }) => to === position + 1).map(({ hidden }) => hidden);
    const read = [layer.input, ...added].map((value) => probe.flatten(binding.resolve(value), 1));
    const present = probe.centre(read.length === 1 ? read[0]! : b.emit("concat", read, { axis: 1 }));
    const slope = slopes.get(preActivations[position]!)!;
    const gradient = b.type(slope).shape.length === 4 ? b.sum(slope, [2, 3], false) : slope;
    outputs.push(
      { name: `present:${layer.name}`, value: probe.moment(present, present) },
      { name: `overlap:${layer.name}`, value: probe.moment(present, candidate) },
      { name: `presentGradient:${layer.name}`, value: probe.moment(present, gradient) },
      { name: `candidateGradient:${layer.name}`, value: probe.moment(candidate, gradient) },
    );
  }
  return assembleProgram(binding, outputs, [labels, ...probe.inputs]);
};
