/** `--data-dir` may also be where a published set's files lie. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withDataDir } from "../../src/cli/options.ts";
import { EsperConfig } from "../../src/contracts/config.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esper-data-dir-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const dataDirFor = (dataset: object, file: string): string | undefined => {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), "");
  return withDataDir(EsperConfig.parse({ dataset }), { dataDir: folder }).dataset.dataDir;
};

test.each<[string, string]>([
  ["mnist", "train-images-idx3-ubyte.gz"],
  ["fashion-mnist", "fashion-mnist/t10k-labels-idx1-ubyte"],
  ["cifar10", "data_batch_1.bin"],
  ["cifar10", "cifar-10-batches-bin/data_batch_1.bin"],
  ["cifar10", "cifar-10-binary.tar.gz"],
  ["cifar100", "cifar-100-binary/train.bin"],
])("%s is found by %s", (name, file) => {
  expect(dataDirFor({ name }, file)).toBe(folder);
});

test.each<[string, object, string, string | undefined]>([
  ["files of another set", { name: "mnist" }, "data_batch_1.bin", undefined],
  ["a set of one's own", { name: "csv", file: "a.csv" }, "train.bin", undefined],
  ["a folder that the configuration names", { name: "cifar10", dataDir: "/mine" }, "data_batch_1.bin", "/mine"],
])("%s: the folder is the node's alone", (_, dataset, file, expected) => {
  expect(dataDirFor(dataset, file)).toBe(expected);
});
