/** The real disk and the simulated one keep the same contract; durable writes survive a loss of power. */
import { chmodSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DataError, ServiceError } from "../../src/contracts/errors.ts";
import {
  diskError,
  ensureFolder,
  errorCode,
  type FileSystem,
  nodeFileSystem,
  saveDurably,
  writeDurably,
} from "../../src/store/file-system.ts";
import { createSimulatedDisk, survivals } from "../support/simulated-disk.ts";
import { temporaryFolder } from "./support.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const shown = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const code = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => undefined, errorCode);

const implementations: readonly [string, () => { fileSystem: FileSystem; root: string }][] = [
  ["node", () => ({ fileSystem: nodeFileSystem, root: temporaryFolder() })],
  ["simulated", () => ({ fileSystem: createSimulatedDisk(), root: "/" })],
];

describe.each(implementations)("%s file system", (_, make) => {
  test("writes, appends, truncates and reads ranges", async () => {
    const { fileSystem, root } = make();
    const file = `${root}/a`;
    await fileSystem.write(file, text("01234"));
    await fileSystem.append(file, text("56789"));
    await fileSystem.append(`${root}/b`, text("new"));
    expect(shown(await fileSystem.read(file))).toBe("0123456789");
    expect(shown(await fileSystem.read(file, 3, 4))).toBe("3456");
    expect(shown(await fileSystem.read(file, 8, 100))).toBe("89");
    expect(await fileSystem.read(file, 10, 5)).toHaveLength(0);
    await fileSystem.truncate(file, 2);
    await fileSystem.sync(file);
    expect(await fileSystem.stat(file)).toEqual({ kind: "file", bytes: 2 });
    await fileSystem.write(file, text("x"));
    expect(shown(await fileSystem.read(file))).toBe("x");
    expect(await fileSystem.list(root)).toEqual(["a", "b"]);
  });

  test("makes, moves and removes folders; what is missing is told by its code", async () => {
    const { fileSystem, root } = make();
    await ensureFolder(fileSystem, `${root}/deep/er`);
    await ensureFolder(fileSystem, `${root}/deep/er`);
    await fileSystem.makeFolder(`${root}/deep`);
    await fileSystem.write(`${root}/deep/er/file`, text("1"));
    expect((await fileSystem.stat(`${root}/deep`))?.kind).toBe("folder");
    await fileSystem.makeFolder(`${root}/full`);
    await fileSystem.write(`${root}/full/file`, text("2"));
    expect(await code(fileSystem.rename(`${root}/deep/er`, `${root}/full`))).toBe("ENOTEMPTY");
    await fileSystem.rename(`${root}/deep/er`, `${root}/moved`);
    expect(shown(await fileSystem.read(`${root}/moved/file`))).toBe("1");
    await fileSystem.sync(root);
    await fileSystem.remove(`${root}/moved`);
    await fileSystem.remove(`${root}/moved`);
    expect(await fileSystem.stat(`${root}/moved/file`)).toBeUndefined();
    expect(await fileSystem.list(`${root}/moved`)).toEqual([]);
    expect(await code(fileSystem.read(`${root}/moved/file`))).toBe("ENOENT");
    expect(await code(fileSystem.makeFolder(`${root}/no/where`))).toBe("ENOENT");
  });

  test("a durable write leaves the file and no other name", async () => {
    const { fileSystem, root } = make();
    await saveDurably(fileSystem, `${root}/one/two/file`, text("first"));
    await saveDurably(fileSystem, `${root}/one/two/file`, text("second"));
    expect(shown(await fileSystem.read(`${root}/one/two/file`))).toBe("second");
    expect(await fileSystem.list(`${root}/one/two`)).toEqual(["file"]);
  });
});

test("F1, F2: at whatever operation the power goes, the file is the old or the new one, and the new one once told", async () => {
  for (const survival of survivals) {
    for (let at = 0; ; at++) {
      const disk = createSimulatedDisk();
      await saveDurably(disk, "/folder/file", text("old contents"));
      disk.losePowerAt(disk.operations() + at);
      const told = await writeDurably(disk, "/folder/file", text("new")).then(
        () => true,
        () => false,
      );
      disk.restart(survival);
      const found = shown(await disk.read("/folder/file"));
      if (told) {
        expect(found).toBe("new");
        expect(at).toBe(4);
        break;
      }
      expect(["old contents", "new"]).toContain(found);
    }
  }
});

test("a full disk leaves no temporary file behind", async () => {
  const disk = createSimulatedDisk();
  await saveDurably(disk, "/folder/file", text("old"));
  disk.fillAt(disk.operations());
  expect(await code(writeDurably(disk, "/folder/file", text("longer text")))).toBe("ENOSPC");
  expect(disk.files()).toEqual(["/folder/file 3"]);
});

test("errors of the disk say what to do", () => {
  const told = (systemCode: string): Error =>
    diskError("checkpoint", "/d/f", Object.assign(new Error("raw"), { code: systemCode }));
  expect(told("ENOSPC")).toBeInstanceOf(ServiceError);
  expect(told("ENOSPC").message).toBe(
    "checkpoint (/d/f): expected room on the disk, found it full (ENOSPC); free some space or set services.dataDir to another disk",
  );
  expect(told("EACCES").message).toMatch(/expected to be allowed to use it, found EACCES/);
  expect(told("ENOENT")).toBeInstanceOf(DataError);
  expect(told("EIO").message).toMatch(/found: raw/);
});

test("a folder that may not be written to is told by its code", async () => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o500);
  const result = await code(nodeFileSystem.write(`${folder}/file`, text("x")));
  chmodSync(folder, 0o700);
  // Root may write everywhere.
  expect(result).toBe(process.getuid?.() === 0 ? undefined : "EACCES");
});
