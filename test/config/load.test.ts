/** What a person may get wrong in a configuration, and what is said about it. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { configKeys, environmentName } from "../../src/config/keys.ts";
import { loadConfig, resolveConfig } from "../../src/config/load.ts";
import { loadExperiment } from "../../src/config/load-experiment.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import { InputError } from "../../src/contracts/errors.ts";

const errorOf = (work: () => unknown): InputError => {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error("expected an InputError, got none");
};
const textError = (text: string): string => errorOf(() => resolveConfig({ text, file: "a.yaml" })).message;

describe("configuration files of the repository", () => {
  const folder = fileURLToPath(new URL("../../configs", import.meta.url));
  const isExperiment = (file: string): boolean => file.startsWith("experiment-");
  const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));

  test("they are there", () => {
    expect(files).toEqual(
      expect.arrayContaining(["quickstart.yaml", "baseline.yaml", "development.yaml", "debug.yaml", "cnn.yaml"]),
    );
  });

  test.each(files)("%s is valid", (file) => {
    if (isExperiment(file)) expect(loadExperiment(join(folder, file)).randomSeeds).toBeDefined();
    else expect(EsperConfig.parse(loadConfig({ file: join(folder, file) }))).toBeDefined();
  });
});

describe("sources", () => {
  test("without any source the defaults hold", () => {
    expect(loadConfig({})).toEqual(EsperConfig.parse({}));
    expect(resolveConfig({ text: "# nothing\n", file: "a.yaml" })).toEqual(EsperConfig.parse({}));
  });

  test("the environment wins over the file and the command line over both", () => {
    const source = { text: "threads: 2\nrandomSeed: 5\noptimization:\n  epochs: 1\n", file: "a.yaml" };
    const config = resolveConfig(source, { ESPER_OPTIMIZATION__EPOCHS: "3", ESPER_RANDOM_SEED: "6", HOME: "/" }, [
      { path: ["randomSeed"], value: 7, origin: "--random-seed" },
    ]);
    expect([config.threads, config.optimization.epochs, config.randomSeed]).toEqual([2, 3, 7]);
  });

  test("a list and a boolean are read as YAML", () => {
    const config = resolveConfig(undefined, { ESPER_MODEL__WIDTHS: "[8, 9]", ESPER_MORPHOGENETIC__ENABLED: "false" });
    expect(config.model).toEqual({ name: "mlp", widths: [8, 9], activation: "relu" });
    expect(config.morphogenetic.enabled).toBe(false);
  });

  test("choosing another model drops the keys of the first, whatever the order of the variables", () => {
    const source = { text: "model: {name: mlp, widths: [9]}\n", file: "a.yaml" };
    expect(resolveConfig(source, { ESPER_MODEL__CHANNELS: "[4]", ESPER_MODEL__NAME: "cnn" }).model).toEqual({
      name: "cnn",
      channels: [4],
      activation: "relu",
      batchNorm: false,
    });
    expect(resolveConfig(source, { ESPER_MODEL__NAME: "mlp" }).model).toEqual({ name: "mlp", widths: [9], activation: "relu" });
  });

  test("a key of a union that the file leaves out takes the default member", () => {
    const config = resolveConfig(undefined, { ESPER_OPTIMIZATION__OPTIMIZER__LEARNING_RATE: "0.5" });
    expect(config.optimization.optimizer).toMatchObject({ kind: "adam", learningRate: 0.5 });
  });

  test("every key has a name of its own in the environment", () => {
    const paths = [...new Set(configKeys.keys.map((key) => key.path.join(".")))];
    expect(new Set(paths.map((path) => environmentName(path.split(".")))).size).toBe(paths.length);
    expect(environmentName(["morphogenetic", "budget", "flopsFractionMax"])).toBe(
      "ESPER_MORPHOGENETIC__BUDGET__FLOPS_FRACTION_MAX",
    );
  });

  test("any number set by the environment arrives", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 1, max: 256 }), (randomSeed, threads) => {
        expect(resolveConfig(undefined, { ESPER_RANDOM_SEED: `${randomSeed}`, ESPER_THREADS: `${threads}` })).toMatchObject({
          randomSeed,
          threads,
        });
      }),
    );
  });
});

describe("errors", () => {
  test("all problems are told at once, with line, expected, found and what was meant", () => {
    const text =
      "optimzation: {}\nthreads: many\nmodel:\n  name: mpl\ndamage:\n  kind: daed\n  live: 0\nmorphogenetic:\n  signal: {ridg: 1}\n";
    expect(textError(text)).toMatchInlineSnapshot(`
      "expected a valid configuration, got 6 problems in a.yaml:
        - threads: expected integer 1 to 256, found a text of 4 characters (line 2)
        - model.name: expected mlp or cnn or resnet18 or transformer or file, found a text of 3 characters, did you mean mlp? (line 4)
        - damage.kind: expected dead or rank or narrow or saturated or initialization, found a text of 4 characters, did you mean dead? (line 6)
        - damage.live: expected integer ≥ 1, found 0 (line 7)
        - morphogenetic.signal: unknown key of 4 characters, did you mean ridge? (line 9)
        - top: unknown key of 11 characters, did you mean optimization? (line 1)
      correct each; every key is described in README.md, "Configuration""
    `);
  });

  test("a key of another member of a union is named as such", () => {
    expect(textError("services:\n  nats: {mode: embedded, url: 'nats://h'}\n")).toContain(
      "services.nats.url: is a key of mode: external, found with mode: embedded (line 2)",
    );
    expect(textError("model: {name: cnn, widths: [3]}\n")).toContain(
      "model.widths: is a key of name: mlp, found with name: cnn (line 1)",
    );
  });

  test("a missing value and a wrong item of a list", () => {
    expect(textError("model: {name: file}\n")).toContain("model.file: expected text, found nothing (line 1)");
    expect(textError("arms: [grown, grwn]\n")).toContain(
      "arms[1]: expected no-growth or grown or healthy, found a text of 4 characters, did you mean grown? (line 1)",
    );
    expect(textError("model: {name: mlp, widths: [64, 0]}\n")).toContain(
      "model.widths[1]: expected at least 1, found 0 (line 1)",
    );
  });

  test("damaged YAML tells line and column", () => {
    expect(textError("threads: 1\nmodel: {name: mlp\n")).toMatch(
      /^expected well-formed YAML, got a wrong indentation at a\.yaml line 3, column 1; correct that line$/,
    );
    expect(textError("threads: 1\nthreads: 2\n")).toContain("a.yaml line 2, column 1");
    expect(textError("- 1\n")).toContain('expected "key: value" lines at the top of a.yaml, found a list of 1 item');
  });

  test("an alias bomb is refused", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x,x]"];
    for (const [to, from] of ["ba", "cb", "dc", "ed", "fe"]) bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(",")}]`);
    expect(textError(bomb.join("\n"))).toContain("expected plain YAML");
  });

  test("__proto__ is an unknown key and changes nothing", () => {
    expect(textError("__proto__: {polluted: true}\n")).toContain("top: unknown key of 9 characters");
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  test("an unknown variable of the environment is an error", () => {
    const message = errorOf(() => resolveConfig(undefined, { ESPER_OPTIMISATION__EPOCHS: "3", ESPER_NONSENSE: "1" })).message;
    expect(message).toContain(
      "ESPER_…: unknown variable of 26 characters in the environment, did you mean ESPER_OPTIMIZATION__EPOCHS?",
    );
    expect(message).toContain("ESPER_…: unknown variable of 14 characters in the environment, the names follow the keys");
  });

  test("a wrong value names the variable or the option that it came from", () => {
    expect(errorOf(() => resolveConfig(undefined, { ESPER_THREADS: "two" })).message).toContain(
      "threads: expected integer 1 to 256, found a text of 3 characters (from ESPER_THREADS)",
    );
    const override = { path: ["optimization", "epochs"], value: -1, origin: "--epochs" };
    expect(errorOf(() => resolveConfig(undefined, {}, [override])).message).toContain(
      "optimization.epochs: expected number > 0 and ≤ 10000, found -1 (from --epochs)",
    );
  });

  test("a layer that the host lacks", () => {
    expect(textError("damage: {site: h9}\n")).toContain(
      'damage.site: expected random or a hidden layer (h1, h2, h3), found "h9", did you mean h1? (line 1)',
    );
    expect(textError("damage: {site: h1, live: 64}\n")).toContain(
      "damage.live: expected less than the layer's 64 units, found 64",
    );
    const resnet = "model: {name: resnet18, blocks: [1, 1], width: 4}\n";
    expect(textError(`${resnet}damage: {site: s2.b1.short}\n`)).toContain('found "s2.b1.short", did you mean s2.b1.shortcut?');
    expect(textError(`${resnet}damage: {site: s1, live: 4}\n`)).toContain("less than the layer's 4 units");
    const valid = (text: string) => resolveConfig({ text, file: "a.yaml" }).damage?.site;
    expect(valid(`${resnet}damage: {site: s2, live: 4}\n`)).toBe("s2");
    expect(valid("model: {name: transformer, layers: 1}\ndamage: {site: b1.mlp}\n")).toBe("b1.mlp");
    expect(valid("model: {name: file, file: a.onnx}\ndamage: {site: dense_3}\n")).toBe("dense_3");
  });
});

describe("files", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "esper-config-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("a file that is not there", () => {
    const error = errorOf(() => loadConfig({ file: join(folder, "no.yaml") }));
    expect(error.message).toMatch(/^expected a readable configuration file, got ENOENT.*; check the path after --config$/);
    expect(error.place.file).toBe(join(folder, "no.yaml"));
  });

  test("a file of one byte too much", () => {
    const file = join(folder, "big.yaml");
    writeFileSync(file, `#${" ".repeat(1_048_574)}\n`);
    expect(loadConfig({ file })).toEqual(EsperConfig.parse({}));
    writeFileSync(file, `#${" ".repeat(1_048_575)}\n`);
    expect(errorOf(() => loadConfig({ file })).message).toContain(
      "expected a configuration of at most 1048576 bytes, got 1048577",
    );
  });
});
