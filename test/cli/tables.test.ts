/** `esper ctl` for every kind, the tables with --watch, and completion, on a real bus with a stand-in Gate. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { type Oona, startOona } from "../../src/bus/create.ts";
import { controlKinds } from "../../src/cli/control/kinds.ts";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import type { CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import { NatsConfig } from "../../src/contracts/config.ts";
import { MorphogeneticConfig } from "../../src/contracts/config-morphogenetic.ts";
import { configuredPolicy } from "../../src/contracts/policy.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { commandKinds } from "../../src/contracts/roles.ts";
import { calibration } from "../../src/policy/calibration.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { openDatabase } from "../../src/store/database.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { migrations } from "../../src/store/migrations.ts";
import { blueprint, testArtifacts } from "../store/support.ts";
import { createTestContext } from "./context.ts";
import { report } from "./samples.ts";

const hash = "a".repeat(64);
let dataDir = "";
let oona: Oona;
let gate: Bus;
let epoch = 0;
const commands: KasminaControlCommand[] = [];
const senders: string[] = [];

const seed = {
  seedId: "seed:h2",
  site: "h2",
  state: "TRAINING",
  sinceEpoch: 3,
  reason: "loaded\u001b[2J",
  embargoUntilEpoch: 0,
  alpha: 0,
  pinned: true,
} as const;

const answer = (command: KasminaControlCommand): CommandReceipt => {
  const { requestId, kind } = command;
  const runId = "r-1";
  switch (kind) {
    case "seeds":
      return { kind, requestId, runId, epoch, seeds: [seed], seedCount: 2, next: "seed:h2" };
    case "layers":
      return { kind, requestId, runId, epoch, layers: [] };
    case "decisions":
      return {
        kind,
        requestId,
        kept: 1,
        decisions: [{ runId, epoch: 1, rule: "r", outcome: "wait", reason: "too sure", latencyMs: 1 }],
      };
    case "kernels":
      return { kind, requestId, kernels: [] };
    case "escalations":
      return {
        kind,
        requestId,
        runId,
        escalations: [{ seedId: "seed:h3", sinceEpoch: 4, reason: "split", windowsLeft: 2, otherwise: "cull" }],
      };
    case "budget":
      return { kind, requestId, runId, standing: { limits: { flops: 5 }, used: {}, reserved: {} }, left: { flops: 5 } };
    case "approvals":
      return { kind, requestId, approvals: [] };
    case "cull":
      return { kind: "refused", requestId, code: "unknown_seed", reason: "there is none" };
    default:
      return { kind: "done", requestId, detail: kind };
  }
};

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "esper-tables-"));
  const [clock, entropy, log] = [createSystemClock(), createSystemEntropy(), silentLog];
  const config = NatsConfig.parse({ mode: "embedded" });
  oona = await startOona({ config, dataDir, payloadBytesMax: 1_048_576, clock, entropy, log });
  gate = await oona.connect("gate");
  await gate.respond("control.kasmina.commands", async (command, { sender }) => {
    commands.push(command);
    senders.push(sender);
    return answer(command);
  });
});
afterAll(async () => {
  await gate.close();
  await oona.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const start = (...args: string[]) => {
  const under = createTestContext(async () => ({ report, exitCode: 0 }));
  const ended = runCommandLine([...args, "--data-dir", dataDir], under.context);
  return { ...under, ended };
};
const call = async (...args: string[]) => {
  const { ended, out, err } = start(...args);
  return { exitCode: await ended, out: out.text(), err: err.text() };
};

/** A command line's words; quotes hold spaces together. */
const words = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");

describe("esper ctl", () => {
  test("knows every kind of command, and each kind's example sends it", async () => {
    expect(controlKinds.map(({ kind }) => kind).sort()).toEqual([...commandKinds].sort());
    const policy = join(dataDir, "policy.json");
    writeFileSync(policy, JSON.stringify(configuredPolicy(MorphogeneticConfig.parse({}), calibration)));
    for (const { kind, example } of controlKinds) {
      const line = example.replaceAll("SHA256", hash).replace("policy.json", policy);
      const [, ...args] = words(line);
      const { exitCode, err } = await call(...args);
      expect([kind, exitCode, err]).toEqual([kind, kind === "cull" ? 7 : 0, ""]);
      expect(commands.at(-1)?.kind).toBe(kind);
    }
  });

  test("values become fields; what does not fit is told by name and sends nothing", async () => {
    await call("ctl", "policy_update", "--set", "trigger.gapMin=0.05", "--set", "blueprint.kind=dense", "--as", "admin");
    expect(commands.at(-1)).toMatchObject({ set: { "trigger.gapMin": 0.05, "blueprint.kind": "dense" } });
    await call("ctl", "germinate", "--seed", "h2", "--blueprint-hash", hash);
    expect(commands.at(-1)).toMatchObject({ blueprint: { hash }, seedId: "seed:h2" });
    await call(
      "ctl",
      "submit_blueprint",
      "--name",
      "b",
      "--blueprint",
      "convolution",
      "--width",
      "4",
      "--from",
      "8,28,28",
      "--to",
      "8,28,28",
    );
    expect(commands.at(-1)).toMatchObject({ blueprint: { from: [8, 28, 28], request: { kind: "convolution", hiddenWidth: 4 } } });
    const sent = commands.length;
    for (const [args, message] of [
      [["policy_load"], "--hash or --file"],
      [["policy_update", "--set", "gapMin"], "name=value"],
      [["policy_update", "--set", "gapMin=1"], "set.gapMin"],
      [["germinate", "--seed", "h2", "--blueprint-hash", hash, "--width", "3"], "--blueprint-hash alone"],
      [["kernel", "--hash", "short"], "64 hexadecimal digits"],
      [["transition", "--seed", "h2", "--to", "SLEEP"], "SLEEP"],
    ] as const) {
      const { exitCode, err } = await call("ctl", ...args);
      expect([args[0], exitCode]).toEqual([args[0], 2]);
      expect(err).toContain(message);
    }
    expect(commands).toHaveLength(sent);
  });

  test("every command documents its exit codes", async () => {
    for (const name of ["ctl", "seeds", "budget"]) {
      const { out } = await call(name, "--help");
      for (const { code, meaning } of exitCodes) expect(out).toContain(`${String(code).padStart(3)}  ${meaning}`);
    }
  });
});

describe("tables", () => {
  test("are told for people, without control characters of others, and as JSON", async () => {
    const { out, exitCode } = await call("seeds", "--state", "TRAINING", "--limit", "1", "--as", "observer");
    expect(exitCode).toBe(0);
    expect(out).toMatch(/seed:h2 \(pinned\)\s+│ TRAINING/);
    expect(out).toContain("more: --after seed:h2");
    expect(out).not.toContain("\u001b[2J");
    expect([commands.at(-1), senders.at(-1)]).toMatchObject([{ state: "TRAINING", limit: 1 }, "observer"]);
    for (const name of ["seeds", "layers", "decisions", "kernels", "budget", "escalations"]) {
      const json = await call(name, "--json");
      expect(JSON.parse(json.out)).toMatchObject({ kind: name });
    }
  });

  test("--watch tells new lines when something changed, and ends on Ctrl-C with 130", async () => {
    epoch = 1;
    const { ended, out, interrupt } = start("seeds", "--watch", "--every-ms", "500");
    const seen = async (text: string): Promise<void> => {
      for (let tries = 0; !out.text().includes(text); tries += 1) {
        if (tries > 400) throw new Error(`expected ${text}, got ${out.text()}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await seen("at window 1");
    const asked = commands.length;
    epoch = 2;
    await seen("at window 2");
    const repeated = commands.length;
    while (commands.length < repeated + 2) await new Promise((resolve) => setTimeout(resolve, 50));
    interrupt();
    expect(await ended).toBe(130);
    expect(repeated).toBeGreaterThan(asked);
    expect(out.text().match(/at window 2/g)).toHaveLength(1);
    expect((await call("seeds", "--watch", "--every-ms", "100")).exitCode).toBe(2);
  });
});

describe("completion", () => {
  const complete = async (...line: string[]): Promise<string[]> => {
    const under = createTestContext(async () => ({ report, exitCode: 0 }));
    expect(await runCommandLine(["__complete", "--", ...line], under.context)).toBe(0);
    return under.out
      .text()
      .split("\n")
      .filter((word) => word !== "");
  };

  test("of commands, options, values, and ids of the running node", async () => {
    expect(await complete("see")).toEqual(["seeds"]);
    expect(await complete("ctl", "germ")).toEqual(["germinate"]);
    expect(await complete("ctl", "germinate", "--prune")).toEqual(["--prune-units", "--prune-bypass"]);
    expect(await complete("ctl", "resolve", "--verdict", "")).toEqual(["keep", "cull"]);
    expect(await complete("--data-dir", dataDir, "ctl", "cull", "--seed", "")).toEqual(["seed:h2"]);
    expect(await complete("ctl", "cull", "--data-dir", dataDir, "--seed", "seed:")).toEqual(["seed:h2"]);
    expect(await complete()).toContain("ctl");
    expect(await complete("")).not.toContain("__complete");
  });

  test("of runs, checkpoints and blueprints in the data directory, with and without a node; of open escalations", async () => {
    const folder = await mkdtemp(join(tmpdir(), "esper-complete-"));
    for (const place of ["r-1/2", "r-1/10", "r-1/9", "r-2/4"])
      await mkdir(join(folder, "checkpoints", place), { recursive: true });
    await mkdir(join(folder, "runs", "r-3"), { recursive: true });
    expect(await complete("export", "--data-dir", folder, "--run", "")).toEqual(["r-3", "r-1", "r-2"]);
    expect(await complete("--data-dir", folder, "ctl", "pause", "--run", "r-2")).toEqual(["r-2"]);
    expect(await complete("--data-dir", folder, "visualize", "r-3")).toEqual(["r-3"]);
    const at = (place: string) => join(folder, "checkpoints", place);
    expect(await complete("train", "--data-dir", folder, "--resume", "")).toEqual([at("r-1"), at("r-2")]);
    expect(await complete("export", "--data-dir", folder, "--checkpoint", at("r-1/"))).toEqual(
      ["2", "9", "10"].map((n) => at(`r-1/${n}`)),
    );
    expect(await complete("--data-dir", folder, "ctl", "start", "--resume", "checkpoints/r-1/1")).toEqual(["checkpoints/r-1/10"]);
    expect(await complete("--data-dir", folder, "ctl", "germinate", "--blueprint-hash", "")).toEqual([]);
    const database = openDatabase({ file: join(folder, "esper.db"), migrations, busyTimeoutMs: 1_000 });
    const { library } = await testArtifacts({ fileSystem: nodeFileSystem, dataDir: folder, database });
    const { hash } = await library.put({
      kind: "blueprint",
      asset: blueprint(),
      inputs: [],
      source: "test",
      producer: "test",
      createdAtMs: 1_000,
    });
    expect(await complete("--data-dir", folder, "ctl", "germinate", "--blueprint-hash", hash.slice(0, 4))).toEqual([hash]);
    database.close();
    await rm(folder, { recursive: true });
    expect(await complete("--data-dir", dataDir, "ctl", "resolve", "--seed", "")).toEqual(["seed:h3"]);
  });

  test("without a node there are no ids and no words about it", async () => {
    expect(await complete("ctl", "cull", "--data-dir", join(dataDir, "none"), "--seed", "")).toEqual([]);
  });

  test.each(["bash", "zsh", "fish"])("a script for %s asks esper", async (shell) => {
    const { out, exitCode } = await call("completion", shell);
    expect([exitCode, out]).toEqual([0, expect.stringContaining("esper __complete --")]);
  });
});
