/**
 * A disk in memory that can lose power or fill up at any operation. It keeps apart what was written from what was synced, and after
 * a loss of power keeps as much of the rest as the test asks for.
 */
import type { FileSystem } from "../../src/store/file-system.ts";

/** What survives of unsynced work: none of it; names and half of each file's bytes; all of it. */
export const survivals = ["synced", "torn", "everything"] as const;
export type Survival = (typeof survivals)[number];

export interface SimulatedDisk extends FileSystem {
  /** Changing operations so far. */
  operations(): number;
  /** The power goes at the changing operation of this number, counted from 0 as `operations` does. */
  losePowerAt(operation: number): void;
  /** From that operation on nothing more fits, until `free`. */
  fillAt(operation: number): void;
  free(): void;
  restart(survival: Survival): void;
  /** Every file with its size. */
  files(): readonly string[];
  /** Changes a file behind everybody's back. */
  damage(path: string, change: (bytes: Uint8Array) => Uint8Array): void;
}

interface FileNode {
  readonly kind: "file";
  bytes: Uint8Array;
  synced: Uint8Array;
}
interface FolderNode {
  readonly kind: "folder";
  entries: Map<string, Node>;
  synced: Map<string, Node>;
}
type Node = FileNode | FolderNode;

const systemError = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code });
const newFolder = (): FolderNode => ({ kind: "folder", entries: new Map(), synced: new Map() });
const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "");

const survive = (node: Node, survival: Survival): void => {
  if (node.kind === "file") {
    const extra = Math.floor((node.bytes.length - node.synced.length) / 2);
    if (survival === "synced") node.bytes = node.synced;
    if (survival === "torn") node.bytes = node.bytes.slice(0, extra < 0 ? node.bytes.length : node.synced.length + extra);
    node.synced = node.bytes;
    return;
  }
  if (survival === "synced") node.entries = new Map(node.synced);
  node.synced = new Map(node.entries);
  for (const child of node.entries.values()) survive(child, survival);
};

export const createSimulatedDisk = (): SimulatedDisk => {
  const root = newFolder();
  let operations = 0;
  let powerEndsAt = Number.POSITIVE_INFINITY;
  let fullFrom = Number.POSITIVE_INFINITY;
  let off = false;

  const find = (path: string): Node | undefined => {
    let node: Node | undefined = root;
    for (const part of partsOf(path)) node = node?.kind === "folder" ? node.entries.get(part) : undefined;
    return node;
  };
  const parentOf = (path: string): [FolderNode, string] => {
    const parts = partsOf(path);
    const name = parts.pop();
    const parent = find(parts.join("/"));
    if (name === undefined || parent?.kind !== "folder") throw systemError("ENOENT", path);
    return [parent, name];
  };
  const fileAt = (path: string): FileNode => {
    const node = find(path);
    if (node === undefined) throw systemError("ENOENT", path);
    if (node.kind !== "file") throw systemError("EISDIR", path);
    return node;
  };
  const powered = (): void => {
    if (off) throw systemError("EPOWER", "no power");
  };
  /** Counts an operation; `half` is done instead of the whole when the power goes or the disk is full. */
  const change = (path: string, needsRoom: boolean, whole: () => void, half?: () => void): void => {
    powered();
    const number = operations++;
    if (number >= powerEndsAt) {
      half?.();
      off = true;
      throw systemError("EPOWER", path);
    }
    if (needsRoom && number >= fullFrom) {
      half?.();
      throw systemError("ENOSPC", path);
    }
    whole();
  };

  const put = (path: string, from: (old: Uint8Array) => Uint8Array): void => {
    const [parent, name] = parentOf(path);
    const node = parent.entries.get(name);
    if (node?.kind === "folder") throw systemError("EISDIR", path);
    if (node === undefined) {
      parent.entries.set(name, { kind: "file", bytes: from(new Uint8Array()), synced: new Uint8Array() });
    } else node.bytes = from(node.bytes);
  };
  const joined = (a: Uint8Array, b: Uint8Array): Uint8Array => Uint8Array.from([...a, ...b]);
  const halfOf = (bytes: Uint8Array): Uint8Array => bytes.slice(0, Math.floor(bytes.length / 2));

  return {
    stat: async (path) => {
      powered();
      const node = find(path);
      if (node === undefined) return undefined;
      return { kind: node.kind, bytes: node.kind === "file" ? node.bytes.length : 0 };
    },
    read: async (path, offset = 0, length = Number.POSITIVE_INFINITY) => {
      powered();
      return fileAt(path).bytes.slice(offset, offset + length);
    },
    list: async (path) => {
      powered();
      const node = find(path);
      return node?.kind === "folder" ? [...node.entries.keys()].sort() : [];
    },
    makeFolder: async (path) =>
      change(path, true, () => {
        const [parent, name] = parentOf(path);
        if (!parent.entries.has(name)) parent.entries.set(name, newFolder());
      }),
    write: async (path, bytes) =>
      change(
        path,
        true,
        () => put(path, () => bytes.slice()),
        () => put(path, () => halfOf(bytes)),
      ),
    append: async (path, bytes) =>
      change(
        path,
        true,
        () => put(path, (old) => joined(old, bytes)),
        () => put(path, (old) => joined(old, halfOf(bytes))),
      ),
    truncate: async (path, bytes) =>
      change(path, false, () => {
        const file = fileAt(path);
        file.bytes = file.bytes.slice(0, bytes);
      }),
    sync: async (path) =>
      change(path, false, () => {
        const node = find(path);
        if (node === undefined) throw systemError("ENOENT", path);
        if (node.kind === "file") node.synced = node.bytes;
        else node.synced = new Map(node.entries);
      }),
    rename: async (from, to) =>
      change(from, false, () => {
        const [source, oldName] = parentOf(from);
        const [target, newName] = parentOf(to);
        const node = source.entries.get(oldName);
        if (node === undefined) throw systemError("ENOENT", from);
        const present = target.entries.get(newName);
        if (present?.kind === "folder" && present.entries.size > 0) throw systemError("ENOTEMPTY", to);
        source.entries.delete(oldName);
        target.entries.set(newName, node);
      }),
    remove: async (path) =>
      change(path, false, () => {
        if (find(path) === undefined) return;
        const [parent, name] = parentOf(path);
        parent.entries.delete(name);
      }),

    operations: () => operations,
    losePowerAt: (operation) => {
      powerEndsAt = operation;
    },
    fillAt: (operation) => {
      fullFrom = operation;
    },
    free: () => {
      fullFrom = Number.POSITIVE_INFINITY;
    },
    restart: (survival) => {
      off = false;
      powerEndsAt = Number.POSITIVE_INFINITY;
      survive(root, survival);
    },
    files: () => {
      const walk = (node: Node, path: string): string[] =>
        node.kind === "file"
          ? [`${path} ${node.bytes.length}`]
          : [...node.entries].flatMap(([name, child]) => walk(child, `${path}/${name}`));
      return walk(root, "").sort();
    },
    damage: (path, how) => {
      const file = fileAt(path);
      file.bytes = how(file.bytes);
      file.synced = file.bytes;
    },
  };
};
