/**
 * Checkpoints as they are read: found, held against signature, index and hashes, and only then parsed. checkpoints.ts writes them.
 *
 * `K2`, `K5`, `K6` and `K7` are those of checkpoints.ts.
 */
import { basename, dirname, join, resolve } from "node:path";
import type { SignedArtifact } from "../contracts/artifact.ts";
import { CheckpointManifest } from "../contracts/checkpoint-manifest.ts";
import { DataError } from "../contracts/errors.ts";
import type { ContentHash } from "../contracts/ids.ts";
import { RunId } from "../contracts/ids.ts";
import type { ArtifactNames } from "./artifact-index-file.ts";
import { type FileSystem, guardDisk } from "./file-system.ts";
import { checkContract, decodeJson, hashJson, type Schema, sha256 } from "./json.ts";
import type { KeyRing } from "./ledger-signature.ts";
import { ArtifactError, openSigned } from "./provenance.ts";
import { readSigned } from "./provenance-store.ts";
import { decodeSafetensors, type TensorRecord } from "./safetensors.ts";

export interface ReadCheckpointsOptions {
  readonly fileSystem: FileSystem;
  /** `<dataDir>/checkpoints`. */
  readonly folder: string;
  /** K2. */
  readonly ring: KeyRing;
  /** K6; without it the last checkpoint of a run is the one that its folder shows. */
  readonly index?: ArtifactNames;
  /** K5. */
  readonly fileBytesMax: number;
  readonly headerBytesMax: number;
}

export interface CheckpointEntry {
  readonly runId: string;
  readonly epoch: number;
  readonly path: string;
}

/** A checkpoint that holds, its contents not yet read. */
export interface VerifiedCheckpoint extends CheckpointEntry {
  readonly manifest: CheckpointManifest;
  readonly signed: SignedArtifact;
}

export interface LoadedCheckpoint<T> extends CheckpointEntry {
  /** Of its manifest: what the checkpoint is known by. */
  readonly hash: ContentHash;
  readonly createdAtMs: number;
  readonly tensors: TensorRecord;
  readonly state: T;
}

export interface CheckpointReader {
  /** `path` is a checkpoint's folder, or a run's folder for its last one. */
  load<T>(path: string, stateSchema: Schema<T>): Promise<LoadedCheckpoint<T>>;
  /** What its signed provenance and its manifest tell; its other files are not looked at. */
  describe(path: string): Promise<VerifiedCheckpoint>;
  /** Signature, place and all hashes, without parsing what the files hold. */
  verify(path: string): Promise<VerifiedCheckpoint>;
  /** Complete checkpoints of a run, oldest first. */
  list(runId: string): Promise<readonly CheckpointEntry[]>;
  /** Runs that have a folder. */
  runs(): Promise<readonly string[]>;
}

export const tensorsFile = "tensors.safetensors";
export const stateFile = "state.json";
export const manifestFile = "manifest.json";
export const provenanceFile = "provenance.json";
const manifestBytesMax = 65_536;
const epochName = /^(0|[1-9][0-9]{0,14})$/;

/** Windows of the complete checkpoints in a run's folder, in order. */
export const epochsIn = async (fileSystem: FileSystem, parent: string): Promise<readonly number[]> =>
  (await fileSystem.list(parent))
    .filter((name) => epochName.test(name))
    .map(Number)
    .sort((a, b) => a - b);

const readBounded = async (fileSystem: FileSystem, path: string, bytesMax: number): Promise<Uint8Array> => {
  const stat = await fileSystem.stat(path);
  if (stat?.kind !== "file") {
    throw new DataError(
      `checkpoint file ${path}: expected a file, found ${stat?.kind ?? "nothing"}; the checkpoint is not complete`,
      { file: path },
    );
  }
  if (stat.bytes > bytesMax) {
    throw new DataError(`checkpoint file ${path}: expected at most ${bytesMax} bytes, found ${stat.bytes}`, { file: path }); // K5
  }
  return fileSystem.read(path);
};

/** A manifest that is what its own hash says (K2). */
export const parseManifest = (bytes: Uint8Array, path: string): CheckpointManifest => {
  const manifest = decodeJson(new TextDecoder().decode(bytes), CheckpointManifest, `checkpoint file ${path}`, path);
  const { sha256: expected, ...content } = manifest;
  const found = hashJson(content, "manifest");
  if (found !== expected) {
    throw new DataError(
      `checkpoint file ${path}: expected SHA-256 ${expected}, found ${found}; the file is damaged: use an older checkpoint`,
      { file: path },
    );
  }
  return manifest;
};

export const readManifest = (fileSystem: FileSystem, source: string): Promise<Uint8Array> =>
  readBounded(fileSystem, join(source, manifestFile), manifestBytesMax);

/** The files that a manifest lists, each with its listed size and hash (K2). */
export const readListed = async (
  fileSystem: FileSystem,
  path: string,
  expected: { readonly sha256: string; readonly bytes: number },
  fileBytesMax: number,
): Promise<Uint8Array> => {
  const bytes = await readBounded(fileSystem, path, fileBytesMax);
  const found = sha256(bytes);
  if (found !== expected.sha256 || bytes.length !== expected.bytes) {
    throw new DataError(
      `checkpoint file ${path}: expected ${expected.bytes} bytes with SHA-256 ${expected.sha256}, found ${bytes.length} bytes with ${found}; the file is damaged: use an older checkpoint`,
      { file: path },
    );
  }
  return bytes;
};

export const readCheckpoints = (options: ReadCheckpointsOptions): CheckpointReader => {
  const { fileSystem, folder, ring, index, fileBytesMax, headerBytesMax } = options;
  const runFolder = (runId: string): string => join(folder, checkContract(runId, RunId, "checkpoint's run"));
  const epochs = (parent: string): Promise<readonly number[]> => epochsIn(fileSystem, parent);

  /** The checkpoint's own folder, and whether it was asked for as the last one. */
  const resolveFolder = async (path: string): Promise<{ readonly source: string; readonly isLast: boolean }> => {
    if ((await fileSystem.stat(join(path, manifestFile))) !== undefined) return { source: path, isLast: false };
    const last = (await epochs(path)).at(-1);
    if (last !== undefined && !epochName.test(basename(path))) return { source: join(path, String(last)), isLast: true };
    const found = (await fileSystem.stat(path)) === undefined ? "nothing there" : `no ${manifestFile} in it`;
    throw new DataError(
      `checkpoint ${path}: expected the folder of a complete checkpoint, found ${found}; name a folder <data directory>/checkpoints/<run>/<epoch>`,
      { file: path },
    );
  };

  /** K7 */
  const expectPlace = (source: string, { runId, epoch }: CheckpointManifest): void => {
    const [window, run] = [basename(source), basename(dirname(source))];
    const isElsewhere = resolve(dirname(dirname(source))) !== resolve(folder);
    if (!epochName.test(window) || (Number(window) === epoch && (isElsewhere || run === runId))) return;
    throw new ArtifactError(
      "swap",
      `checkpoint ${source}: expected the one of window ${window}${isElsewhere ? "" : ` of run ${run}`}, found the one of window ${epoch} of run ${runId}; put it back where it was`,
      source,
    );
  };

  /** K6: of this node's own checkpoints. */
  const expectLast = (source: string, { runId }: CheckpointManifest, signed: SignedArtifact): void => {
    const last = index?.find("checkpoint", runId);
    const { hash, provenance } = signed.artifact;
    // A crash may have come between a checkpoint and its entry: then it is newer than what the index knows.
    if (last === undefined || last.hash === hash || provenance.createdAtMs > last.createdAtMs) return;
    throw new ArtifactError(
      "rollback",
      `checkpoint ${source}: expected the last one of run ${runId}, written ${new Date(last.createdAtMs).toISOString()}, found an older one; put the last one back, or name the folder of this one to go on from it nevertheless`,
      source,
    );
  };

  /** K2, K7 */
  const open = async (source: string): Promise<VerifiedCheckpoint> => {
    const manifestPath = join(source, manifestFile);
    const bytes = await readManifest(fileSystem, source);
    const signedFile = join(source, provenanceFile);
    const expected = { hash: sha256(bytes), kind: "checkpoint", bytes: bytes.length } as const;
    const signed = openSigned(await readSigned(fileSystem, signedFile, `checkpoint ${source}`), expected, ring, signedFile);
    const manifest = parseManifest(bytes, manifestPath);
    expectPlace(source, manifest);
    return { runId: manifest.runId, epoch: manifest.epoch, path: source, manifest, signed };
  };

  const listed = (source: string, name: typeof tensorsFile | typeof stateFile, { files }: CheckpointManifest) =>
    readListed(fileSystem, join(source, name), files[name], fileBytesMax);

  return {
    load: (path, stateSchema) =>
      guardDisk("checkpoint", path, async () => {
        const { source, isLast } = await resolveFolder(path);
        const { manifest, signed } = await open(source);
        if (isLast) expectLast(source, manifest, signed);
        const [statePath, tensorsPath] = [join(source, stateFile), join(source, tensorsFile)];
        const stateText = new TextDecoder().decode(await listed(source, stateFile, manifest));
        const tensorBytes = await listed(source, tensorsFile, manifest);
        return {
          runId: manifest.runId,
          epoch: manifest.epoch,
          path: source,
          hash: signed.artifact.hash,
          createdAtMs: manifest.createdAtMs,
          tensors: decodeSafetensors(tensorBytes, headerBytesMax, tensorsPath).tensors,
          state: decodeJson(stateText, stateSchema, `checkpoint file ${statePath}`, statePath),
        };
      }),

    describe: (path) => guardDisk("checkpoint", path, async () => open((await resolveFolder(path)).source)),

    verify: (path) =>
      guardDisk("checkpoint", path, async () => {
        const { source, isLast } = await resolveFolder(path);
        const verified = await open(source);
        if (isLast) expectLast(source, verified.manifest, verified.signed);
        await listed(source, stateFile, verified.manifest);
        await listed(source, tensorsFile, verified.manifest);
        return verified;
      }),

    list: (runId) =>
      guardDisk("checkpoints", runFolder(runId), async () => {
        const parent = runFolder(runId);
        return (await epochs(parent)).map((epoch) => ({ runId, epoch, path: join(parent, String(epoch)) }));
      }),

    runs: () =>
      guardDisk("checkpoints", folder, async () =>
        (await fileSystem.list(folder)).filter((name) => RunId.safeParse(name).success),
      ),
  };
};
