/**
 * The signed index: names and the artifacts that they lead to. Read and checked here; artifact-index-file.ts keeps it.
 * After The Update Framework: one signed snapshot with a version and an end, over entries that are each signed as well.
 *
 * X1 The file's bytes are canonical JSON, the entries in order, each name once.
 * X2 Head and entries are signed by the node's own key; an entry that is not what was signed is a swap.
 * X3 No version below the highest that was seen: that is a rollback. One entry put back to an older version of itself is one, too.
 * X4 The entries together are those of the head's snapshot; others are of several versions mixed.
 * X5 Past its end the index says nothing: who froze it could hide what came after.
 */
import {
  ArtifactIndex,
  type IndexEntry,
  type IndexKind,
  type SignedIndexEntry,
  type SignedIndexHead,
} from "../contracts/artifact.ts";
import { hashJson } from "./json.ts";
import type { KeyRing, LedgerSigner } from "./ledger-signature.ts";
import { ArtifactError, decodeCanonical } from "./provenance.ts";

/** Above what any index has that may be configured. */
export const indexBytesMax = 67_108_864;

export const indexKey = (kind: IndexKind, name: string): string => `${kind} ${name}`;
const keyOf = ({ entry }: SignedIndexEntry): string => indexKey(entry.kind, entry.name);
const byKey = (a: SignedIndexEntry, b: SignedIndexEntry): number => (keyOf(a) < keyOf(b) ? -1 : 1);

/** The highest version that was seen, as it is kept apart from the index. */
export interface SeenIndex {
  readonly signed: SignedIndexHead;
  /** Version of each name; missing where only the head is known. */
  readonly versions?: ReadonlyMap<string, number>;
}

export interface IndexChecks {
  readonly ring: KeyRing;
  readonly seen: SeenIndex | undefined;
  readonly file: string;
}

const snapshotOf = (entries: readonly SignedIndexEntry[]): string => hashJson(entries, "entries of the index");

/** A new index, signed throughout. */
export const buildIndex = (
  signer: LedgerSigner,
  entries: readonly SignedIndexEntry[],
  head: { readonly version: number; readonly createdAtMs: number; readonly expiresAtMs: number },
): ArtifactIndex => {
  const sorted = entries.toSorted(byKey);
  const whole = { ...head, entries: sorted.length, snapshot: snapshotOf(sorted) };
  return { schemaVersion: 1, signed: { head: whole, ...signer.signValue("index-head", whole) }, entries: sorted };
};

export const signEntry = (signer: LedgerSigner, entry: IndexEntry): SignedIndexEntry => ({
  entry,
  signature: signer.signValue("index-entry", entry).signature,
});

const again =
  "put the data directory back from a backup, or run `esper artifacts reindex` when you know why it is so: it builds the index anew from what is signed";

/** X5. Throws ArtifactError `freeze`. */
export const expectFresh = ({ head }: SignedIndexHead, nowMs: number, file: string): void => {
  if (nowMs <= head.expiresAtMs) return;
  throw new ArtifactError(
    "freeze",
    `index ${file}: expected one that is still good, found version ${head.version}, which ended ${new Date(head.expiresAtMs).toISOString()}; a node that works on this data directory signs it anew; where one is refused for this, run \`esper artifacts reindex\``,
    file,
  );
};

/** X2. Throws ArtifactError. */
export const expectSignedHead = (signed: SignedIndexHead, ring: KeyRing, what: string, file: string): void => {
  const verdict = ring.check("index-head", signed.head, signed);
  if (verdict === "valid") return;
  const found = verdict === "foreign" ? "one by another key" : "a false one";
  throw new ArtifactError(
    verdict === "foreign" ? "foreign_key" : "false_signature",
    `${what}: expected a signature by this node's key ${ring.own}, found ${found}; ${again}`,
    file,
  );
};

/** What stands in the way of the entries being those of the head (X4), told apart from one entry put back (X3). */
const mixture = ({ signed, entries }: ArtifactIndex, seen: SeenIndex | undefined, file: string): ArtifactError => {
  const { version } = signed.head;
  const versions = seen?.signed.head.version === version ? seen.versions : undefined;
  const now = new Map(entries.map((each) => [keyOf(each), each.entry.version]));
  const names = new Set([...now.keys(), ...(versions?.keys() ?? [])]);
  const differing = versions === undefined ? [] : [...names].filter((name) => now.get(name) !== versions.get(name));
  const [only] = differing;
  const [older, newest] = [only === undefined ? undefined : now.get(only), only === undefined ? undefined : versions?.get(only)];
  if (differing.length === 1 && older !== undefined && newest !== undefined && older < newest) {
    return new ArtifactError(
      "rollback",
      `index ${file}: expected the entry ${only} of version ${newest}, found an older one of version ${older}; ${again}`,
      file,
    );
  }
  return new ArtifactError(
    "mix_and_match",
    `index ${file}: expected the ${signed.head.entries} entries of version ${version}, found entries that were never together (${entries.length}${differing.length === 0 ? "" : `; first: ${only}`}); ${again}`,
    file,
  );
};

/** Reads an index and checks it (X1 to X4); the end is for `expectFresh`. Throws ArtifactError. */
export const openIndex = (bytes: Uint8Array, { ring, seen, file }: IndexChecks): ArtifactIndex => {
  const what = `index ${file}`;
  const index = decodeCanonical(bytes, ArtifactIndex, what, file); // X1
  const { signed, entries } = index;
  const { head } = signed;
  expectSignedHead(signed, ring, what, file); // X2
  if (seen !== undefined && head.version < seen.signed.head.version) {
    throw new ArtifactError(
      "rollback",
      `${what}: expected version ${seen.signed.head.version} or a later one, found ${head.version}; ${again}`,
      file,
    ); // X3
  }
  for (const [position, { entry, signature }] of entries.entries()) {
    const before = entries[position - 1];
    if (before !== undefined && keyOf(before) >= indexKey(entry.kind, entry.name))
      throw new ArtifactError("damaged", `${what}: expected each name once and in order, found ${entry.name}; ${again}`, file); // X1
    if (ring.check("index-entry", entry, { publicKey: signed.publicKey, signature }) !== "valid") {
      throw new ArtifactError(
        "swap",
        `${what}: expected ${entry.kind} ${entry.name} to lead where it was signed to, found it leading to ${entry.hash}; ${again}`,
        file,
      ); // X2
    }
  }
  if (head.entries !== entries.length || snapshotOf(entries) !== head.snapshot) throw mixture(index, seen, file); // X3, X4
  if (seen !== undefined && head.version === seen.signed.head.version && head.snapshot !== seen.signed.head.snapshot)
    throw new ArtifactError("swap", `${what}: expected version ${head.version} as it was seen, found another; ${again}`, file); // X3
  return index;
};
