/** Artifacts as tables: what there is, one with its provenance, and what is wrong with them. Pure. */
import Table from "cli-table3";
import type { ArtifactStatement, IndexEntry, SignedArtifact } from "../../contracts/artifact.ts";
import type { ArtifactAudit } from "../../node/artifact-audit.ts";
import type { LineageEntry } from "../../store/asset-rows.ts";
import { fingerprintOf } from "../../store/ledger-signature.ts";
import { formatCount, formatPercent, missing } from "./format-values.ts";

const style = { head: [], border: [], compact: true };
const shortHash = (hash: string): string => hash.slice(0, 12);
const timeOf = (atMs: number): string => new Date(atMs).toISOString();

/** An artifact as it stands, and where. */
export interface ListedArtifact {
  readonly artifact: ArtifactStatement;
  readonly path: string;
}

export const formatArtifacts = (listed: readonly ListedArtifact[]): string[] => {
  if (listed.length === 0) return ["no artifact"];
  const table = new Table({ head: ["hash", "kind", "bytes", "made", "by", "source"], style });
  for (const { artifact } of listed) {
    const { hash, kind, bytes, provenance } = artifact;
    const { createdAtMs, producer, source } = provenance;
    table.push([shortHash(hash), kind, formatCount(bytes), timeOf(createdAtMs), producer, source]);
  }
  return table.toString().split("\n");
};

export interface ShownArtifact {
  readonly signed: SignedArtifact;
  readonly path: string;
  readonly names: readonly IndexEntry[];
  /** All it was made from, without itself. */
  readonly lineage: readonly LineageEntry[];
}

const lineageLine = ({ hash, depth, record }: LineageEntry): string => {
  const known = record === undefined ? "not in this library" : `${record.kind} by ${record.provenance.producer}`;
  return `${"  ".repeat(depth + 1)}${hash} ${known}`;
};

export const formatArtifact = ({ signed, path, names, lineage }: ShownArtifact): string[] => {
  const { hash, kind, bytes, provenance } = signed.artifact;
  const { source, producer, createdAtMs, toolchain, confidence, commandHash, inputs } = provenance;
  return [
    `hash        ${hash}`,
    `kind        ${kind}`,
    `bytes       ${bytes}`,
    `file        ${path}`,
    `source      ${source}`,
    `producer    ${producer}`,
    `made        ${timeOf(createdAtMs)}`,
    `toolchain   ${toolchain}`,
    `confidence  ${formatPercent(confidence)}`,
    `command     ${commandHash ?? missing}`,
    `signature   holds, by the key ${fingerprintOf(signed.publicKey)}`,
    ...names.map(({ name, version }) => `name        ${name}, since version ${version} of the index`),
    ...(inputs.length === 0 ? ["inputs      none"] : ["inputs", ...lineage.map(lineageLine)]),
  ];
};

export const formatArtifactAudit = (audit: ArtifactAudit): string[] => {
  const { assets, checkpoints, bytes, index, gone, fingerprint, problems, intact } = audit;
  const lines = [
    `artifacts  ${assets} in the library, ${checkpoints} checkpoints, ${formatCount(bytes)}B`,
    `index      ${index === undefined ? missing : `version ${index.version}, ${index.entries} names, good until ${timeOf(index.expiresAtMs)}`}`,
    `key        ${fingerprint}`,
    ...(gone === 0 ? [] : [`gone       ${gone} runs whose checkpoints were removed`]),
  ];
  if (intact) return [...lines, "intact"];
  return [...lines, ...problems.flatMap(({ place, fault, detail }) => [`${fault}  ${place}`, `  ${detail}`]), "broken"];
};
