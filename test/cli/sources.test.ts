/** A path in place of a model's or data set's name. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { trainOverrides } from "../../src/cli/options.ts";
import { datasetSettings, modelSettings } from "../../src/cli/sources.ts";
import { loadConfig } from "../../src/config/load.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "esper-sources-"));
  for (const name of ["web", "pictures/cat", "idx"]) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "web", "model.json"), "{}");
  writeFileSync(join(folder, "idx", "train-images-idx3-ubyte.gz"), "");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const told = (settings: readonly { readonly path: readonly string[]; readonly value: unknown }[]) =>
  Object.fromEntries(settings.map(({ path, value }) => [path.join("."), value]));

test.each([
  ["mlp", { "model.name": "mlp" }],
  ["rnn", { "model.name": "rnn" }],
  ["a/model.onnx", { "model.name": "file", "model.file": "a/model.onnx" }],
  ["model.safetensors", { "model.name": "file", "model.file": "model.safetensors" }],
  ["web/model.json", { "model.name": "file", "model.file": "web/model.json" }],
])("--model %s", (text, expected) => {
  expect(told(modelSettings(text))).toEqual(expected);
});

test.each([
  ["mnist", { "dataset.name": "mnist" }],
  ["minst", { "dataset.name": "minst" }],
  ["a/table.csv", { "dataset.name": "csv", "dataset.file": "a/table.csv" }],
  ["table.TSV", { "dataset.name": "csv", "dataset.file": "table.TSV" }],
  ["a.npz", { "dataset.name": "npz", "dataset.file": "a.npz" }],
  ["book.txt", { "dataset.name": "text", "dataset.file": "book.txt" }],
])("--dataset %s", (text, expected) => {
  expect(told(datasetSettings(text))).toEqual(expected);
});

test("folders are known by what they hold", () => {
  const at = (name: string): string => join(folder, name);
  expect(told(modelSettings(at("web")))).toEqual({ "model.name": "file", "model.file": at("web") });
  expect(told(modelSettings(at("pictures")))).toEqual({ "model.name": at("pictures") });
  expect(told(datasetSettings(at("pictures")))).toEqual({ "dataset.name": "images", "dataset.dataDir": at("pictures") });
  expect(told(datasetSettings(at("idx")))).toEqual({ "dataset.name": "idx", "dataset.dataDir": at("idx") });
});

test("data without a model get a host that can read them; a model or a configuration that was given stays", () => {
  const config = (options: object) => loadConfig({ overrides: trainOverrides(options) });
  expect(config({ dataset: "book.txt" }).model.name).toBe("transformer");
  expect(config({ dataset: "cifar10" }).model.name).toBe("cnn");
  expect(config({ dataset: "table.csv", target: "price", task: "regression" })).toMatchObject({
    model: { name: "mlp" },
    dataset: { name: "csv", file: "table.csv", target: "price", task: "regression" },
  });
  expect(config({ dataset: "book.txt", model: "m.onnx" }).model).toEqual({ name: "file", file: "m.onnx" });
  expect(
    loadConfig({ file: "configs/debug.yaml", overrides: trainOverrides({ config: "c", dataset: "cifar10" }) }).model.name,
  ).toBe("mlp");
  expect(() => config({ dataset: "table.csv", task: "guess" })).toThrow(
    /dataset\.task: expected classification or regression.*--task/,
  );
});
