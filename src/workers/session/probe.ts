/**
 * The program behind the signals: one batch forward and back to the pre-activations, and of every layer small matrices of second moments.
 * The regressions on them happen outside in float64.
 */
import type { GraphOutput, Host, HostLayer, Program } from "../../contracts/graph.ts";
import { dimensionsCap } from "../../contracts/signal.ts";
import { gradients } from "../../graph/autodiff.ts";
import { openBinding } from "../../graph/bind.ts";
import { assembleProgram } from "../../graph/program.ts";
import { sizeOf } from "../../graph/shapes.ts";
import { appendLoss } from "../../graph/step.ts";
import { blocksPerBatch } from "../../growth/signals/blocks.ts";
import type { LayerCut } from "./cuts.ts";
import { layerCuts } from "./cuts.ts";
import type { Features } from "./probe-builder.ts";
import { ProbeBuilder } from "./probe-builder.ts";

export interface ProbeOptions {
  readonly host: Host;
  /** N, rows of predictions. */
  readonly samples: number;
  /** k. */
  readonly features: number;
}

/** Samples in a batch of `samples` rows, a whole number of blocks. */
export const probeBatch = ({ rows }: Pick<Host, "rows">, samples: number): number =>
  Math.max(1, Math.floor(Math.ceil(samples / rows) / blocksPerBatch)) * blocksPerBatch;

/** Projections, features and gradient directions in the moments of `expressivity`. */
export const expressivityWidths = { linear: 16, features: 16, gradient: 8 } as const;

/** Inputs that a unit sums over: dense weights are [inputs, units], convolutions OIHW. */
const fanIn = (shape: readonly number[]): number => (shape.length === 2 ? shape[0]! : sizeOf(shape.slice(1)));

/** A cut's place in the program's outputs: layers that meet there share it. */
export const cutKey = (values: readonly string[]): string => values.join(" ");

/** The layers whose values have an entry for each row of predictions. Others are not measured. */
export const measuredCuts = (host: Host, probe: Pick<ProbeBuilder, "isReadable">): LayerCut[] =>
  layerCuts(host).filter(({ layer, before, behind }) =>
    [...before, ...behind, layer.preActivation].every((value) => probe.isReadable(value)),
  );

class SignalBuilder {
  readonly #host: Host;
  readonly #probe: ProbeBuilder;
  readonly #error: string;
  readonly #cuts = new Map<string, Features>();
  readonly outputs: GraphOutput[] = [];

  constructor(host: Host, probe: ProbeBuilder, error: string) {
    this.#host = host;
    this.#probe = probe;
    this.#error = error;
  }

  output(name: string, value: string): void {
    this.outputs.push({ name, value });
  }

  /** Sums of [features | 1 | error] in each block, [blocks, p, p]; once for each cut. */
  cut(values: readonly string[]): Features {
    const key = cutKey(values);
    const known = this.#cuts.get(key);
    if (known !== undefined) return known;
    const { b, binding, rowCount } = this.#probe;
    b.scope = `probe/cut${this.#cuts.size}`;
    const features = this.#probe.features(`cut${this.#cuts.size}`, values.map(binding.resolve));
    const ones = b.emit("fill", [], { value: 1, shape: [rowCount, 1] });
    const joint = b.emit("concat", [this.#probe.centre(features.values), ones, this.#error], { axis: 1 });
    const size = b.type(joint).shape[1]!;
    const blocks = b.reshape(joint, [blocksPerBatch, rowCount / blocksPerBatch, size]);
    this.output(`cut:${key}`, b.matMul(blocks, blocks, true));
    this.#cuts.set(key, features);
    return features;
  }

  layer({ layer, before, behind }: LayerCut, slope: string): void {
    const probe = this.#probe;
    const { b, binding } = probe;
    const input = this.cut(before);
    this.cut(behind);
    b.scope = `probe/${layer.name}`;
    const [read, made] = [binding.resolve(layer.input), binding.resolve(layer.output)];
    const few = input.raw === undefined ? undefined : b.emit("slice", [input.raw], { starts: [0, 0], ends: [-1, dimensionsCap] });
    const seen = few === undefined ? undefined : probe.centre(few);
    const arriving = seen === undefined ? probe.sketch(`input:${layer.name}`, read) : probe.moment(seen, seen);
    this.output(`input:${layer.name}`, arriving);
    this.output(`preActivation:${layer.name}`, probe.sketch(`preActivation:${layer.name}`, binding.resolve(layer.preActivation)));
    this.output(`variances:${layer.name}`, probe.unitVariances(made));
    const rows = probe.narrow(`spread:${layer.name}`, probe.centre(probe.places(made)));
    this.output(`trace:${layer.name}`, probe.scale(probe.squares(rows), 1 / b.type(rows).shape[0]!));
    this.output(`covariance:${layer.name}`, probe.squares(probe.moment(rows, rows)));
    this.#gradient(layer, few ?? probe.project(`gradient:${layer.name}`, probe.vectors(read), dimensionsCap), slope);
    this.#expressivity(layer, input, slope);
  }

  /** ‖∂L/∂W‖² from Gaussian projections of what the layer reads, which keep it in expectation; places of maps are taken together. */
  #gradient(layer: HostLayer, seen: string, slope: string): void {
    const probe = this.#probe;
    const { b } = probe;
    const product = b.matMul(seen, probe.vectors(slope, "sum"), true);
    const columns = b.type(seen).shape[1]!;
    this.output(`gradient:${layer.name}`, probe.scale(probe.squares(product), 1 / (columns * probe.rowCount ** 2)));
    const weights = this.#host.graph.parameters.filter(({ name, shape }) => layer.parameters.includes(name) && shape.length >= 2);
    const sum = (values: readonly string[]): string =>
      values.length === 0 ? b.scalar(0) : values.reduce((total, each) => b.add(total, each));
    const squares = weights.map(({ name }) => probe.squares(name));
    const gains = weights.map(({ shape }, index) =>
      probe.scale(squares[index]!, fanIn(shape) / (2 * sizeOf(shape) * weights.length)),
    );
    this.output(`weight:${layer.name}`, sum(squares));
    this.output(`gain:${layer.name}`, sum(gains));
    this.output(`fisher:${layer.name}`, probe.scale(probe.squares(slope), 1 / sizeOf(b.type(slope).shape)));
  }

  #expressivity(layer: HostLayer, input: Features, slope: string): void {
    const probe = this.#probe;
    const { b } = probe;
    const { linear, features, gradient } = expressivityWidths;
    const first = (x: string, count: number): string => b.emit("slice", [x], { starts: [0, 0], ends: [-1, count] });
    const steepness = probe.vectors(slope, "sum");
    const directions = b.matMul(steepness, probe.normal(`slope:${layer.name}`, [b.type(steepness).shape[1]!, gradient]));
    const joint = b.emit("concat", [first(input.projections, linear), first(input.values, features), directions], { axis: 1 });
    const centred = probe.centre(joint);
    this.output(`expressivity:${layer.name}`, probe.moment(centred, centred));
  }
}

/**
 * Reads `x`, `y`, the parameters and standard normal draws (`random:…`). Outputs: `loss`, `errorPower`, `cut:<values>` [blocks, p, p] for each
 * cut, and of each hidden layer `input:`, `preActivation:` [s, s], `variances:` [d], `trace:`, `covariance:`, `gradient:`, `weight:`, `gain:`, `fisher:`
 * [], `expressivity:`; `bypass:<value>` [s, s] for each folded bypass.
 */
export const signalProgram = ({ host, samples, features }: ProbeOptions): Program => {
  const batch = probeBatch(host, samples);
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { logits, labels, perSample } = appendLoss(binding, host, batch);
  const b = binding.emitter;
  const probe = new ProbeBuilder(binding, batch, host.rows, features);
  const cuts = measuredCuts(host, probe);
  b.scope = "probe/error";
  const loss = b.sum(perSample, [0], false);
  const values = cuts.map(({ layer }) => binding.resolve(layer.preActivation));
  const slopes = gradients(b, loss, values);
  b.scope = "probe/error";
  const error =
    host.task === "classification"
      ? b.sub(b.emit("oneHot", [labels.name], { depth: host.classes }), b.emit("softmax", [logits], { axis: 1 }))
      : b.sub(labels.name, logits);
  const builder = new SignalBuilder(host, probe, probe.centre(error));
  builder.output("loss", probe.scale(loss, 1 / batch));
  builder.output("errorPower", probe.scale(probe.squares(error), 1 / probe.rowCount));
  for (const [index, cut] of cuts.entries()) builder.layer(cut, slopes.get(values[index]!)!);
  b.scope = "probe/bypass";
  for (const hidden of new Set(cuts.flatMap(({ past }) => past))) {
    builder.output(`bypass:${hidden}`, probe.sketch(`bypass:${hidden}`, binding.resolve(hidden)));
  }
  return assembleProgram(binding, builder.outputs, [labels, ...probe.inputs]);
};
