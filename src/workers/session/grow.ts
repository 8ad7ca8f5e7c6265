/** The host grown by one kernel, and the programs that the kernel needs over its life. */
import type { BlueprintIR, KernelKey, KernelProgramName } from "../../contracts/assets.ts";
import { GraphError } from "../../contracts/errors.ts";
import type { Host, HostLayer, Program } from "../../contracts/graph.ts";
import { bypassFor } from "../../graph/blueprints/index.ts";
import { evaluate } from "../../graph/programs.ts";
import { insertBypass } from "../../graph/rewrite.ts";
import { legalTargets } from "../../graph/spans.ts";
import { trainStep } from "../../graph/step.ts";
import { hostPrograms } from "./programs.ts";

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
  const targets = legalTargets(host, key.fromSite);
  if (!targets.includes(key.toSite)) {
    throw new GraphError(
      `span from ${key.fromSite} to ${key.toSite}: expected one of its legal targets (${targets.join(", ") || "none"}); choose one of them`,
      { path: key.toSite },
    );
  }
  const graph = bypassFor(host, from, key.toSite, key.request);
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
    kernelStep: trainStep({ host: grown, optimizer, trainableCohorts: [key.seedId], batch }).program,
    jointStep: step,
    grownEvaluate: evaluate({ host: grown, batch }),
    foldedEvaluate,
    foldedSignal: signal,
    foldedSpans: spans,
  };
};
