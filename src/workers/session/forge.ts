/** Compiles a kernel: every program it needs over its life, for one host. The same key and host give the same bytes. */
import type { BlueprintIR, CompiledKernelArtifact, KernelKey, KernelProgramName } from "../../contracts/assets.ts";
import { kernelPrograms as kernelProgramNames } from "../../contracts/assets.ts";
import { ContractError } from "../../contracts/errors.ts";
import type { Host } from "../../contracts/graph.ts";
import type { Engine } from "../../engine/engine.ts";
import { countParameters, programFlops } from "../../graph/flops.ts";
import { contentHash, hostHash } from "../../graph/hash.ts";
import { growHost, kernelPrograms } from "./grow.ts";

/** @throws ContractError when host or engine are not those of the key; GraphError when the span is not legal or what is to go cannot. */
export const compileKernel = async (
  engine: Engine,
  key: KernelKey,
  host: Host,
): Promise<{ readonly artifact: CompiledKernelArtifact; readonly blueprint: BlueprintIR }> => {
  const hash = hostHash(host);
  if (hash !== key.hostHash) {
    throw new ContractError(`kernel key: expected the host ${key.hostHash}, found ${hash}; fetch the host that the key names`);
  }
  if (engine.name !== key.engine || engine.version !== key.engineVersion) {
    throw new ContractError(
      `kernel key: expected the engine ${key.engine} ${key.engineVersion}, found ${engine.name} ${engine.version}; ask a forge with that engine`,
    );
  }
  const grown = growHost(key, host);
  const sources = kernelPrograms(key, grown);
  const programs = {} as Record<KernelProgramName, { bytes: string; flops: number }>;
  for (const name of kernelProgramNames) {
    const { bytes } = await engine.compile(sources[name]);
    programs[name] = { bytes: Buffer.from(bytes).toString("base64"), flops: programFlops(sources[name]) };
  }
  return {
    blueprint: grown.blueprint,
    artifact: {
      schemaVersion: 1,
      key,
      blueprintHash: contentHash(grown.blueprint),
      foldedHost: grown.folded,
      // What takes parameters away adds none.
      parameters: key.prune === undefined ? countParameters(grown.folded) - countParameters(host) : 0,
      programs,
    },
  };
};
