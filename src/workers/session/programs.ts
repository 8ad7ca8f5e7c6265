/** Which programs a host needs. The training session and the forge build them from here, so that they agree. */
import type { Host, Program } from "../../contracts/graph.ts";
import type { OptimizerConfig } from "../../contracts/optimizer.ts";
import type { HostSummary } from "../../contracts/plan.ts";
import { bind } from "../../graph/bind.ts";
import { countParameters } from "../../graph/flops.ts";
import { hostHash } from "../../graph/hash.ts";
import { evaluate } from "../../graph/programs.ts";
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

export const hostPrograms = (host: Host, options: ProgramOptions): Record<HostProgramName, Program> => {
  const { optimizer, batchSize: batch, signalSamples: samples, signalFeatures: features } = options;
  return {
    step: trainStep({ host, optimizer, trainableCohorts: cohortsOf(host), batch }).program,
    evaluate: evaluate({ host, batch }),
    signal: signalProgram({ host, samples, features }),
    spans: spanProgram({ host, samples, features }),
  };
};

/** Units stand on the second axis of maps and on the last of everything else. */
const unitsOf = (sample: readonly number[]): number => (sample.length === 3 ? sample[0]! : sample.at(-1)!);

/** A layer's site is the output layer's too, as a target; no seed stands there. */
export const summarizeHost = (
  host: Host,
  { batchSize, stepFlops, forwardFlops }: Pick<HostSummary, "batchSize" | "stepFlops" | "forwardFlops">,
): HostSummary => {
  const { types } = bind(host.graph, { batch: 1, mode: "eval" });
  const slopes = slopeFlops(host, batchSize);
  const spans = legalSpans(host);
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
      return {
        site: layer.name,
        kind: layer.kind,
        inputWidth: unitsOf(inputShape),
        width: unitsOf(shape),
        inputShape,
        shape,
        slopeFlops: slopes[index]!,
        legalTargets: spans.flatMap(({ from, to }) => (from === layer.name ? [to] : [])),
      };
    }),
  };
};
