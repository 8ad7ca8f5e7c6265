/**
 * Compiled kernels in a lane: gate 1's static check, loading, and a cache bounded in bytes.
 *
 * C1 A kernel in use (in trial, or folded into the host) is never disposed, also when the cache lets go of it.
 * C2 What the cache has let go of is disposed as soon as nobody uses it.
 */
import { LRUCache } from "lru-cache";
import type { KernelKey, KernelProgramName } from "../../contracts/assets.ts";
import { CompiledKernelArtifact, kernelPrograms } from "../../contracts/assets.ts";
import { GraphError } from "../../contracts/errors.ts";
import type { Host } from "../../contracts/graph.ts";
import type { Engine, Executable } from "../../engine/engine.ts";
import { countParameters } from "../../graph/flops.ts";
import { contentHash, hostHash } from "../../graph/hash.ts";
import { growHost } from "./grow.ts";
import { guardKernel } from "./kernel-failure.ts";

export interface LoadedKernel {
  readonly hash: string;
  readonly key: KernelKey;
  readonly foldedHost: Host;
  readonly parameters: number;
  readonly programs: Readonly<Record<KernelProgramName, Executable>>;
  /** FLOPs of one run of each program. */
  readonly flops: Readonly<Record<KernelProgramName, number>>;
  readonly bytes: number;
}

/** What a kernel must have been compiled for. */
export interface KernelExpectation extends Pick<KernelKey, "seedId" | "fromSite" | "toSite" | "engine" | "engineVersion"> {
  readonly host: Host;
  readonly optimizer: KernelKey["optimizer"];
  readonly batchSize: number;
  readonly signalSamples: number;
  readonly signalFeatures: number;
}

const compared = [
  "hostHash",
  "seedId",
  "fromSite",
  "toSite",
  "engine",
  "engineVersion",
  "optimizer",
  "batchSize",
  "signalSamples",
  "signalFeatures",
] as const;

const text = (value: unknown): string => (typeof value === "object" ? contentHash(value ?? {}) : String(value));

/** Gate 1 for an artifact: schema first, then its fit. Empty when all is well. */
export const staticProblems = (candidate: unknown, expectation: KernelExpectation): string[] => {
  const parsed = CompiledKernelArtifact.safeParse(candidate);
  if (parsed.success) return misfits(parsed.data, expectation);
  return parsed.error.issues.slice(0, 8).map((issue) => `kernel ${issue.path.map(String).join(".")}: ${issue.message}`);
};

/** A pruned host is told by its hash: it keeps names and loses shapes. */
const pruningMisfits = (key: KernelKey, foldedHost: Host, parameters: number, host: Host): string[] => {
  const problems = parameters === 0 ? [] : [`kernel parameters: expected 0, found ${parameters}`];
  try {
    const [wanted, found] = [hostHash(growHost(key, host).folded), hostHash(foldedHost)];
    return wanted === found ? problems : [...problems, `kernel pruned host: expected ${wanted}, found ${found}`];
  } catch (error) {
    if (error instanceof GraphError) return [...problems, `kernel ${error.message}`];
    throw error;
  }
};

/** Everything that can be said of a kernel's fit to a host without running it. Empty when it fits. */
export const misfits = (
  { key, foldedHost, parameters }: Pick<CompiledKernelArtifact, "key" | "foldedHost" | "parameters">,
  { host, ...expected }: KernelExpectation,
): string[] => {
  const wanted = { ...expected, hostHash: hostHash(host) };
  const problems: string[] = compared.flatMap((field) =>
    text(key[field]) === text(wanted[field])
      ? []
      : [`kernel ${field}: expected ${text(wanted[field])}, found ${text(key[field])}`],
  );
  if (key.prune !== undefined) return [...problems, ...pruningMisfits(key, foldedHost, parameters, host)];
  if (key.request.kind === "replacement" && hostHash(foldedHost) !== wanted.hostHash)
    problems.push(`kernel folded host: expected ${wanted.hostHash} with the layer's fresh parameters, found another host`);
  const folded = new Map(foldedHost.graph.parameters.map((parameter) => [parameter.name, parameter]));
  for (const { name, shape } of host.graph.parameters) {
    const found = folded.get(name)?.shape;
    if (found === undefined || found.join() !== shape.join()) {
      problems.push(`kernel host parameter ${name}: expected [${shape.join(", ")}], found [${found?.join(", ") ?? "nothing"}]`);
    }
  }
  const added = countParameters(foldedHost) - countParameters(host);
  if (added !== parameters) problems.push(`kernel parameters: expected ${added}, found ${parameters}`);
  return problems;
};

/** Bytes of programs to things that run: what the swap at an epoch boundary costs. */
export const loadKernel = async (engine: Engine, hash: string, artifact: CompiledKernelArtifact): Promise<LoadedKernel> => {
  const programs: Partial<Record<KernelProgramName, Executable>> = {};
  const flops: Partial<Record<KernelProgramName, number>> = {};
  try {
    for (const name of kernelPrograms) {
      const program = artifact.programs[name];
      const bytes = new Uint8Array(Buffer.from(program.bytes, "base64"));
      programs[name] = guardKernel(await engine.load({ engine: engine.name, engineVersion: engine.version, bytes }));
      flops[name] = program.flops;
    }
  } catch (error) {
    await Promise.all(Object.values(programs).map((program) => program.dispose()));
    throw error;
  }
  const complete = programs as Record<KernelProgramName, Executable>;
  return {
    hash,
    key: artifact.key,
    foldedHost: artifact.foldedHost,
    parameters: artifact.parameters,
    programs: complete,
    flops: flops as Record<KernelProgramName, number>,
    bytes: Math.max(
      1,
      Object.values(complete).reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    ),
  };
};

const disposeKernel = (kernel: LoadedKernel): Promise<unknown> =>
  Promise.all(Object.values(kernel.programs).map((program) => program.dispose()));

export class KernelCache {
  readonly #cache: LRUCache<string, LoadedKernel>;
  readonly #users = new Map<LoadedKernel, number>();
  readonly #disposals = new Set<Promise<unknown>>();

  constructor(bytesMax: number) {
    this.#cache = new LRUCache<string, LoadedKernel>({
      maxSize: bytesMax,
      sizeCalculation: ({ bytes }) => bytes,
      disposeAfter: (kernel) => this.#disposeUnused(kernel),
    });
  }

  get bytes(): number {
    return this.#cache.calculatedSize;
  }

  /** A loaded kernel for one user, who gives it back with `release`. */
  async acquire(
    hash: string,
    load: () => Promise<LoadedKernel>,
  ): Promise<{ readonly kernel: LoadedKernel; readonly cached: boolean }> {
    const known = this.#cache.get(hash) ?? this.peek(hash);
    const kernel = known ?? (await load());
    this.#users.set(kernel, (this.#users.get(kernel) ?? 0) + 1); // C1
    if (known === undefined) this.#cache.set(hash, kernel);
    return { kernel, cached: known !== undefined };
  }

  /** A kernel that is loaded already, without becoming its user. */
  peek(hash: string): LoadedKernel | undefined {
    return this.#cache.peek(hash) ?? [...this.#users.keys()].find((kernel) => kernel.hash === hash);
  }

  /** Lets go of a kernel; one in use stays with its users (C1). False when it was not there. */
  evict(hash: string): boolean {
    return this.#cache.delete(hash);
  }

  release(kernel: LoadedKernel): void {
    const users = (this.#users.get(kernel) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(kernel, users);
      return;
    }
    this.#users.delete(kernel);
    if (!this.#cache.has(kernel.hash)) this.#disposeUnused(kernel); // C2
  }

  /** Disposes everything. */
  async clear(): Promise<void> {
    for (const kernel of this.#users.keys()) if (!this.#cache.has(kernel.hash)) this.#dispose(kernel);
    this.#users.clear();
    this.#cache.clear();
    await Promise.all(this.#disposals);
  }

  #disposeUnused(kernel: LoadedKernel): void {
    if (!this.#users.has(kernel)) this.#dispose(kernel); // C1
  }

  #dispose(kernel: LoadedKernel): void {
    const disposal = disposeKernel(kernel).finally(() => this.#disposals.delete(disposal));
    this.#disposals.add(disposal);
  }
}
