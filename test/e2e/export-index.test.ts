/** `esper export` takes the model that the node's signed index names, and no other in its place. */
import { copyFile, cp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCommandLine } from "../../src/cli/program.ts";
import { createTestContext } from "../cli/context.ts";
import { hostConfig, startNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let dataDir: string;
const runs: string[] = [];
const oldIndex = () => join(folder.path, "index.json");
const index = () => join(dataDir, "assets", "index.json");

beforeAll(async () => {
  folder = await temporaryFolder();
  dataDir = join(folder.path, "data");
  for (let n = 0; n < 2; n += 1) {
    if (n === 1) await copyFile(index(), oldIndex());
    runs.push((await startNode(hostConfig(dataDir)).done).report.arms[0]!.runId);
  }
});
afterAll(() => folder.remove());

const exported = async (...args: readonly string[]) => {
  const { context, out, err } = createTestContext(() => Promise.reject(new Error("no node is needed")));
  const file = join(folder.path, "model.safetensors");
  const exitCode = await runCommandLine(["export", "--data-dir", dataDir, "--out", file, ...args], context);
  return { exitCode, out: out.text(), err: err.text() };
};
const folderOf = (run: number, window = ""): string => join(dataDir, "checkpoints", runs[run]!, window);
const lastWindow = async (run: number): Promise<string> =>
  (await readdir(folderOf(run))).toSorted((a, b) => Number(a) - Number(b)).at(-1)!;
/** Does something, looks, and undoes it. */
const under = async (change: () => Promise<unknown>, look: () => Promise<void>, undo: () => Promise<unknown>): Promise<void> => {
  await change();
  try {
    await look();
  } finally {
    await undo();
  }
};

it("the last checkpoint of a run, or one that is named", async () => {
  const window = await lastWindow(0);
  expect(await exported("--run", runs[0]!)).toMatchObject({
    exitCode: 0,
    out: expect.stringContaining(`run ${runs[0]} after window ${window}`),
  });
  expect(await exported("--checkpoint", folderOf(0, window))).toMatchObject({ exitCode: 0 });
  expect(await exported("--run", "r-none")).toMatchObject({ exitCode: 2, err: expect.stringContaining("with a checkpoint") });
});

it("rollback: where the last one is gone, an older one is not taken for it, and by its own name it is", async () => {
  const window = await lastWindow(0);
  const aside = join(folder.path, "aside");
  await under(
    () => rename(folderOf(0, window), aside),
    async () => {
      expect(await exported("--run", runs[0]!)).toMatchObject({
        exitCode: 4,
        err: expect.stringMatching(/expected the last one of run .* found an older one/),
      });
      expect(await exported("--checkpoint", folderOf(0, await lastWindow(0)))).toMatchObject({ exitCode: 0 });
    },
    () => rename(aside, folderOf(0, window)),
  );
});

it("swap: another run's checkpoint in its place", async () => {
  const window = await lastWindow(0);
  const aside = join(folder.path, "aside");
  await under(
    async () => {
      await rename(folderOf(0, window), aside);
      await cp(folderOf(1, await lastWindow(1)), folderOf(0, window), { recursive: true });
    },
    async () => {
      expect(await exported("--run", runs[0]!)).toMatchObject({ exitCode: 4, err: expect.stringContaining("put it back") });
      expect(await exported("--checkpoint", folderOf(0, window))).toMatchObject({ exitCode: 4 });
    },
    async () => {
      await rm(folderOf(0, window), { recursive: true });
      await rename(aside, folderOf(0, window));
    },
  );
});

it("rollback of the index itself, and an index that is gone", async () => {
  const now = join(folder.path, "index.now.json");
  await copyFile(index(), now);
  await under(
    () => copyFile(oldIndex(), index()),
    async () => expect(await exported("--run", runs[1]!)).toMatchObject({ exitCode: 4, err: expect.stringContaining("version") }),
    () => copyFile(now, index()),
  );
  await under(
    () => rm(index()),
    async () => expect(await exported("--run", runs[1]!)).toMatchObject({ exitCode: 4, err: expect.stringContaining("reindex") }),
    () => copyFile(now, index()),
  );
  expect((await exported("--run", runs[1]!)).exitCode).toBe(0);
});
