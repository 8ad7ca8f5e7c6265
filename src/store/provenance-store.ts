/**
 * The signed statements of the content-addressed assets: `<folder>/ab/cdef….signed` beside each asset's file.
 *
 * Q1 A statement is complete or not there: written under another name, synced, renamed.
 * Q2 The first statement of an asset stays as long as it holds; one that does not is replaced when the asset is stored again.
 * Q3 Only a statement that holds is handed out.
 */
import { dirname, join } from "node:path";
import type { ArtifactKind, ArtifactStatement, SignedArtifact } from "../contracts/artifact.ts";
import type { ContentHash } from "../contracts/ids.ts";
import { ensureFolder, type FileSystem, guardDisk, writeDurably } from "./file-system.ts";
import type { KeyRing, LedgerSigner } from "./ledger-signature.ts";
import { ArtifactError, encodeSigned, openSigned, signArtifact } from "./provenance.ts";

/** Far above the length of a statement with all its inputs. */
export const signedBytesMax = 65_536;

/** Where the statement about an asset lies. */
export const signedPath = (folder: string, hash: ContentHash): string =>
  join(folder, hash.slice(0, 2), `${hash.slice(2)}.signed`);

export interface ProvenanceReader {
  /** Q3. Throws ArtifactError: `unsigned` when there is none. */
  get(hash: ContentHash, kind: ArtifactKind): Promise<SignedArtifact>;
}

export interface ProvenanceStore extends ProvenanceReader {
  /** Q2: the statement that stands from now on, durable. */
  put(artifact: ArtifactStatement): Promise<SignedArtifact>;
}

export interface ProvenanceReaderOptions {
  readonly fileSystem: FileSystem;
  /** The content store's. */
  readonly folder: string;
  readonly ring: KeyRing;
}

/** The bytes of a signed statement. Throws ArtifactError. */
export const readSigned = async (fileSystem: FileSystem, file: string, what: string): Promise<Uint8Array> => {
  const stat = await fileSystem.stat(file);
  if (stat?.kind !== "file") {
    throw new ArtifactError(
      "unsigned",
      `${what}: expected its signed provenance in ${file}, found nothing there; put the file back from a backup, or store the artifact again; what an older Esper left is signed when a node first starts`,
      file,
    );
  }
  if (stat.bytes > signedBytesMax)
    throw new ArtifactError("damaged", `provenance ${file}: expected at most ${signedBytesMax} bytes, found ${stat.bytes}`, file);
  return fileSystem.read(file);
};

export const readProvenance = ({ fileSystem, folder, ring }: ProvenanceReaderOptions): ProvenanceReader => ({
  get: (hash, kind) => {
    const file = signedPath(folder, hash);
    return guardDisk("provenance", file, async () =>
      openSigned(await readSigned(fileSystem, file, `${kind} ${hash}`), { hash, kind }, ring, file),
    );
  },
});

export const createProvenanceStore = (options: ProvenanceReaderOptions & { readonly signer: LedgerSigner }): ProvenanceStore => {
  const { fileSystem, folder, signer } = options;
  const { get } = readProvenance(options);
  let temporaries = 0;
  return {
    get,
    put: async (artifact) => {
      try {
        return await get(artifact.hash, artifact.kind); // Q2
      } catch (error) {
        if (!(error instanceof ArtifactError)) throw error;
      }
      const signed = signArtifact(signer, artifact);
      const file = signedPath(folder, artifact.hash);
      await guardDisk("provenance", file, async () => {
        await ensureFolder(fileSystem, dirname(file));
        temporaries++;
        await writeDurably(fileSystem, file, encodeSigned(signed), join(folder, "tmp", `${artifact.hash}.signed.${temporaries}`)); // Q1
      });
      return signed;
    },
  };
};
