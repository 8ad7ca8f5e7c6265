/** How actors ask Urza: typed assets in and out, every failure a union. */

import type { Bus } from "../bus/bus.ts";
import { BlueprintIR, CompiledKernelArtifact, HostAsset } from "../contracts/assets.ts";
import type { InputOf } from "../contracts/subjects.ts";

const schemas = { blueprint: BlueprintIR, host: HostAsset, kernel: CompiledKernelArtifact } as const;

interface Assets {
  blueprint: BlueprintIR;
  host: HostAsset;
  kernel: CompiledKernelArtifact;
}

export type Fetched<K extends keyof Assets> =
  | { readonly kind: "found"; readonly asset: Assets[K] }
  | { readonly kind: "missing"; readonly reason: string };
export type Stored = { readonly kind: "stored"; readonly hash: string } | { readonly kind: "refused"; readonly reason: string };

export const fetchAsset = async <K extends keyof Assets>(bus: Bus, kind: K, hash: string): Promise<Fetched<K>> => {
  const outcome = await bus.request("library.asset.get", { kind, hash });
  if (outcome.kind !== "reply") return { kind: "missing", reason: outcome.reason };
  if (outcome.value.kind === "missing") return outcome.value;
  const parsed = schemas[kind].safeParse(outcome.value.asset);
  return parsed.success
    ? { kind: "found", asset: parsed.data as Assets[K] }
    : { kind: "missing", reason: `the ${kind} ${hash} does not fit its schema: ${parsed.error.message}` };
};

export const storeAsset = async (bus: Bus, put: InputOf<"library.asset.put">): Promise<Stored> => {
  const outcome = await bus.request("library.asset.put", put);
  return outcome.kind === "reply" ? outcome.value : { kind: "refused", reason: outcome.reason };
};
