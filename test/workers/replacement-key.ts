/** The key of a replacement where engine and sizes do not matter. */
import type { KernelKey } from "../../src/contracts/assets.ts";
import { OptimizerConfig } from "../../src/contracts/optimizer.ts";

export const kernelKey = (seedId: string, site: string): KernelKey => ({
  hostHash: "0".repeat(64),
  request: { kind: "replacement", hiddenWidth: 1, initialization: "he" },
  seedId,
  fromSite: site,
  toSite: site,
  engine: "native",
  engineVersion: "1",
  optimizer: OptimizerConfig.parse({ kind: "adam" }),
  batchSize: 8,
  signalSamples: 64,
  signalFeatures: 8,
});
