/** Which programs a host needs. The training session and the forge build them from here, so that they agree. */
import type { Graph, Host, Program } from "../../contracts/graph.ts";
import type { OptimizerConfig } from "../../contracts/optimizer.ts";
import type { HostSummary, TailSummary } from "../../contracts/plan.ts";
import { bind } from "../../graph/bind.ts";
import { countParameters, programFlops } from "../../graph/flops.ts";
import { GraphView } from "../../graph/graph-view.ts";
import { hostHash } from "../../graph/hash.ts";
import { evaluate, inference } from "../../graph/programs.ts";
import { tailGraph } from "../../graph/replace.ts";
import { slopeFlops } from "../../graph/slopes.ts";
import { legalSpans } from "../../graph/spans.ts";
import { trainStep } from "../../graph/step.ts";
import { signalProgram } from "./probe.ts";
import { spanProgram } from "./span-probe.ts";

export interface ProgramOptions {
  readonly optimizer: OptimizerConfig;
  readonly batchSize: number;
  readonly signalSamples: number;
  readonly signalFeatures: number;
}

/** What a host needs to be trained alone. Evaluation runs in batches of the training batch's size. */
export const hostProgramNames = ["step", "evaluate", "signal", "spans"] as const;
export type HostProgramName = (typeof hostProgramNames)[number];

export const cohortsOf = (host: Host): string[] => [...new Set(host.graph.parameters.map(({ cohort }) => cohort))];

/** One optimizer step of the whole host. */
export const hostStep = (host: Host, { optimizer, batchSize: batch }: Pick<ProgramOptions, "optimizer" | "batchSize">): Program =>
  trainStep({ host, optimizer, trainableCohorts: cohortsOf(host), batch }).program;

export const hostPrograms = (host: Host, options: ProgramOptions): Record<HostProgramName, Program> => {
  const { batchSize: batch, signalSamples: samples, signalFeatures: features } = options;
  return {
    step: hostStep(host, options),
    evaluate: evaluate({ host, batch }),
    signal: signalProgram({ host, samples, features }),
    spans: spanProgram({ host, samples, features }),
  };
};

/** Units stand on the second axis of maps and on the last of everything else. */
const unitsOf = (sample: readonly number[]): number => (sample.length === 3 ? sample[0]! : sample.at(-1)!);

const summarizeTail = (graph: Graph, batch: number): TailSummary => {
  const outputs = graph.outputs.map(({ value }) => ({ name: "logits", value }));
  return {
    parameters: countParameters({ graph }),
    forwardFlops: programFlops(inference({ host: { graph: { ...graph, outputs } }, batch })),
  };
};

/** A layer's site is the output layer's too, as a target; no seed stands there. */
export const summarizeHost = (
  host: Host,
  { batchSize, stepFlops, forwardFlops }: Pick<HostSummary, "batchSize" | "stepFlops" | "forwardFlops">,
): HostSummary => {
  const { types } = bind(host.graph, { batch: 1, mode: "eval" });
  const slopes = slopeFlops(host, batchSize);
  const spans = legalSpans(host);
  const view = new GraphView(host.graph, new Map());
  const sampleShape = (value: string): number[] => types.get(value)!.shape.slice(1);
  return {
    name: host.name,
    hash: hostHash(host),
    parameters: countParameters(host),
    batchSize,
    stepFlops,
    forwardFlops,
    sites: host.layers.map((layer, index) => {
      const [inputShape, shape] = [sampleShape(layer.input), sampleShape(layer.preActivation)];
      const tail = tailGraph(view, layer);
      return {
        site: layer.name,
        kind: layer.kind,
        inputWidth: unitsOf(inputShape),
        width: unitsOf(shape),
        inputShape,
        shape,
        slopeFlops: slopes[index]!,
        legalTargets: spans.flatMap(({ from, to }) => (from === layer.name ? [to] : [])),
        ...(tail === undefined ? {} : { tail: summarizeTail(tail, batchSize) }),
      };
    }),
  };
};
