/**
 * Checkpoints: `<folder>/<runId>/<epoch>/` with `tensors.safetensors`, `state.json` and, written last, `manifest.json`.
 *
 * K1 A folder named by an epoch is complete: it is filled under another name, synced, and renamed.
 * K2 What is loaded has the sizes and hashes of its manifest; anything else is a DataError that names the file.
 * K3 A save that fails leaves no half checkpoint, and all earlier ones as they were.
 * K4 Saving an epoch again replaces it; in a crash either the old or the new one survives.
 * K5 File and header sizes are bounded.
 */
import { basename, dirname, join } from "node:path";
import { CheckpointManifest } from "../contracts/checkpoint-manifest.ts";
import { ContractError, DataError } from "../contracts/errors.ts";
import { RunId } from "../contracts/ids.ts";
import type { Clock } from "../contracts/ports.ts";
import { ensureFolder, type FileSystem, guardDisk } from "./file-system.ts";
import { checkContract, decodeJson, encodeJson, hashJson, type Schema, sha256 } from "./json.ts";
import { decodeSafetensors, encodeSafetensors, type TensorRecord } from "./safetensors.ts";

export interface CheckpointsOptions {
  readonly fileSystem: FileSystem;
  /** `<dataDir>/checkpoints`. */
  readonly folder: string;
  readonly clock: Clock;
  /** K5. */
  readonly fileBytesMax: number;
  readonly headerBytesMax: number;
}

export interface CheckpointEntry {
  readonly runId: string;
  readonly epoch: number;
  readonly path: string;
}

export interface LoadedCheckpoint<T> extends CheckpointEntry {
  readonly createdAtMs: number;
  readonly tensors: TensorRecord;
  readonly state: T;
}

export interface Checkpoints {
  /** Resolves when the checkpoint is durable. ServiceError for a full disk (K3), ContractError above `fileBytesMax`. */
  save(checkpoint: {
    readonly runId: string;
    readonly epoch: number;
    readonly tensors: TensorRecord;
    /** Any JSON; `load` checks it by the caller's schema. */
    readonly state: unknown;
  }): Promise<CheckpointEntry & { readonly bytes: number }>;
  /** `path` is a checkpoint's folder, or a run's folder for its last one. */
  load<T>(path: string, stateSchema: Schema<T>): Promise<LoadedCheckpoint<T>>;
  /** Complete checkpoints of a run, oldest first. */
  list(runId: string): Promise<readonly CheckpointEntry[]>;
  /** Removes all but the newest `keep`; the paths removed. */
  prune(runId: string, keep: number): Promise<readonly string[]>;
}

const tensorsFile = "tensors.safetensors";
const stateFile = "state.json";
const manifestFile = "manifest.json";
const manifestBytesMax = 65_536;
const epochName = /^(0|[1-9][0-9]{0,14})$/;
const halfMade = ".half-made-";
const replaced = ".replaced-";

/** Opens the store and settles what a crash left: half-made folders go, a replaced one comes back when its successor is not there. */
export const openCheckpoints = async (options: CheckpointsOptions): Promise<Checkpoints> => {
  const { fileSystem, folder, clock, fileBytesMax, headerBytesMax } = options;

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

  const epochsIn = async (parent: string): Promise<readonly number[]> =>
    (await fileSystem.list(parent))
      .filter((name) => epochName.test(name))
      .map(Number)
      .sort((a, b) => a - b);

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

  const readBounded = async (path: string, bytesMax: number): Promise<Uint8Array> => {
    const stat = await fileSystem.stat(path);
    if (stat?.kind !== "file") {
      throw new DataError(
        `checkpoint file ${path}: expected a file, found ${stat?.kind ?? "nothing"}; the checkpoint is not complete`,
        {
          file: path,
        },
      );
    }
    if (stat.bytes > bytesMax) {
      throw new DataError(`checkpoint file ${path}: expected at most ${bytesMax} bytes, found ${stat.bytes}`, { file: path }); // K5
    }
    return fileSystem.read(path);
  };

  const readListed = async (path: string, expected: { readonly sha256: string; readonly bytes: number }): Promise<Uint8Array> => {
    const bytes = await readBounded(path, fileBytesMax);
    const found = sha256(bytes);
    if (found !== expected.sha256 || bytes.length !== expected.bytes) {
      throw new DataError(
        `checkpoint file ${path}: expected ${expected.bytes} bytes with SHA-256 ${expected.sha256}, found ${bytes.length} bytes with ${found}; the file is damaged: use an older checkpoint`,
        { file: path },
      ); // K2
    }
    return bytes;
  };

  const resolveFolder = async (path: string): Promise<string> => {
    if ((await fileSystem.stat(join(path, manifestFile))) !== undefined) return path;
    const last = (await epochsIn(path)).at(-1);
    if (last !== undefined && !epochName.test(basename(path))) return join(path, String(last));
    const found = (await fileSystem.stat(path)) === undefined ? "nothing there" : `no ${manifestFile} in it`;
    throw new DataError(
      `checkpoint ${path}: expected the folder of a complete checkpoint, found ${found}; name a folder <data directory>/checkpoints/<run>/<epoch>`,
      { file: path },
    );
  };

  await guardDisk("checkpoints", folder, async () => {
    await ensureFolder(fileSystem, folder);
    for (const name of await fileSystem.list(folder)) await settle(join(folder, name));
  });

  return {
    save: async ({ runId, epoch, tensors, state }) => {
      const parent = runFolder(runId);
      const path = join(parent, String(epoch));
      const temporary = join(parent, `${halfMade}${epoch}`);
      const old = join(parent, `${replaced}${epoch}`);
      const stateBytes = new TextEncoder().encode(encodeJson(state, `state of checkpoint ${path}`));
      const tensorBytes = encodeSafetensors(tensors, { format: "esper-checkpoint" });
      const fill = async (): Promise<number> => {
        await ensureFolder(fileSystem, parent);
        await fileSystem.remove(temporary);
        await fileSystem.makeFolder(temporary);
        const files = {
          [tensorsFile]: await writeSynced(join(temporary, tensorsFile), tensorBytes),
          [stateFile]: await writeSynced(join(temporary, stateFile), stateBytes),
        };
        const content = { format: "esper-checkpoint", version: 1, runId, epoch, createdAtMs: clock.nowMs(), files };
        const manifest = checkContract(
          { ...content, sha256: hashJson(content, "manifest") },
          CheckpointManifest,
          `manifest of checkpoint ${path}`,
        );
        const manifestBytes = new TextEncoder().encode(encodeJson(manifest, "manifest"));
        await writeSynced(join(temporary, manifestFile), manifestBytes);
        await fileSystem.sync(temporary);
        return tensorBytes.length + stateBytes.length + manifestBytes.length;
      };
      return guardDisk(`checkpoint of window ${epoch}`, path, async () => {
        try {
          const bytes = await fill();
          const replaces = (await fileSystem.stat(path)) !== undefined;
          if (replaces) await fileSystem.rename(path, old); // K4
          await fileSystem.rename(temporary, path); // K1
          await fileSystem.sync(parent);
          if (replaces) await fileSystem.remove(old);
          return { runId, epoch, path, bytes };
        } catch (error) {
          // K3. What cannot be cleared now is cleared at the next start; the first error is the one to tell.
          await fileSystem.remove(temporary).catch(() => undefined);
          await settle(parent).catch(() => undefined);
          throw error;
        }
      });
    },

    load: (path, stateSchema) =>
      guardDisk("checkpoint", path, async () => {
        const source = await resolveFolder(path);
        const manifestPath = join(source, manifestFile);
        const manifestText = new TextDecoder().decode(await readBounded(manifestPath, manifestBytesMax));
        const manifest = decodeJson(manifestText, CheckpointManifest, `checkpoint file ${manifestPath}`, manifestPath);
        const { sha256: expected, ...content } = manifest;
        const found = hashJson(content, "manifest");
        if (found !== expected) {
          throw new DataError(
            `checkpoint file ${manifestPath}: expected SHA-256 ${expected}, found ${found}; the file is damaged: use an older checkpoint`,
            { file: manifestPath },
          ); // K2
        }
        const { [tensorsFile]: tensorsEntry, [stateFile]: stateEntry } = manifest.files;
        const statePath = join(source, stateFile);
        const tensorsPath = join(source, tensorsFile);
        const stateText = new TextDecoder().decode(await readListed(statePath, stateEntry));
        const tensorBytes = await readListed(tensorsPath, tensorsEntry);
        return {
          runId: manifest.runId,
          epoch: manifest.epoch,
          path: source,
          createdAtMs: manifest.createdAtMs,
          tensors: decodeSafetensors(tensorBytes, headerBytesMax, tensorsPath).tensors,
          state: decodeJson(stateText, stateSchema, `checkpoint file ${statePath}`, statePath),
        };
      }),

    list: (runId) =>
      guardDisk("checkpoints", runFolder(runId), async () => {
        const parent = runFolder(runId);
        return (await epochsIn(parent)).map((epoch) => ({ runId, epoch, path: join(parent, String(epoch)) }));
      }),

    prune: (runId, keep) =>
      guardDisk("checkpoints", runFolder(runId), async () => {
        const parent = runFolder(runId);
        const epochs = await epochsIn(parent);
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
