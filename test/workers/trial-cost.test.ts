/** What a trial is estimated to cost, against the FLOPs of the very programs that it runs. */
import { describe, expect, it } from "vitest";
import type { KernelKey } from "../../src/contracts/assets.ts";
import type { BlueprintRequest } from "../../src/contracts/blueprint-kinds.ts";
import { MorphogeneticConfig } from "../../src/contracts/config-morphogenetic.ts";
import type { Host } from "../../src/contracts/graph.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";
import { dryRunSteps, tinyAmplitudes, trainingSteps, trialCost } from "../../src/contracts/trial.ts";
import { bypassFor } from "../../src/graph/blueprints/index.ts";
import { countParameters, programFlops } from "../../src/graph/flops.ts";
import { hostHash } from "../../src/graph/hash.ts";
import { cnn, mlp, resnet, transformer } from "../../src/graph/hosts/index.ts";
import { evaluate } from "../../src/graph/programs.ts";
import { trainStep } from "../../src/graph/step.ts";
import { tinyMoments } from "../../src/graph/tiny-moments.ts";
import { growHost } from "../../src/workers/session/grow.ts";
import { cohortsOf, summarizeHost } from "../../src/workers/session/programs.ts";

const batchSize = 32;
const validationBatches = 10;
const config = MorphogeneticConfig.parse({});
const optimizer = OptimizerConfig.parse({ kind: "adam" });

const dense = mlp({ name: "mlp", inputShape: [1, 28, 28], widths: [64, 64, 64], classes: 10 });
const images = cnn({ name: "cnn", inputShape: [1, 28, 28], channels: [8, 16, 16], classes: 10 });
const blocks = resnet({ name: "resnet", inputShape: [3, 16, 16], width: 4, blocks: [1, 1, 1], classes: 10 });
const tokens = transformer({ name: "transformer", tokens: 16, vocabulary: 32, layers: 2, width: 16, heads: 2 });

const cases: readonly (readonly [string, string, string, BlueprintRequest["kind"], number, Host])[] = [
  ["mlp", "h1", "h2", "dense", 64, dense],
  ["mlp", "h1", "output", "low-rank", 8, dense],
  ["mlp", "h3", "output", "dense", 64, dense],
  ["mlp", "h2", "h3", "widening", 32, dense],
  ["cnn", "c1", "c2", "convolution", 16, images],
  ["cnn", "c1", "c3", "depthwise-separable", 16, images],
  ["cnn", "c2", "output", "dense", 16, images],
  ["resnet", "s1.b1.c1", "s1.b1.c2", "convolution", 4, blocks],
  ["resnet", "s2.b1.c1", "s2.b1.shortcut", "residual", 8, blocks],
  ["resnet", "s2.b1.c1", "s3.b1.c2", "convolution", 16, blocks],
  ["resnet", "s2.b1.c2", "s2.b1.c2", "squeeze-excite", 4, blocks],
  ["mlp", "h1", "h1", "replacement", 64, dense],
  ["mlp", "h3", "h3", "replacement", 64, dense],
  ["cnn", "c2", "c2", "replacement", 16, images],
  ["resnet", "s2.b1.c1", "s2.b1.c1", "replacement", 8, blocks],
  ["transformer", "b1.mlp.in", "b1.mlp.in", "replacement", 64, tokens],
  ["transformer", "b1.mlp.in", "b1.mlp.out", "token-mlp", 64, tokens],
  ["transformer", "b2.attention.value", "b2.attention.projection", "attention-head", 16, tokens],
];

/** FLOPs of a trial that takes every window it may, program by program as the session runs them. */
const charged = (host: Host, request: BlueprintRequest, fromSite: string, toSite: string): number => {
  const seedId = `seed:${fromSite}`;
  const key: KernelKey = {
    hostHash: hostHash(host),
    request,
    seedId,
    fromSite,
    toSite,
    engine: "native",
    engineVersion: "test",
    optimizer,
    batchSize,
    signalSamples: 64,
    signalFeatures: 4,
  };
  const { grown, folded } = growHost(key, host);
  const step = (of: Host, trainableCohorts: readonly string[]) =>
    programFlops(trainStep({ host: of, optimizer, trainableCohorts, batch: batchSize }).program);
  const forward = (of: Host) => programFlops(evaluate({ host: of, batch: batchSize }));
  const [kernelStep, jointStep, hostStep] = [step(grown, [seedId]), step(folded, cohortsOf(folded)), step(host, ["host"])];
  const { grafting, stabilization, fineTuning, blueprint } = config;
  const twinSteps = Math.floor((fineTuning.steps * jointStep) / hostStep);
  const layer = (site: string) => host.layers.find(({ name }) => name === site)!;
  const tiny = () => {
    const graph = bypassFor(host, layer(fromSite).input, toSite, request);
    const moments = tinyMoments({ host, from: layer(fromSite), to: layer(toSite), blueprint: graph, batch: batchSize });
    return blueprint.tinyBatches * programFlops(moments) + tinyAmplitudes.length * forward(grown);
  };
  return (
    (request.initialization === "tiny" ? tiny() : 0) +
    dryRunSteps * kernelStep +
    forward(grown) +
    (trainingSteps(config, request) + grafting.steps) * kernelStep +
    stabilization.steps * stabilization.epochsMax * forward(grown) +
    fineTuning.steps * jointStep +
    twinSteps * hostStep +
    validationBatches * (2 * forward(host) + 3 * forward(grown) + forward(folded))
  );
};

const summaryOf = (host: Host) => {
  const stepFlops = programFlops(trainStep({ host, optimizer, trainableCohorts: ["host"], batch: batchSize }).program);
  return summarizeHost(host, { batchSize, stepFlops, forwardFlops: programFlops(evaluate({ host, batch: batchSize })) });
};

describe("trialCost", () => {
  it.each(cases)(
    "of %s from %s to %s by %s %i is within a tenth of what its programs take",
    (_, fromSite, toSite, kind, hiddenWidth, host) => {
      const request = { kind, hiddenWidth, initialization: "zero" } as const;
      const cost = trialCost(summaryOf(host), { fromSite, toSite }, request, validationBatches, config);
      const real = charged(host, request, fromSite, toSite);
      expect(cost.flops / real).toBeGreaterThan(0.9);
      expect(cost.flops / real).toBeLessThan(1.1);
      const key = { seedId: "s", request, fromSite, toSite } as KernelKey;
      expect(cost.parameters).toBe(countParameters(growHost(key, host).folded) - countParameters(host));
    },
  );

  it.each(cases.filter(([, , , kind]) => kind === "dense" || kind === "convolution" || kind === "token-mlp"))(
    "of %s from %s to %s by %s %i with TINY's start too",
    (_, fromSite, toSite, kind, hiddenWidth, host) => {
      const request = { kind, hiddenWidth, initialization: "tiny" } as const;
      const { flops } = trialCost(summaryOf(host), { fromSite, toSite }, request, validationBatches, config);
      const real = charged(host, request, fromSite, toSite);
      expect(flops / real).toBeGreaterThan(0.9);
      expect(flops / real).toBeLessThan(1.1);
    },
  );

  it("of a blueprint that does not fit, or of sites that are not there, is nothing", () => {
    const none = { parameters: 0, flops: 0 };
    const summary = summaryOf(dense);
    const request = { kind: "convolution", hiddenWidth: 4, initialization: "zero" } as const;
    expect(trialCost(summary, { fromSite: "h1", toSite: "h2" }, request, 1, config)).toEqual(none);
    expect(trialCost(summary, { fromSite: "h1", toSite: "h9" }, { ...request, kind: "dense" }, 1, config)).toEqual(none);
  });
});
