/** Which programs a host and a kernel need. The training session and the forge build them from here, so that they agree. */
import type { BlueprintIR, KernelKey, KernelProgramName } from "../../contracts/assets.ts";
import type { ModelConfig } from "../../contracts/config.ts";
import type { DatasetBuffers } from "../../contracts/dataset.ts";
import { GraphError } from "../../contracts/errors.ts";
import type { Host, HostLayer, Program } from "../../contracts/graph.ts";
import type { OptimizerConfig } from "../../contracts/optimizer.ts";
import type { HostSummary } from "../../contracts/plan.ts";
import { bind } from "../../graph/bind.ts";
import { bypassFor } from "../../graph/blueprints.ts";
import { countParameters } from "../../graph/flops.ts";
import { hostHash } from "../../graph/hash.ts";
import { cnn, mlp } from "../../graph/hosts.ts";
import { evaluate } from "../../graph/programs.ts";
import { insertBypass } from "../../graph/rewrite.ts";
import { trainStep } from "../../graph/step.ts";
import { signalProgram, spanProgram } from "./probe.ts";

/** The host that the configuration names, for the shape of the data. */
export const buildHost = (model: ModelConfig, { inputShape, classes }: DatasetBuffers): Host =>
  model.name === "mlp"
    ? mlp({ name: "mlp", inputShape: [...inputShape], widths: model.widths, classes })
    : cnn({ name: "cnn", inputShape: [inputShape[0], inputShape[1], inputShape[2]], channels: model.channels, classes });

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
    step: trainStep({ host, loss: "softmaxCrossEntropy", optimizer, trainableCohorts: cohortsOf(host), batch }).program,
    evaluate: evaluate({ host, batch }),
    signal: signalProgram({ host, samples, features }),
    spans: spanProgram({ host, samples, features }),
  };
};

const layerNamed = (host: Host, site: string): HostLayer => {
  const layer = host.layers.find(({ name }) => name === site);
  if (layer !== undefined) return layer;
  const names = host.layers.map(({ name }) => name).join(", ");
  throw new GraphError(`expected one of the layers ${names}, found ${site}; name a layer of the host`, { path: site });
};

export interface GrownHosts {
  readonly blueprint: BlueprintIR;
  /** With the graph input `alpha:<seed>`. */
  readonly grown: Host;
  /** With alpha fixed at 1: what FOSSILIZED keeps. */
  readonly folded: Host;
}

/** The host with the bypass that a key describes. @throws GraphError when the span is not legal. */
export const growHost = (key: KernelKey, host: Host): GrownHosts => {
  const from = layerNamed(host, key.fromSite).input;
  const graph = bypassFor(host, from, key.toSite, key.request.hiddenWidth);
  const options = { seedId: key.seedId, blueprint: graph, from, to: key.toSite };
  return {
    blueprint: { schemaVersion: 1, name: `${key.request.kind}-${key.request.hiddenWidth}`, request: key.request, graph },
    grown: insertBypass(host, { ...options, alpha: "input" }),
    folded: insertBypass(host, { ...options, alpha: "one" }),
  };
};

/** In `kernelStep` the host's cohorts are not trainable: they have no gradient, no update and no output. */
export const kernelPrograms = (key: KernelKey, { grown, folded }: GrownHosts): Record<KernelProgramName, Program> => {
  const { optimizer, batchSize: batch } = key;
  const { step, evaluate: foldedEvaluate, signal, spans } = hostPrograms(folded, key);
  return {
    kernelStep: trainStep({ host: grown, loss: "softmaxCrossEntropy", optimizer, trainableCohorts: [key.seedId], batch }).program,
    jointStep: step,
    grownEvaluate: evaluate({ host: grown, batch }),
    foldedEvaluate,
    foldedSignal: signal,
    foldedSpans: spans,
  };
};

const legalTargets = (host: Host, index: number): string[] =>
  host.layers.slice(index + 1).flatMap(({ name }) => {
    try {
      bypassFor(host, host.layers[index]!.input, name, 1);
      return [name];
    } catch (error) {
      if (error instanceof GraphError) return [];
      throw error;
    }
  });

/** A layer's site is the output layer's too, as a target; no seed stands there. */
export const summarizeHost = (host: Host, stepFlops: number, forwardFlops: number): HostSummary => {
  const { types } = bind(host.graph, { batch: 1, mode: "eval" });
  const width = (value: string): number => types.get(value)!.shape[1]!;
  return {
    name: host.name,
    hash: hostHash(host),
    parameters: countParameters(host),
    stepFlops,
    forwardFlops,
    sites: host.layers.map((layer, index) => ({
      site: layer.name,
      kind: layer.kind,
      inputWidth: width(layer.input),
      width: width(layer.preActivation),
      legalTargets: layer.kind === "output" ? [] : legalTargets(host, index),
    })),
  };
};
