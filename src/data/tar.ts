/**
 * Reads members of a tar archive (POSIX.1-1988, ustar): blocks of 512 bytes, a header with name, octal size and type before each member's
 * bytes. Folders, links and extended headers are passed over.
 */
import { basename } from "node:path";
import { DataError } from "../contracts/errors.ts";

const blockBytes = 512;
const field = { name: [0, 100], size: [124, 136], type: 156, magic: [257, 262], checksum: [148, 156] } as const;

const textOf = (header: Uint8Array, [from, to]: readonly [number, number]): string =>
  Buffer.from(header.subarray(from, to)).toString("latin1").split("\0")[0]!;

/** The header's bytes added up, its checksum field read as spaces. */
const sumOf = (header: Uint8Array): number =>
  header.reduce((sum, byte, at) => sum + (at >= field.checksum[0] && at < field.checksum[1] ? 0x20 : byte), 0);

/**
 * The named members, whatever folder of the archive they lie in.
 * @param file Named in errors. Throws DataError when the archive is damaged or lacks a member.
 */
export const readTar = (bytes: Uint8Array, file: string, names: readonly string[]): ReadonlyMap<string, Uint8Array> => {
  const found = new Map<string, Uint8Array>();
  const fail = (offset: number, expected: string, actual: string): never => {
    throw new DataError(`data file ${file}, byte ${offset}: expected ${expected}, found ${actual}; fetch the file again`, {
      file,
    });
  };
  for (let offset = 0; offset + blockBytes <= bytes.length; ) {
    const header = bytes.subarray(offset, offset + blockBytes);
    if (header.every((byte) => byte === 0)) break; // The end of the archive.
    const magic = textOf(header, field.magic);
    const checksum = Number.parseInt(textOf(header, field.checksum).trim(), 8);
    if (checksum !== sumOf(header)) fail(offset, `a tar header with checksum ${sumOf(header)}`, `${checksum} (magic "${magic}")`);
    const size = Number.parseInt(textOf(header, field.size).trim(), 8);
    const start = offset + blockBytes;
    if (!(size >= 0) || start + size > bytes.length)
      fail(offset, `a member within ${bytes.length} bytes`, `a size of ${size} bytes`);
    const type = String.fromCharCode(header[field.type]!);
    const name = basename(textOf(header, field.name));
    if ((type === "0" || type === "\0") && names.includes(name)) found.set(name, bytes.subarray(start, start + size));
    offset = start + Math.ceil(size / blockBytes) * blockBytes;
  }
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0) fail(bytes.length, names.join(", "), `an archive without ${missing.join(", ")}`);
  return found;
};
