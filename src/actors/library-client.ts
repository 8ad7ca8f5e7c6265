/**
 * How actors ask Urza: typed assets in and out, every failure a union.
 *
 * All of it is idempotent: assets are named by their content. A library that is being restarted is asked again for a short while: `missing` and `refused` are Urza's own words, or her long silence.
 */
import type { RequestOutcome } from "../bus/bus.ts";
import { BlueprintIR, CompiledKernelArtifact, HostAsset } from "../contracts/assets.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import { Policy } from "../contracts/policy.ts";
import type { IdempotentSubject, InputOf, ReplyOf } from "../contracts/subjects.ts";
import type { CapabilityRefusal } from "../contracts/work.ts";
import type { ActorScope } from "./shell.ts";

const schemas = { blueprint: BlueprintIR, host: HostAsset, kernel: CompiledKernelArtifact, policy: Policy } as const;

interface Assets {
  blueprint: BlueprintIR;
  host: HostAsset;
  kernel: CompiledKernelArtifact;
  policy: Policy;
}

/** What is needed to ask: the asker's own connection, end, and patience. */
export type Asker = Pick<ActorScope, "bus" | "signal" | "retry">;

export type Fetched<K extends keyof Assets> =
  | { readonly kind: "found"; readonly asset: Assets[K] }
  /** `refused`: the token does not open it. */
  | { readonly kind: "missing"; readonly reason: string; readonly refused?: CapabilityRefusal["code"] };
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

/** @param token opens the library to whoever works on a task */
export const fetchAsset = async <K extends keyof Assets>(
  asker: Asker,
  kind: K,
  hash: string,
  token?: string,
): Promise<Fetched<K>> => {
  const outcome = await ask(asker, "library.asset.get", { kind, hash, ...(token === undefined ? {} : { token }) });
  if (outcome.kind !== "reply") return { kind: "missing", reason: outcome.reason };
  if (outcome.value.kind !== "found") {
    const { reason } = outcome.value;
    return outcome.value.kind === "refused"
      ? { kind: "missing", reason, refused: outcome.value.code }
      : { kind: "missing", reason };
  }
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

/** Why they were not kept; undefined when they were. */
export const storeTags = async (asker: Asker, put: InputOf<"library.tags.put">): Promise<string | undefined> => {
  const outcome = await ask(asker, "library.tags.put", put);
  if (outcome.kind !== "reply") return outcome.reason;
  return outcome.value.kind === "refused" ? outcome.value.reason : undefined;
};

export const storeAsset = async (asker: Asker, put: InputOf<"library.asset.put">): Promise<Stored> => {
  const outcome = await ask(asker, "library.asset.put", put);
  return outcome.kind === "reply" ? outcome.value : { kind: "refused", reason: outcome.reason };
};
