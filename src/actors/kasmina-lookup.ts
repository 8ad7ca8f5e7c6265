/**
 * What a command names by hash, looked up in the library before Kasmina accepts it, so that what waits for its boundary is complete.
 *
 * U1 What is looked up is the same whenever it is: it is named by its content. What a policy's change makes is put together here as far as it
 *    is known, and again at its boundary.
 * U2 What the library does not have, does not give, or what does not fit is refused with a code; nothing was changed.
 * U3 A policy is stored only when nothing else stands in the way of its command, and one that changes make when it is in force.
 */
import type { CommandReceipt, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import { changePolicy, type Policy } from "../contracts/policy.ts";
import { findSite } from "../contracts/trial.ts";
import { acceptCommand, resolveGermination } from "../machines/accept-command.ts";
import { type KasminaRunState, policyToCome } from "../machines/kasmina-state.ts";
import { hashJson } from "../store/json.ts";
import { type Asker, fetchAsset, findTags, storeAsset } from "./library-client.ts";

type Command<K extends KasminaControlCommand["kind"]> = Extract<KasminaControlCommand, { kind: K }>;

export type LookedUp =
  | { readonly kind: "found"; readonly command: KasminaControlCommand }
  | { readonly kind: "refused"; readonly receipt: CommandReceipt };

export interface LookupPorts {
  readonly asker: Asker;
  /** Whose measurements count. */
  readonly machine: string;
  /** Who asked, for the provenance of what is stored. */
  readonly producer: string;
}

const refuse = ({ requestId }: KasminaControlCommand, code: RefusalCode, reason: string): LookedUp => ({
  kind: "refused",
  receipt: { kind: "refused", requestId, code, reason },
});

const germination = async ({ asker }: LookupPorts, state: KasminaRunState, command: Command<"germinate">): Promise<LookedUp> => {
  const { blueprint } = command;
  if (blueprint === undefined || !("hash" in blueprint)) return { kind: "found", command };
  const fetched = await fetchAsset(asker, "blueprint", blueprint.hash);
  if (fetched.kind !== "found") return refuse(command, "unknown_asset", fetched.reason);
  const { request, graph, name } = fetched.asset;
  const named = { ...command, blueprint: request };
  const resolved = resolveGermination(state, named);
  // What is wrong beside the blueprint is refused with its own words.
  if ("code" in resolved) return { kind: "found", command: named };
  const wanted = findSite(state.host, resolved.span.fromSite)?.inputShape ?? [];
  const made = graph.inputs.find((input) => input.name === "in")?.shape.slice(1) ?? [];
  return made.join() === wanted.join()
    ? { kind: "found", command: named }
    : refuse(
        command,
        "unfit",
        `${name} was made for samples of [${made.join(", ")}], the input of ${resolved.span.fromSite} has [${wanted.join(", ")}]; submit one for that shape`,
      );
};

/** Stores the policy and names it by its hash. */
const withPolicy = async (
  { asker, producer }: LookupPorts,
  state: KasminaRunState,
  command: Command<"policy_load">,
  policy: Policy,
): Promise<LookedUp> => {
  const { requestId } = command;
  const hash = hashJson(policy, "policy");
  if (command.hash !== undefined && command.hash !== hash)
    return refuse(command, "unfit", `expected a policy with the hash ${command.hash}, got one with ${hash}`);
  const load = { ...command, policy, hash };
  if (acceptCommand(state, load).receipt.kind === "refused") return { kind: "found", command: load }; // U3: refused with its own words
  const stored = await storeAsset(asker, {
    kind: "policy",
    asset: policy,
    inputs: [],
    source: `command ${requestId}`.slice(0, 256),
    producer,
    cause: { commandHash: hashJson(command, "command") },
  });
  return stored.kind === "refused"
    ? refuse(command, "unavailable", `the library did not keep the policy: ${stored.reason}`)
    : { kind: "found", command: load };
};

const policyLoad = async (ports: LookupPorts, state: KasminaRunState, command: Command<"policy_load">): Promise<LookedUp> => {
  if (!("hash" in command.policy)) return withPolicy(ports, state, command, command.policy);
  const fetched = await fetchAsset(ports.asker, "policy", command.policy.hash);
  if (fetched.kind !== "found") return refuse(command, "unknown_asset", fetched.reason);
  return { kind: "found", command: { ...command, policy: fetched.asset, hash: command.policy.hash } };
};

const policyUpdate = (state: KasminaRunState, command: Command<"policy_update">): LookedUp => {
  if (command.policy !== undefined || command.hash !== undefined)
    return refuse(
      command,
      "invalid",
      "expected the values to change in `set` alone, got a policy or a hash; policy_load takes those",
    );
  const before = policyToCome(state);
  if (before === undefined) return refuse(command, "unavailable", "this run has no policy that could be changed; load one");
  const changed = changePolicy(before, command.set, command.name);
  if (changed.kind === "refused") return refuse(command, "invalid", changed.reason);
  const { policy } = changed;
  return { kind: "found", command: { ...command, policy, hash: hashJson(policy, "policy") } };
};

/** U3. Why it was not kept; undefined when it is, also when it was before. */
export const keepPolicy = async (
  asker: Asker,
  { policy, runId, commandHash }: { readonly policy: Policy; readonly runId: string; readonly commandHash: string | undefined },
): Promise<string | undefined> => {
  const stored = await storeAsset(asker, {
    kind: "policy",
    asset: policy,
    inputs: [],
    source: `run ${runId}`.slice(0, 256),
    producer: "kasmina",
    ...(commandHash === undefined ? {} : { cause: { commandHash } }),
  });
  return stored.kind === "refused" ? stored.reason : undefined;
};

/** A kernel may be cached where it could be taken: made for this host, engine and batch, at this layer, and measured on this machine. */
const kernelToCache = async (
  { asker, machine }: LookupPorts,
  { host, setup }: KasminaRunState,
  command: Command<"load_kernel">,
): Promise<LookedUp> => {
  const { hash, site } = command;
  const fetched = await fetchAsset(asker, "kernel", hash);
  if (fetched.kind !== "found")
    return refuse(command, /withdrew/.test(fetched.reason) ? "withdrawn" : "unknown_asset", fetched.reason);
  const { key } = fetched.asset;
  const wanted = [
    ["layer", site, key.fromSite],
    ["host", host.hash, key.hostHash],
    ["engine", setup.kernel.engine, key.engine],
    ["engine version", setup.kernel.engineVersion, key.engineVersion],
    ["batch size", setup.kernel.batchSize, key.batchSize],
  ] as const;
  const misfit = wanted.find(([, expected, found]) => expected !== found);
  if (misfit !== undefined) {
    const [what, expected, found] = misfit;
    return refuse(
      command,
      "unfit",
      `kernel ${hash.slice(0, 12)}: expected ${what} ${expected}, found ${found}; compile it for this run`,
    );
  }
  const known = await findTags(asker, { kernelHash: hash, machine });
  return known.some(({ measured }) => measured !== undefined)
    ? { kind: "found", command }
    : refuse(
        command,
        "unfit",
        `kernel ${hash.slice(0, 12)} was never measured on ${machine}; only what is characterised is taken`,
      );
};

/** The command with what it names, or a refusal. */
export const lookUp = async (ports: LookupPorts, state: KasminaRunState, command: KasminaControlCommand): Promise<LookedUp> => {
  switch (command.kind) {
    case "germinate":
      return germination(ports, state, command);
    case "policy_load":
      return policyLoad(ports, state, command);
    case "policy_update":
      return policyUpdate(state, command);
    case "load_kernel":
      return kernelToCache(ports, state, command);
    default:
      return { kind: "found", command };
  }
};
