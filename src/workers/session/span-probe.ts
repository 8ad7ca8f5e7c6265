/** The program behind the choice of a span: moments for TINY's energy, for one start and every layer where a bypass from it may end. */
import type { GraphOutput, Program } from "../../contracts/graph.ts";
import { gradients } from "../../graph/autodiff.ts";
import { openBinding } from "../../graph/bind.ts";
import { assembleProgram } from "../../graph/program.ts";
import { legalSpans } from "../../graph/spans.ts";
import { appendLoss } from "../../graph/step.ts";
import { foldedBypasses } from "./cuts.ts";
import type { ProbeOptions } from "./probe.ts";
import { probeBatch } from "./probe.ts";
import { ProbeBuilder } from "./probe-builder.ts";

/** Scalar input that picks the layer a bypass would start from: 1 for that one and 0 for the others. */
export const spanStart = (site: string): string => `from:${site}`;

/** Starts and ends whose values have an entry for each row of predictions. */
const measurable = (options: ProbeOptions, probe: ProbeBuilder) => {
  const layers = new Map(options.host.layers.map((layer) => [layer.name, layer]));
  return legalSpans(options.host).filter(({ from, to }) => {
    const [first, last] = [layers.get(from)!, layers.get(to)!];
    return [first.input, last.input, last.preActivation].every((value) => probe.isReadable(value));
  });
};

/**
 * Outputs: `candidate` [k, k], and for each layer q where a legal span ends: `present:<q>` [d, d], `overlap:<q>` [d, k],
 * `presentGradient:<q>` [d, m], `candidateGradient:<q>` [k, m]. dL/dz of a feature map is summed over its places and what the layer reads is
 * averaged over them. Without a legal span there is `candidate` [1, 1] alone.
 */
export const spanProgram = (options: ProbeOptions): Program => {
  const { host, samples, features } = options;
  const batch = probeBatch(host, samples);
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { perSample, labels } = appendLoss(binding, host, batch);
  const b = binding.emitter;
  const probe = new ProbeBuilder(binding, batch, host.rows, features);
  const spans = measurable(options, probe);
  const starts = host.layers.filter(({ name }) => spans.some(({ from }) => from === name));
  const ends = host.layers.flatMap((layer, index) => (spans.some(({ to }) => to === layer.name) ? [{ layer, index }] : []));
  b.scope = "probe/loss";
  const preActivations = ends.map(({ layer }) => binding.resolve(layer.preActivation));
  const slopes = gradients(b, b.sum(perSample, [0], false), preActivations);
  const chosen = starts.map((layer) => {
    b.scope = `probe/from/${layer.name}`;
    const { values } = probe.features(`start:${layer.name}`, [binding.resolve(layer.input)]);
    const common = b.emit("slice", [values], { starts: [0, 0], ends: [-1, features] });
    return b.mul(common, probe.input(spanStart(layer.name), []));
  });
  b.scope = "probe/candidate";
  const none = b.emit("fill", [], { value: 0, shape: [probe.rowCount, 1] });
  const candidate = probe.centre(chosen.length === 0 ? none : chosen.reduce((total, values) => b.add(total, values)));
  const outputs: GraphOutput[] = [{ name: "candidate", value: probe.moment(candidate, candidate) }];
  const bypasses = foldedBypasses(host);
  for (const [position, { layer, index }] of ends.entries()) {
    b.scope = `probe/to/${layer.name}`;
    const added = bypasses.filter(({ to }) => to === index).map(({ hidden }) => hidden);
    const read = [layer.input, ...added.filter((value) => probe.isReadable(value))].map((value) =>
      probe.vectors(binding.resolve(value)),
    );
    const joint = read.length === 1 ? read[0]! : b.emit("concat", read, { axis: 1 });
    const present = probe.centre(probe.narrow(`present:${layer.name}`, joint));
    const gradient = probe.vectors(slopes.get(preActivations[position]!)!, "sum");
    outputs.push(
      { name: `present:${layer.name}`, value: probe.moment(present, present) },
      { name: `overlap:${layer.name}`, value: probe.moment(present, candidate) },
      { name: `presentGradient:${layer.name}`, value: probe.moment(present, gradient) },
      { name: `candidateGradient:${layer.name}`, value: probe.moment(candidate, gradient) },
    );
  }
  return assembleProgram(binding, outputs, [labels, ...probe.inputs]);
};
