/** Where a model comes from: what travels with it in every format. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { FieldReport } from "../contracts/assets.ts";
import { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { Host, Tensor } from "../contracts/graph.ts";
import { hostHash } from "../graph/hash.ts";
import { sizeOf } from "../graph/shapes.ts";

/** A seed that was kept: what it added, and how it was judged. One that replaced a layer adds no parameters. */
const SeedLineage = z.strictObject({
  seedId: z.string(),
  parameters: z.int().min(0),
  fromSite: z.string().optional(),
  toSite: z.string().optional(),
  blueprint: BlueprintRequest.optional(),
  blueprintHash: z.string().optional(),
  kernelHash: z.string().optional(),
  /** Fall of validation loss at the verdict, in nats. */
  lossGain: z.number().optional(),
});
export type SeedLineage = z.infer<typeof SeedLineage>;

export const Lineage = z.strictObject({
  format: z.literal("esper-model"),
  version: z.literal(1),
  producer: z.string(),
  runId: z.string().optional(),
  /** The file that the base was imported from. */
  source: z.string().optional(),
  /** SHA-256 of the host's canonical JSON, and of its parameters. */
  hostHash: z.string(),
  parametersHash: z.string(),
  seeds: z.array(SeedLineage).max(100_000),
});
export type Lineage = z.infer<typeof Lineage>;

export const producer = "esper 0.1.0";

/** SHA-256 over names, shapes and bytes of tensors, in order of name. */
export const tensorsHash = (tensors: Readonly<Record<string, Tensor>>): string => {
  const hash = createHash("sha256");
  for (const name of Object.keys(tensors).sort()) {
    const { dtype, shape, data } = tensors[name]!;
    hash.update(JSON.stringify([name, dtype, shape]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
};

/** Cohorts of a host other than its own, in the order in which they were grown. */
export const seedsOf = (host: Host): readonly string[] => [
  ...new Set(host.graph.parameters.map(({ cohort }) => cohort).filter((cohort) => cohort !== "host")),
];

/** Parameters that a seed brought. */
export const seedParameters = (host: Host, seedId: string): number =>
  host.graph.parameters.filter(({ cohort }) => cohort === seedId).reduce((sum, { shape }) => sum + sizeOf(shape), 0);

export interface LineageFacts {
  readonly runId?: string | undefined;
  readonly source?: string | undefined;
  readonly fieldReports?: readonly FieldReport[];
}

const given = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

export const lineageOf = (host: Host, parameters: Readonly<Record<string, Tensor>>, facts: LineageFacts = {}): Lineage => {
  const kept = (facts.fieldReports ?? []).filter(({ outcome }) => outcome === "FOSSILIZED");
  const present = seedsOf(host);
  // A fresh layer stands under the name of the one whose place it took; the reports alone tell of it.
  const replaced = kept.filter(({ seedId, blueprint }) => blueprint?.kind === "replacement" && !present.includes(seedId));
  const seeds = [...present, ...replaced.map(({ seedId }) => seedId)].map((seedId): SeedLineage => {
    const report = kept.find((each) => each.seedId === seedId);
    return {
      seedId,
      parameters: seedParameters(host, seedId),
      ...given({
        fromSite: report?.fromSite,
        toSite: report?.toSite,
        blueprint: report?.blueprint,
        blueprintHash: report?.blueprintHash,
        kernelHash: report?.kernelHash,
        lossGain: report?.measuredGain?.mean,
      }),
    };
  });
  return {
    format: "esper-model",
    version: 1,
    producer,
    ...given({ runId: facts.runId, source: facts.source }),
    hostHash: hostHash(host),
    parametersHash: tensorsHash(parameters),
    seeds,
  };
};
