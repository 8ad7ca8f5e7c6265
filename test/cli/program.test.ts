/** Arguments in, exit code and text out. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { runCommandLine, withCommand } from "../../src/cli/program.ts";
import { ContractError, DataError, InputError, ServiceError, TrainingError } from "../../src/contracts/errors.ts";
import type { RunNode, RunNodeOptions } from "../../src/node/api.ts";
import { createTestContext } from "./context.ts";
import { report, wholeRun } from "./samples.ts";

const quickstart = "configs/quickstart.yaml";

/** A node that records how it was started and ends at once. */
const recordingNode = () => {
  const calls: RunNodeOptions[] = [];
  const runNode: RunNode = async (options) => {
    calls.push(options);
    for (const message of wholeRun()) options.view.onMessage(message);
    return { report, exitCode: 0 };
  };
  return { calls, runNode };
};

const failingWith =
  (error: unknown): RunNode =>
  async () => {
    throw error;
  };

const start = async (args: readonly string[], environment: Readonly<Record<string, string>> = {}) => {
  const { calls, runNode } = recordingNode();
  const under = createTestContext(runNode, environment);
  const exitCode = await runCommandLine(args, under.context);
  return { exitCode, calls, config: calls[0]?.config, ...under };
};

describe("help", () => {
  const commands = [
    "start",
    "train",
    "experiment",
    "export",
    "adapters",
    "check-services",
    "doctor",
    "status",
    "ctl",
    "dlq",
    "performance",
    "ledger",
    "machines",
  ];

  test("names every command and every exit code", async () => {
    for (const args of [[], ["--help"], ["help"]]) {
      const { exitCode, out } = await start(args);
      expect(exitCode).toBe(0);
      for (const command of commands) expect(out.text()).toContain(`\n  ${command} `);
      for (const { code, meaning } of exitCodes) expect(out.text()).toContain(`${code}  ${meaning}`);
    }
  });

  test.each([
    ...commands.map((name) => [name]),
    ...["list", "save", "load"].map((name) => ["adapters", name]),
    ...["verify", "show", "export"].map((name) => ["ledger", name]),
    ...["germinate", "cull", "rollback", "release", "resolve", "pause", "resume", "status", "stop"].map((name) => ["ctl", name]),
  ])("%s %s has an example", async (...args) => {
    const { exitCode, out } = await start([...args.filter((arg) => arg !== undefined), "--help"]);
    expect(exitCode).toBe(0);
    expect(out.text()).toMatch(/Examples?:\n {2}\S*esper |Examples?:\n {2}esper /);
  });

  test("--version", async () => {
    const { exitCode, out } = await start(["--version"]);
    expect([exitCode, out.text()]).toEqual([0, "0.1.0\n"]);
  });
});

describe("wrong arguments end with 2 and say what to do", () => {
  test.each([
    [["strat"], /unknown command 'strat'\n\(Did you mean start\?\)/],
    [["tran", "--model", "mlp"], /unknown command 'tran'/],
    [["train", "--modle", "mlp"], /unknown option '--modle'\n\(Did you mean --model\?\)/],
    [["start"], /required option '--config <file>' not specified/],
    [["start", "--config", "no.yaml"], /expected a readable configuration file, got ENOENT.*check the path after --config/],
    [
      ["train", "--model", "rnn"],
      /model\.name: expected mlp or cnn or resnet18 or transformer or file, found a text of 3 characters.* \(from --model\)/,
    ],
    [
      ["train", "--epochs", "many"],
      /optimization\.epochs: expected number > 0 and ≤ 10000, found a text of 4 characters \(from --epochs\)/,
    ],
    [["train", "--damage", "h2"], /expected --damage LAYER:KIND .*, got "h2"/],
    [
      ["train", "--damage", "h9:dead"],
      /damage\.site: expected random or a hidden layer \(h1, h2, h3\), found "h9", did you mean h1\? \(from --damage\)/,
    ],
    [
      ["train", "--arms", "grown,helthy"],
      /arms\[1\]: expected no-growth or grown or healthy, found a text of 6 characters, did you mean healthy\? \(from --arms\)/,
    ],
    [["machines", "sed"], /expected one of seed, .*, got "sed"; did you mean seed\?/],
    [["machines", "--format", "scml"], /expected --format one of text, json, svg, .*, got "scml"; did you mean scxml\?/],
    [["machines", "--format", "svg"], /expected the name of a machine before --format svg, got none; one of seed, /],
    [["machines", "seed", "--theme", "dark"], /expected --theme with --format svg, got it with text/],
    [
      ["start", "--config", "configs/experiment-tiny.yaml"],
      /unknown key of 5 characters[\s\S]*this is an experiment: run it with `esper experiment/,
    ],
    [["experiment", "--config", quickstart], /this is a run's configuration: start it with `esper start/],
    [
      ["train", "--dataset", "mnist", "--task", "guess"],
      /dataset\.task: expected classification or regression, found a text of 5 characters \(from --task\)/,
    ],
    [["adapters", "load", "--base", "b.onnx", "--out", "o.onnx"], /required option '--file <file>' not specified/],
    [["ctl"], /expected one of germinate, .* after ctl/],
    [["ctl", "resolve", "--seed", "h2"], /required option '--verdict <verdict>' not specified/],
    [["ctl", "resolve", "--seed", "h2", "--verdict", "maybe"], /Allowed choices are keep, cull/],
    [["ctl", "cull"], /required option '--seed <id>' not specified/],
    [["ctl", "cull", "--seed", "h 2"], /seedId: expected seed:<site>, for example seed:h2; see `esper ctl cull --help`/],
    [["ctl", "pause", "--timeout-ms", "0"], /expected an integer of 1 or more/],
  ])("%j", async (args, text) => {
    const { exitCode, err, out } = await start(args);
    expect(err.text()).toMatch(text);
    expect(err.text()).toMatch(/^error \(input\): /);
    expect([exitCode, out.text()]).toEqual([2, ""]);
  });

  test("an unknown variable of the environment", async () => {
    const { exitCode, err } = await start(["train"], { ESPER_THREDS: "2" });
    expect([exitCode, err.text()]).toEqual([
      2,
      expect.stringContaining("ESPER_…: unknown variable of 12 characters in the environment, did you mean ESPER_THREADS?"),
    ]);
  });
});

describe("start and train", () => {
  test("start runs the file's configuration, shows it, and tells where the report lies", async () => {
    const { exitCode, calls, config, out, logs } = await start(["start", "--config", quickstart, "--report", "r.json"]);
    expect(exitCode).toBe(0);
    expect(config).toMatchObject({ arms: ["no-growth", "grown", "healthy"], damage: { site: "random", kind: "dead", live: 2 } });
    expect(calls[0]).toMatchObject({ reportFile: "r.json" });
    expect(out.text()).toContain("Tamiyo germinate");
    expect(out.text()).toContain("report      r.json");
    expect(logs).toEqual([{ file: join(".esper", "logs", "node.log"), level: "info" }]);
  });

  test("train's options become the configuration", async () => {
    const { config, calls } = await start([
      "train",
      "--model",
      "cnn",
      "--dataset",
      "fashion-mnist",
      "--epochs",
      "0.5",
      "--damage",
      "c2:rank:3",
      "--random-seed",
      "9",
      "--device",
      "wasm",
      "--resume",
      "some/checkpoint",
    ]);
    expect(config).toMatchObject({
      model: { name: "cnn", channels: [8, 16, 16] },
      dataset: { name: "fashion-mnist" },
      optimization: { epochs: 0.5 },
      damage: { site: "c2", kind: "rank", live: 3 },
      randomSeed: 9,
      device: "wasm",
      arms: ["grown"],
    });
    expect(calls[0]).toMatchObject({ resume: "some/checkpoint" });
  });

  test("train begins with --config and keeps its arms; options win", async () => {
    const { config } = await start(["train", "--config", quickstart, "--epochs", "1"]);
    expect(config).toMatchObject({ arms: ["no-growth", "grown", "healthy"], optimization: { epochs: 1 } });
    const { config: other } = await start(["train", "--config", quickstart, "--model", "cnn", "--damage", "c1:dead"]);
    expect(other).toMatchObject({ model: { name: "cnn" }, damage: { site: "c1", kind: "dead", live: 2 } });
  });

  test("--no-morphogenetic trains the host alone", async () => {
    const { config } = await start(["train", "--no-morphogenetic"]);
    expect(config).toMatchObject({ morphogenetic: { enabled: false }, arms: ["no-growth"] });
  });

  test("train may be left out before its own options", async () => {
    expect((await start(["--model", "mlp", "--dataset", "mnist"])).calls).toHaveLength(1);
    expect(withCommand(["--debug", "--epochs=2"], ["train"])).toEqual(["train", "--debug", "--epochs=2"]);
    expect(withCommand(["start", "--model"], ["start"])).toEqual(["start", "--model"]);
    expect(withCommand(["--data-dir", "x", "--check-services"], [])).toEqual(["check-services", "--data-dir", "x"]);
    expect(withCommand(["--verbose"], [])).toEqual(["--verbose"]);
  });

  test("--json writes JSON lines only", async () => {
    const { out, err } = await start(["start", "--config", quickstart, "--json"]);
    const kinds = out
      .text()
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { kind: string }).kind);
    expect(new Set(kinds)).toEqual(new Set(["message", "report"]));
    expect([kinds.at(-1), err.text()]).toEqual(["report", ""]);
  });

  test("--debug and --data-dir, before or after the command", async () => {
    for (const args of [
      ["--debug", "--data-dir", "there", "train"],
      ["train", "--debug", "--data-dir", "there"],
    ]) {
      const { config, logs } = await start(args);
      expect(config).toMatchObject({ services: { dataDir: "there" }, logging: { level: "debug" } });
      expect(logs).toEqual([{ file: join("there", "logs", "node.log"), level: "debug" }]);
    }
  });
});

describe("--data-dir with data", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "esper-cli-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("IDX files lying in it are the data set's; an empty folder is only where the node writes", async () => {
    expect((await start(["train", "--data-dir", folder])).config?.dataset.dataDir).toBeUndefined();
    writeFileSync(join(folder, "train-images-idx3-ubyte.gz"), "");
    const { config } = await start(["train", "--data-dir", folder]);
    expect([config?.dataset.dataDir, config?.services.dataDir]).toEqual([folder, folder]);
  });
});

describe("how it ends", () => {
  const run = async (error: unknown, ...flags: string[]) => {
    const under = createTestContext(failingWith(error));
    const exitCode = await runCommandLine(["start", "--config", quickstart, ...flags], under.context);
    return { exitCode, text: under.err.text(), listening: under.listening() };
  };

  test.each([
    [new InputError("expected a, got b; do c"), 2, "error (input): expected a, got b; do c\n"],
    [
      new ContractError("expected a, got b; do c", { subject: "library.asset.put" }),
      3,
      "error (contract): expected a, got b; do c\n  at library.asset.put\n",
    ],
    [new DataError("file x: expected a, got b", { file: "x" }), 4, "error (data): file x: expected a, got b\n"],
    [new ServiceError("no nats-server"), 5, "error (service): no nats-server\n"],
    [new TrainingError("three rollbacks"), 6, "error (training): three rollbacks\n"],
    [
      new RangeError("index 3"),
      1,
      "error (bug): expected no failure here, got RangeError: index 3\n  run again with --debug for the stack, and report it with the log in the data directory\n",
    ],
  ])("%s", async (error, code, text) => {
    expect(await run(error)).toEqual({ exitCode: code, text, listening: 0 });
  });

  test("--debug adds the stack and the cause's", async () => {
    const { text } = await run(new ServiceError("outer", {}, { cause: new Error("inner") }), "--debug");
    expect(text).toMatch(/^error \(service\): outer\nServiceError: outer\n {4}at [\s\S]*caused by Error: inner\n {4}at /);
  });

  test("the exit code of a run that failed", async () => {
    const under = createTestContext(async () => ({ report, exitCode: 6 }));
    expect(await runCommandLine(["start", "--config", quickstart], under.context)).toBe(6);
  });

  test("the first Ctrl-C ends cleanly with 130 and the report; the second ends at once", async () => {
    const under = createTestContext(async ({ signal }) => {
      under.interrupt();
      expect(signal.aborted).toBe(true);
      expect(under.exits).toEqual([]);
      under.interrupt();
      return { report, exitCode: 0 };
    });
    expect(await runCommandLine(["start", "--config", quickstart], under.context)).toBe(130);
    expect(under.exits).toEqual([130]);
    expect(under.out.text()).toContain("press Ctrl-C again to end at once");
    expect(under.out.text()).toContain("growth won back");
    expect(under.listening()).toBe(0);
  });

  test("Ctrl-C before training began is no bug", async () => {
    const under = createTestContext(async ({ signal }) => {
      under.interrupt();
      signal.throwIfAborted();
      return { report, exitCode: 0 };
    });
    expect(await runCommandLine(["start", "--config", quickstart], under.context)).toBe(130);
    expect([under.out.text(), under.err.text()]).toEqual([expect.stringContaining("interrupted: nothing was trained\n"), ""]);
  });

  test("a bug during an interrupt is still a bug", async () => {
    const under = createTestContext(async () => {
      under.interrupt();
      throw new TypeError("not a function");
    });
    expect(await runCommandLine(["start", "--config", quickstart], under.context)).toBe(1);
  });
});

describe("machines", () => {
  test("the seed machine as JSON has its eleven states", async () => {
    const { exitCode, out } = await start(["machines", "seed", "--format", "json"]);
    const machine = JSON.parse(out.text()) as { initial: string; states: { name: string }[] };
    expect([exitCode, machine.initial, machine.states.length]).toEqual([0, "DORMANT", 11]);
  });

  test("all machines as text and as JSON", async () => {
    const { out } = await start(["machines", "--format", "json"]);
    expect((JSON.parse(out.text()) as { name: string }[]).map(({ name }) => name)).toEqual(
      expect.arrayContaining(["seed", "run", "supervisor"]),
    );
    expect((await start(["machines", "seed"])).out.text()).toMatch(/^seed: .*\n {2}begins in DORMANT\n {2}DORMANT: /);
  });
});
