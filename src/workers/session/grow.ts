/** The host grown by one kernel, or with parts blended out before they are pruned, and the programs that it needs over its life. */
import type { BlueprintIR, KernelKey, KernelProgramName } from "../../contracts/assets.ts";
import { GraphError } from "../../contracts/errors.ts";
import type { Host, HostLayer, Parameter, Program, Tensor } from "../../contracts/graph.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import type { PruneTarget } from "../../contracts/pruning.ts";
import { bypassFor } from "../../graph/blueprints/index.ts";
import { initializeParameters } from "../../graph/initialize.ts";
import { maskTarget } from "../../graph/mask.ts";
import { evaluate } from "../../graph/programs.ts";
import { pruneTarget } from "../../graph/prune.ts";
import { insertReplacement, ownName } from "../../graph/replace.ts";
import { insertBypass } from "../../graph/rewrite.ts";
import { legalTargets } from "../../graph/spans.ts";
import { trainStep } from "../../graph/step.ts";
import { zerosFor } from "./batch.ts";
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
  /** With alpha fixed at 1: what FOSSILIZED keeps. Of a replacement the host itself, whose layer takes the fresh parameters. */
  readonly folded: Host;
}

/** What is cut follows from the graph alone, so that zeros will do for the tensors, which a forge does not have. */
const prunedHost = (host: Host, target: PruneTarget): Host => {
  const zeros = host.graph.parameters.map(({ name, shape }) => [name, zerosFor({ dtype: "float32", shape })] as const);
  const pruning = pruneTarget(host, new Map(zeros), target);
  if (pruning.kind === "pruned") return pruning.host;
  throw new GraphError(`prune ${target.site}: expected a part that can go, found: ${pruning.reason}; name another`, {
    path: target.site,
  });
};

const blendOut = ({ seedId, request }: KernelKey, host: Host, target: PruneTarget): GrownHosts => {
  const { host: grown, graph } = maskTarget(host, seedId, target);
  return {
    blueprint: { schemaVersion: 1, name: `prune-${target.kind}`, request, graph },
    grown,
    folded: prunedHost(host, target),
  };
};

const replaceLayer = ({ seedId, request, fromSite, toSite }: KernelKey, host: Host): GrownHosts => {
  if (fromSite !== toSite) {
    throw new GraphError(
      `replacement from ${fromSite} to ${toSite}: expected one layer as both ends, found two; name one of them`,
      {
        path: toSite,
      },
    );
  }
  const { grown, blueprint: graph } = insertReplacement(host, seedId, fromSite);
  return { blueprint: { schemaVersion: 1, name: `replacement-${fromSite}`, request, graph }, grown, folded: host };
};

/** Parameters that a key brings, in the host with its alpha. */
export const broughtParameters = (key: KernelKey, host: Host): readonly Parameter[] =>
  growHost(key, host).grown.graph.parameters.filter(({ cohort }) => cohort === key.seedId);

/** Parameters that a key brings, as they start: drawn; those of a mask say what it is that goes; a replaced layer's tail is the host's own. */
export const startParameters = (
  { seedId, prune, request, fromSite }: KernelKey,
  host: Host,
  brought: readonly Parameter[],
  random: RandomSource,
  hostTensors: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> => {
  if (prune !== undefined) return new Map(maskTarget(host, seedId, prune).tensors);
  const drawn = initializeParameters(brought, random);
  if (request.kind !== "replacement") return drawn;
  const { fresh } = insertReplacement(host, seedId, fromSite);
  return new Map(
    [...drawn].map(([name, tensor]) => {
      const own = fresh.has(name) ? undefined : hostTensors.get(ownName(seedId, name));
      return [name, own === undefined ? tensor : { ...own, data: own.data.slice() }];
    }),
  );
};

/** The host with what a key describes. @throws GraphError when the span is not legal, or what is to go cannot. */
export const growHost = (key: KernelKey, host: Host): GrownHosts => {
  if (key.prune !== undefined) return blendOut(key, host, key.prune);
  if (key.request.kind === "replacement") return replaceLayer(key, host);
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
