/**
 * How actors ask Urza: typed assets in and out, every failure a union.
 *
 * All of it is idempotent: assets are named by their content. A library that is being restarted is asked again for a short while: `missing` and `refused` are Urza's own words, or her long silence.
 */
import type { RequestOutcome } from "../bus/bus.ts";
import { BlueprintIR, CompiledKernelArtifact, HostAsset } from "../contracts/assets.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { IdempotentSubject, InputOf, ReplyOf } from "../contracts/subjects.ts";
import type { ActorScope } from "./shell.ts";

const schemas = { blueprint: BlueprintIR, host: HostAsset, kernel: CompiledKernelArtifact } as const;

interface Assets {
  blueprint: BlueprintIR;
  host: HostAsset;
  kernel: CompiledKernelArtifact;
}

/** What is needed to ask: the asker's own connection, end, and patience. */
export type Asker = Pick<ActorScope, "bus" | "signal" | "retry">;

export type Fetched<K extends keyof Assets> =
  | { readonly kind: "found"; readonly asset: Assets[K] }
  | { readonly kind: "missing"; readonly reason: string };
export type Stored = { readonly kind: "stored"; readonly hash: string } | { readonly kind: "refused"; readonly reason: string };

/** Rejects with the signal's reason when the asker ends meanwhile. */
const ask = async <S extends IdempotentSubject>(
  { bus, signal, retry }: Asker,
  subject: S,
  payload: InputOf<S>,
): Promise<RequestOutcome<ReplyOf<S>>> => {
  const answered = await retry<RequestOutcome<ReplyOf<S>>>(async () => {
    const outcome = await bus.request(subject, payload);
    if (outcome.kind !== "unavailable" && outcome.kind !== "timeout") return { kind: "settled", value: outcome };
    const { retryAfterMs: afterMs } = outcome;
    return { kind: "again", value: outcome, ...(afterMs === undefined ? {} : { afterMs }) };
  });
  signal.throwIfAborted();
  return answered;
};

export const fetchAsset = async <K extends keyof Assets>(asker: Asker, kind: K, hash: string): Promise<Fetched<K>> => {
  const outcome = await ask(asker, "library.asset.get", { kind, hash });
  if (outcome.kind !== "reply") return { kind: "missing", reason: outcome.reason };
  if (outcome.value.kind === "missing") return outcome.value;
  const parsed = schemas[kind].safeParse(outcome.value.asset);
  return parsed.success
    ? { kind: "found", asset: parsed.data as Assets[K] }
    : { kind: "missing", reason: `the ${kind} ${hash} does not fit its schema: ${parsed.error.message}` };
};

/** What is known of kernels; nothing when the library does not answer. */
export const findTags = async (asker: Asker, query: InputOf<"library.tags.find">): Promise<readonly KernelTags[]> => {
  const outcome = await ask(asker, "library.tags.find", query);
  return outcome.kind === "reply" ? outcome.value.found : [];
};

export const storeAsset = async (asker: Asker, put: InputOf<"library.asset.put">): Promise<Stored> => {
  const outcome = await ask(asker, "library.asset.put", put);
  return outcome.kind === "reply" ? outcome.value : { kind: "refused", reason: outcome.reason };
};
