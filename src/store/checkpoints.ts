/**
 * Checkpoints: `<folder>/<runId>/<epoch>/` with `tensors.safetensors`, `state.json`, `provenance.json` and, written last, `manifest.json`.
 *
 * K1 A folder named by an epoch is complete: it is filled under another name, synced, and renamed.
 * K2 What is loaded has the sizes and hashes of its manifest, and the manifest was signed by a key that counts here: all that is
 *    checked before a byte of it is parsed. Anything else is a DataError that names the file.
 * K3 A save that fails leaves no half checkpoint, and all earlier ones as they were.
 * K4 Saving an epoch again replaces it; in a crash either the old or the new one survives.
 * K5 File and header sizes are bounded.
 * K6 The index knows the last checkpoint of a run once it is durable. Asked for the last one, none is given that is older than that.
 * K7 A checkpoint in the place of another, of another window or run, is refused.
 */
import { basename, dirname, join } from "node:path";
import type { Provenance } from "../contracts/assets.ts";
import { CheckpointManifest } from "../contracts/checkpoint-manifest.ts";
import { ContractError } from "../contracts/errors.ts";
import { type ContentHash, RunId } from "../contracts/ids.ts";
import type { Clock } from "../contracts/ports.ts";
import type { ArtifactIndexFile } from "./artifact-index-file.ts";
import {
  type CheckpointEntry,
  type CheckpointReader,
  epochsIn,
  manifestFile,
  provenanceFile,
  type ReadCheckpointsOptions,
  readCheckpoints,
  stateFile,
  tensorsFile,
} from "./checkpoint-reader.ts";
import { ensureFolder, guardDisk } from "./file-system.ts";
import { checkContract, encodeJson, hashJson, sha256 } from "./json.ts";
import type { LedgerSigner } from "./ledger-signature.ts";
import { encodeSigned, signArtifact } from "./provenance.ts";
import { encodeSafetensors, type TensorRecord } from "./safetensors.ts";

export interface CheckpointsOptions extends ReadCheckpointsOptions {
  readonly clock: Pick<Clock, "nowMs">;
  readonly signer: LedgerSigner;
  readonly index: ArtifactIndexFile;
  /** Written into every checkpoint's provenance, for example `esper 0.1.0`. */
  readonly toolchain: string;
}

export interface Checkpoints extends CheckpointReader {
  /** Resolves when the checkpoint is durable. ServiceError for a full disk (K3), ContractError above `fileBytesMax`. */
  save(checkpoint: {
    readonly runId: string;
    readonly epoch: number;
    readonly tensors: TensorRecord;
    /** Any JSON; `load` checks it by the caller's schema. */
    readonly state: unknown;
    /** Hashes of what it was made from: kernels, the checkpoint before. */
    readonly inputs?: readonly ContentHash[];
  }): Promise<CheckpointEntry & { readonly bytes: number }>;
  /** Removes all but the newest `keep`; the paths removed. */
  prune(runId: string, keep: number): Promise<readonly string[]>;
}

const inputsMax = 64;
const halfMade = ".half-made-";
const replaced = ".replaced-";

/** Opens the store and settles what a crash left: half-made folders go, a replaced one comes back when its successor is not there. */
export const openCheckpoints = async (options: CheckpointsOptions): Promise<Checkpoints> => {
  const { fileSystem, folder, clock, signer, index, toolchain, fileBytesMax } = options;

  const runFolder = (runId: string): string => join(folder, checkContract(runId, RunId, "checkpoint's run"));

  const settle = async (parent: string): Promise<void> => {
    const names = await fileSystem.list(parent);
    let changed = false;
    for (const name of names) {
      if (name.startsWith(halfMade)) await fileSystem.remove(join(parent, name));
      else if (name.startsWith(replaced)) {
        const original = name.slice(replaced.length);
        if (names.includes(original)) await fileSystem.remove(join(parent, name));
        else await fileSystem.rename(join(parent, name), join(parent, original)); // K4
      } else continue;
      changed = true;
    }
    if (changed) await fileSystem.sync(parent);
  };

  const writeSynced = async (path: string, bytes: Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }> => {
    if (bytes.length > fileBytesMax) {
      throw new ContractError(`checkpoint file ${path}: expected at most ${fileBytesMax} bytes, found ${bytes.length}`, {
        file: path,
      }); // K5
    }
    await fileSystem.write(path, bytes);
    await fileSystem.sync(path);
    return { sha256: sha256(bytes), bytes: bytes.length };
  };

  await guardDisk("checkpoints", folder, async () => {
    await ensureFolder(fileSystem, folder);
    for (const name of await fileSystem.list(folder)) await settle(join(folder, name));
  });

  return {
    ...readCheckpoints(options),

    save: async ({ runId, epoch, tensors, state, inputs = [] }) => {
      const parent = runFolder(runId);
      const path = join(parent, String(epoch));
      const temporary = join(parent, `${halfMade}${epoch}`);
      const old = join(parent, `${replaced}${epoch}`);
      const stateBytes = new TextEncoder().encode(encodeJson(state, `state of checkpoint ${path}`));
      const tensorBytes = encodeSafetensors(tensors, { format: "esper-checkpoint" });
      const createdAtMs = clock.nowMs();
      const fill = async (): Promise<{ readonly bytes: number; readonly hash: ContentHash }> => {
        await ensureFolder(fileSystem, parent);
        await fileSystem.remove(temporary);
        await fileSystem.makeFolder(temporary);
        const files = {
          [tensorsFile]: await writeSynced(join(temporary, tensorsFile), tensorBytes),
          [stateFile]: await writeSynced(join(temporary, stateFile), stateBytes),
        };
        const content = { format: "esper-checkpoint", version: 1, runId, epoch, createdAtMs, files };
        const manifest = checkContract(
          { ...content, sha256: hashJson(content, "manifest") },
          CheckpointManifest,
          `manifest of checkpoint ${path}`,
        );
        const manifestBytes = new TextEncoder().encode(encodeJson(manifest, "manifest"));
        const hash = sha256(manifestBytes);
        const provenance: Provenance = {
          source: `run ${runId}`,
          producer: "tolaria",
          createdAtMs,
          inputs: inputs.slice(-inputsMax),
          toolchain,
        };
        const signed = signArtifact(signer, { hash, kind: "checkpoint", bytes: manifestBytes.length, provenance });
        const signedBytes = encodeSigned(signed);
        await writeSynced(join(temporary, provenanceFile), signedBytes); // K2
        await writeSynced(join(temporary, manifestFile), manifestBytes);
        await fileSystem.sync(temporary);
        return { hash, bytes: tensorBytes.length + stateBytes.length + signedBytes.length + manifestBytes.length };
      };
      return guardDisk(`checkpoint of window ${epoch}`, path, async () => {
        try {
          const { bytes, hash } = await fill();
          const replaces = (await fileSystem.stat(path)) !== undefined;
          if (replaces) await fileSystem.rename(path, old); // K4
          await fileSystem.rename(temporary, path); // K1
          await fileSystem.sync(parent);
          if (replaces) await fileSystem.remove(old);
          await index.set({ kind: "checkpoint", name: runId, hash, createdAtMs }); // K6
          return { runId, epoch, path, bytes };
        } catch (error) {
          // K3. What cannot be cleared now is cleared at the next start; the first error is the one to tell.
          await fileSystem.remove(temporary).catch(() => undefined);
          await settle(parent).catch(() => undefined);
          throw error;
        }
      });
    },

    prune: (runId, keep) =>
      guardDisk("checkpoints", runFolder(runId), async () => {
        const parent = runFolder(runId);
        const epochs = await epochsIn(fileSystem, parent);
        const surplus = epochs.slice(0, Math.max(0, epochs.length - keep)).map((epoch) => join(parent, String(epoch)));
        for (const path of surplus) {
          // Renamed first: a crash amid the removal must not leave a folder that looks complete (K1).
          const doomed = join(dirname(path), `${halfMade}${basename(path)}`);
          await fileSystem.remove(doomed);
          await fileSystem.rename(path, doomed);
          await fileSystem.remove(doomed);
        }
        if (surplus.length > 0) await fileSystem.sync(parent);
        return surplus;
      }),
  };
};
