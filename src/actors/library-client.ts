/**
 * How actors ask Urza: typed assets in and out, every failure a union.
 *
 * A library that is being restarted is asked again for a short while: `missing` and `refused` are Urza's own words, or her long silence.
 */
import type { RequestOutcome } from "../bus/bus.ts";
import { BlueprintIR, CompiledKernelArtifact, HostAsset } from "../contracts/assets.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import { delay } from "../contracts/ports.ts";
import type { InputOf, ReplyOf, RequestSubject } from "../contracts/subjects.ts";
import type { ActorScope } from "./shell.ts";

const schemas = { blueprint: BlueprintIR, host: HostAsset, kernel: CompiledKernelArtifact } as const;
const attemptsMax = 8;
const retryMs = 250;

interface Assets {
  blueprint: BlueprintIR;
  host: HostAsset;
  kernel: CompiledKernelArtifact;
}

/** What is needed to ask: the asker's own connection, clock, and end. */
export type Asker = Pick<ActorScope, "bus" | "clock" | "signal">;

export type Fetched<K extends keyof Assets> =
  | { readonly kind: "found"; readonly asset: Assets[K] }
  | { readonly kind: "missing"; readonly reason: string };
export type Stored = { readonly kind: "stored"; readonly hash: string } | { readonly kind: "refused"; readonly reason: string };

/** Rejects with the signal's reason when the asker ends meanwhile. */
const ask = async <S extends RequestSubject>(
  { bus, clock, signal }: Asker,
  subject: S,
  payload: InputOf<S>,
): Promise<RequestOutcome<ReplyOf<S>>> => {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    const outcome = await bus.request(subject, payload);
    signal.throwIfAborted();
    const passing = outcome.kind === "unavailable" || outcome.kind === "timeout";
    if (!passing || attempt >= attemptsMax) return outcome;
    await delay(clock, retryMs, signal);
  }
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
