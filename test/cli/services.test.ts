/** Commands that reach real services on this machine: the bus with a stand-in Gate, and the checks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { type Oona, startOona } from "../../src/bus/create.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import type { CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import { NatsConfig } from "../../src/contracts/config.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { createTestContext } from "./context.ts";
import { host, report } from "./samples.ts";

const call = async (...args: string[]) => {
  const under = createTestContext(async () => ({ report, exitCode: 0 }));
  const exitCode = await runCommandLine(args, under.context);
  return { exitCode, out: under.out.text(), err: under.err.text() };
};

describe("a running node", () => {
  let dataDir = "";
  let oona: Oona;
  let gate: Bus;
  const commands: KasminaControlCommand[] = [];
  const senders: string[] = [];

  const answer = (command: KasminaControlCommand): CommandReceipt => {
    const { requestId } = command;
    if (command.kind === "status") {
      const seed = {
        seedId: "seed:h2",
        site: "h2",
        state: "TRAINING" as const,
        sinceEpoch: 3,
        reason: "loaded",
        embargoUntilEpoch: 0,
        alpha: 0,
      };
      return {
        kind: "status",
        requestId,
        run: { runId: "r-1", arm: "grown", epoch: 4, paused: false, host, seeds: [seed], seedCount: 2 },
      };
    }
    if (command.kind === "cull")
      return { kind: "refused", requestId, code: "unknown_seed", reason: `there is no ${command.seedId}` };
    return { kind: "accepted", requestId, runId: "r-1", appliesAtEpoch: 5, detail: command.kind };
  };

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), "esper-node-"));
    const [clock, entropy, log] = [createSystemClock(), createSystemEntropy(), silentLog];
    oona = await startOona({
      config: NatsConfig.parse({ mode: "embedded" }),
      dataDir,
      payloadBytesMax: 1_048_576,
      clock,
      entropy,
      log,
    });
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

  test("status --json tells NATS address, connection file and data directory", async () => {
    const { exitCode, out } = await call("status", "--json", "--data-dir", dataDir);
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      nats: oona.url,
      dataDir,
      connectionFile: join(dataDir, "operator.json"),
      pid: process.pid,
      run: { runId: "r-1", epoch: 4 },
    });
    expect(out).not.toContain("password");
  });

  test("status for people", async () => {
    const { out } = await call("status", "--connection", join(dataDir, "operator.json"));
    expect(out).toContain(`nats        ${oona.url}`);
    expect(out).toContain("run r-1 (grown) at window 4");
    expect(out).toMatch(/seed:h2 .*TRAINING/);
  });

  test("ctl germinate sends every option and prints the receipt", async () => {
    const { exitCode, out } = await call(
      ...[
        "ctl",
        "germinate",
        "--seed",
        "h2",
        "--to",
        "h3",
        "--width",
        "32",
        "--reason",
        "why not",
        "--run",
        "r-1",
        "--request-id",
        "mine",
      ],
      ...["--data-dir", dataDir],
    );
    expect([exitCode, out]).toEqual([0, "accepted for run r-1, takes effect at window 5: germinate\n"]);
    expect(commands.at(-1)).toEqual({
      kind: "germinate",
      requestId: "mine",
      runId: "r-1",
      seedId: "seed:h2",
      toSite: "h3",
      blueprint: { kind: "dense", hiddenWidth: 32, initialization: "zero" },
      reason: "why not",
    });
  });

  test("ctl germinate names a kind, with its width where it has one", async () => {
    const grow = (...args: string[]) => call("ctl", "germinate", "--seed", "h2", ...args, "--data-dir", dataDir);
    await grow("--blueprint", "low-rank", "--width", "8");
    expect(commands.at(-1)).toMatchObject({ blueprint: { kind: "low-rank", hiddenWidth: 8 } });
    await grow("--blueprint", "replacement");
    expect(commands.at(-1)).toMatchObject({ blueprint: { kind: "replacement", hiddenWidth: 1 } });
    const refused = await grow("--blueprint", "low-rank");
    expect(refused.exitCode).toBe(2);
    expect(refused.err).toContain("expected --width beside --blueprint low-rank");
  });

  test("ctl germinate prunes where it is told what is to go", async () => {
    const sent = async (...args: string[]) => {
      const { exitCode } = await call("ctl", "germinate", ...args, "--request-id", args.join(" "), "--data-dir", dataDir);
      return exitCode === 0 ? commands.at(-1) : exitCode;
    };
    expect(await sent("--seed", "h2", "--prune-units", "3,7")).toMatchObject({
      kind: "germinate",
      seedId: "seed:h2.prune",
      prune: { kind: "units", site: "h2", units: [3, 7], constants: [] },
    });
    expect(await sent("--seed", "seed:h2.prune", "--prune-bypass", "h2")).toMatchObject({
      seedId: "seed:h2.prune",
      prune: { kind: "bypass", site: "h2", seedId: "seed:h2" },
    });
    expect(await sent("--seed", "h2", "--prune-units", "3;7")).toBe(2);
    expect(await sent("--seed", "h2", "--prune-units", "3", "--prune-bypass", "h2")).toBe(2);
  });

  test("ctl rollback, release and resolve send their seed, verdict and reason", async () => {
    const sent = async (...args: string[]) => {
      expect((await call("ctl", ...args, "--request-id", args.join(" "), "--data-dir", dataDir)).exitCode).toBe(0);
      const { requestId: _, ...rest } = commands.at(-1)!;
      return rest;
    };
    const reason = "asked by the operator";
    expect(await sent("rollback")).toEqual({ kind: "rollback", reason });
    expect(await sent("rollback", "--seed", "h2", "--reason", "looks wrong")).toEqual({
      kind: "rollback",
      seedId: "seed:h2",
      reason: "looks wrong",
    });
    expect(await sent("release", "--seed", "h2")).toEqual({ kind: "release", seedId: "seed:h2", reason });
    expect(await sent("resolve", "--seed", "h2", "--verdict", "cull")).toEqual({
      kind: "resolve",
      seedId: "seed:h2",
      verdict: "cull",
      reason,
    });
  });

  test("ctl pins, pauses a layer, sets limits, approves and vetoes, in the role that is named", async () => {
    const sent = async (...args: string[]) => {
      const { exitCode } = await call("ctl", ...args, "--request-id", args.join(" "), "--data-dir", dataDir);
      const { requestId: _, ...rest } = commands.at(-1)!;
      return exitCode === 0 ? rest : exitCode;
    };
    const reason = "asked by the operator";
    expect(await sent("pin", "--target", "seed:h2")).toEqual({ kind: "pin", target: "seed:h2", reason });
    expect(await sent("unpin", "--target", "h2", "--reason", "done")).toEqual({ kind: "unpin", target: "h2", reason: "done" });
    expect(await sent("pause", "--site", "h2")).toEqual({ kind: "pause", site: "h2" });
    expect(await sent("resume", "--scope", "adaptation")).toEqual({ kind: "resume", scope: "adaptation" });
    expect(await sent("limit", "--resource", "flops", "--max", "1e9")).toEqual({
      kind: "limit",
      resource: "flops",
      max: 1e9,
      reason,
    });
    expect(await sent("approve", "--target", "cli-1", "--as", "admin")).toEqual({ kind: "approve", target: "cli-1", reason });
    expect(senders.at(-1)).toBe("admin");
    expect(await sent("veto", "--target", "cli-1")).toEqual({ kind: "veto", target: "cli-1", reason });
    expect(senders.at(-1)).toBe("operator");
    expect(await sent("learn", "--change", "policy 2", "--as", "admin")).toMatchObject({ kind: "learn", change: "policy 2" });
    expect(await sent("limit", "--resource", "flops", "--max", "-1")).toBe(2);
    expect(await sent("limit", "--resource", "moons", "--max", "1")).toBe(2);
    expect(await sent("pin")).toBe(2);
    expect(await sent("approve", "--target", "x", "--as", "nobody")).toBe(2);
  });

  test("ctl with --json and ids of its own", async () => {
    for (const kind of ["pause", "resume", "stop"]) {
      const { exitCode, out } = await call("ctl", kind, "--json", "--data-dir", dataDir);
      expect([exitCode, JSON.parse(out)]).toMatchObject([0, { kind: "accepted", detail: kind }]);
    }
    expect(new Set(commands.slice(-3).map(({ requestId }) => requestId)).size).toBe(3);
  });

  test("a refusal ends with 7 and its reason", async () => {
    const { exitCode, out } = await call("ctl", "cull", "--seed", "seed:h9", "--data-dir", dataDir);
    expect([exitCode, out]).toEqual([7, "refused (unknown_seed): there is no seed:h9\n"]);
  });

  test("a node whose run has not begun is a service error that says so", async () => {
    await gate.close();
    const { exitCode, err } = await call("ctl", "pause", "--timeout-ms", "500", "--data-dir", dataDir);
    expect(exitCode).toBe(5);
    expect(err).toMatch(
      /^error \(service\): expected an answer of the node within 500 ms, got (unavailable|timeout): .*is a run going on there\?/,
    );
  });
});

test("no node: a service error that says how to start one", async () => {
  const { exitCode, err } = await call("status", "--data-dir", join(tmpdir(), "esper-nobody-here"));
  expect(exitCode).toBe(5);
  expect(err).toMatch(/^error \(service\): expected the connection file of a running node at .*Start a node with `esper start`/);
});

describe("checks", () => {
  test("doctor names the engine in use and why the others are not", async () => {
    const { exitCode, out } = await call("doctor");
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^ok {5}engine native +\S+, used$/m);
    expect(out).toMatch(/engine wasm +not used: native comes first and works/);
    expect(out).toMatch(/nats-server +\d+\.\d+\.\d+/);
    expect(out).toMatch(/dataset mnist +\d+ training, \d+ validation, 10000 test samples/);
    expect(out).toMatch(/disk +\d+\.\d GiB free/);
  });

  test("check-services starts the bus and reads the data set; the flag is an alias", async () => {
    const { exitCode, out } = await call("--check-services", "--json");
    expect(exitCode).toBe(0);
    const checks = JSON.parse(out) as { name: string; status: string }[];
    expect(checks.filter(({ status }) => status === "ok").map(({ name }) => name)).toEqual(
      expect.arrayContaining(["bus", "database", "engine native", "dataset mnist", "disk"]),
    );
  });

  test("what fails is named and ends with 5", async () => {
    const folder = mkdtempSync(join(tmpdir(), "esper-empty-"));
    const under = createTestContext(async () => ({ report, exitCode: 0 }), {
      ESPER_DATASET__DATA_DIR: folder,
      ESPER_SERVICES__NATS__BINARY: join(folder, "no-such-server"),
    });
    const exitCode = await runCommandLine(["check-services"], under.context);
    rmSync(folder, { recursive: true, force: true });
    expect(exitCode).toBe(5);
    expect(under.out.text()).toMatch(/FAILED bus +expected a nats-server at the configured path/);
    expect(under.out.text()).toMatch(/FAILED dataset mnist +dataset mnist: expected train-images-idx3-ubyte/);
  });
});
