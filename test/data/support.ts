/** Small valid files of each format, and a folder to put them in. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { DatasetConfig } from "../../src/contracts/config.ts";
import type { SampleBuffer } from "../../src/contracts/dataset.ts";
import { type LoadedDataset, loadDataset } from "../../src/data/datasets.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";

export interface TestFolder {
  readonly path: string;
  /** Writes a file, its folders included, and gives its path. */
  write(name: string, bytes: Uint8Array | string): string;
}

/** A fresh folder for each test of a file. */
export const useFolder = (): TestFolder => {
  let path = "";
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), "esper-data-"));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    write(name, bytes) {
      const file = join(path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
      return file;
    },
  };
};

/** Loads without downloads and without a folder of the node's own. */
export const load = (over: Partial<DatasetConfig>): Promise<LoadedDataset> =>
  loadDataset(DatasetConfig.parse(over), { files: nodeFileSystem, folder: "/nowhere" });

export const floatsOf = ({ inputs }: SampleBuffer): number[] => [...new Float32Array(inputs)];
export const classesOf = ({ targets }: SampleBuffer): number[] => [...new Int32Array(targets)];
export const valuesOf = ({ targets }: SampleBuffer): number[] => [...new Float32Array(targets)];

/** A tar archive of plain files. */
export const encodeTar = (members: Readonly<Record<string, Uint8Array>>): Uint8Array => {
  const blocks = Object.entries(members).flatMap(([name, bytes]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(bytes.length.toString(8).padStart(11, "0"), 124);
    header.write("0ustar", 156);
    header.fill(" ", 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
};

interface NpyOptions {
  readonly version?: 1 | 2 | 3;
  readonly fortran?: boolean;
}

/** A .npy file of the bytes given. */
export const encodeNpy = (
  descr: string,
  shape: readonly number[],
  elements: Uint8Array,
  { version = 1, fortran = false }: NpyOptions = {},
): Uint8Array => {
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const start = version === 1 ? 10 : 12;
  const header = Buffer.from(`${text.padEnd(Math.ceil((start + text.length + 1) / 64) * 64 - start - 1)}\n`);
  const prefix = Buffer.alloc(start);
  prefix.write("\x93NUMPY", "latin1");
  prefix[6] = version;
  if (version === 1) prefix.writeUInt16LE(header.length, 8);
  else prefix.writeUInt32LE(header.length, 8);
  return Buffer.concat([prefix, header, elements]);
};

export const bytesOf = (array: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
