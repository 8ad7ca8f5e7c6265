/** What a node offers to whoever starts a run on it. */
import { appendFile, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { EsperConfig } from "../../src/contracts/config.ts";
import { createOfferedConfigs, packagedConfigs } from "../../src/node/offered-configs.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

test("a file is read once, again when it was changed, and no longer offered when it is gone or no configuration", async () => {
  const folder = await mkdtemp(join(tmpdir(), "esper-offer-"));
  folders.push(folder);
  const fileOf = (name: string): string => join(folder, `${name}.yaml`);
  await copyFile(join(packagedConfigs, "quickstart.yaml"), fileOf("a"));
  await copyFile(join(packagedConfigs, "quickstart.yaml"), fileOf("b"));
  await writeFile(fileOf("c"), "experiment: 1\n");
  const offered = createOfferedConfigs(EsperConfig.parse({}), folder);
  const first = await offered();
  expect(first.map(({ name }) => name)).toEqual(["this node's", "a", "b"]);
  const again = await offered();
  expect(again.every((each, index) => each === first[index])).toBe(true);
  await appendFile(fileOf("b"), "# a change\n");
  const changed = await offered();
  expect(changed).toEqual(first);
  expect(changed.map((each, index) => each === first[index])).toEqual([true, true, false]);
  await rm(fileOf("a"));
  await writeFile(fileOf("b"), "nothing: of ours\n");
  expect((await offered()).map(({ name }) => name)).toEqual(["this node's"]);
});
