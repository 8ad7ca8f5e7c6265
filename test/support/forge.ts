/** Forges, orders and capabilities for tests. */
import type { OrderPorts } from "../../src/actors/orders.ts";
import { ValidationConfig } from "../../src/contracts/config-validation.ts";
import type { CharacterizeTask, CompileTask } from "../../src/contracts/work.ts";
import { type OrderTerms, orderCharacterization, orderCompilation } from "../../src/machines/task-orders.ts";
import type { ForgeIdentity } from "../../src/policy/task-fit.ts";
import { capabilityAuthority } from "../../src/store/capability-token.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { hashJson } from "../../src/store/json.ts";
import { kernelKeyHash } from "../../src/store/library.ts";
import { hashOf, kernelKey } from "../store/support.ts";

export const authority = capabilityAuthority(generateSigningKey());

/** Can do what the fixtures' keys ask for. */
export const identity = (over: Partial<ForgeIdentity> = {}): ForgeIdentity => ({
  node: "here",
  engines: [
    { name: "native", version: "1" },
    { name: "native", version: "1.0.0" },
  ],
  tags: [],
  declinesMax: 3,
  clockSkewMs: 0,
  ...over,
});

export const terms: OrderTerms = { machineTags: [], bytesMax: 1_000_000, tokenMsMax: 10_000_000 };
export const orders: OrderPorts = { terms, mint: (claims) => authority.mint(claims) };
export const doorPorts = { read: authority.read, clockSkewMs: 1_000 };

const wanted = { runId: "r-1", seedId: "seed:h1", key: kernelKey() };

/** The compilation of `kernelKey()`, ordered now. */
export const compileTask = (nowMs: number, wallMsMax = 60_000, over: Partial<CompileTask> = {}): CompileTask => {
  const hashes = { key: kernelKeyHash(wanted.key), request: hashJson(wanted.key.request, "request") };
  const { task, claims } = orderCompilation(wanted, hashes, terms, { nowMs, wallMsMax });
  return { ...task, token: authority.mint(claims), ...over };
};

/** The measurement of its kernel. */
export const characterizeTask = (
  nowMs: number,
  timeoutMs = 60_000,
  over: Partial<CharacterizeTask> = {},
  { kernelHash = hashOf("d"), keyHash = hashOf("1") } = {},
): CharacterizeTask => {
  const kernel = {
    kind: "ready",
    taskId: "t",
    runId: "r-1",
    seedId: "seed:h1",
    keyHash,
    kernelHash,
    blueprintHash: hashOf("b"),
    parameters: 3,
    flops: {},
    compileMs: 1,
  } as const;
  const { task, claims } = orderCharacterization(wanted, kernel, ValidationConfig.parse({ timeoutMs }), terms, nowMs);
  return { ...task, token: authority.mint(claims), ...over };
};
