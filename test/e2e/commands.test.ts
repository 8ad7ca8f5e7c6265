/** A run steered from outside: by `esper ctl` in a second process, by a program on the bus, and by a plain NATS client. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { connectOperator } from "../../src/bus/create.ts";
import { CommandReceipt } from "../../src/contracts/commands.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { esper } from "./cli.ts";
import {
  type Command,
  hostConfig,
  patientForge,
  payloadsOf,
  readCheckpoint,
  readLog,
  silentLog,
  startNode,
  type TestNode,
  temporaryFolder,
} from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let node: TestNode;
let bus: Bus;

const openBus = (dataDir: string): Promise<Bus> =>
  connectOperator(dataDir, { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog });

/** A receipt; while an actor is being restarted the question is put again. */
const ask = async (command: Command, on: Bus = bus): Promise<CommandReceipt> => {
  for (;;) {
    const outcome = await on.request("control.kasmina.commands", command);
    if (outcome.kind === "reply") return outcome.value;
    if (outcome.kind === "invalid" || outcome.kind === "denied") throw new Error(outcome.reason);
  }
};

const ctl = async (...args: string[]): Promise<{ exitCode: number; receipt: CommandReceipt }> => {
  const { exitCode, out, err } = await esper(["ctl", ...args, "--json", "--data-dir", node.dataDir]);
  expect(err).toBe("");
  return { exitCode, receipt: CommandReceipt.parse(JSON.parse(out)) };
};

const refused = (code: string) => ({ kind: "refused", code, reason: expect.stringMatching(/\w{3}/) });
const seedReaches = (seedId: string, state: string) =>
  node.until("system.events.seed", (told) => told.seedId === seedId && told.to === state);

beforeAll(async () => {
  folder = await temporaryFolder();
  node = startNode(
    hostConfig(join(folder.path, "node"), {
      arms: ["grown"],
      model: { name: "mlp", widths: [16, 16, 16] },
      optimization: { epochs: 5000, epochSteps: 20 },
      checkpoint: { everyEpochs: 0, keep: 2 },
      morphogenetic: {
        signal: { samples: 512, warmupSteps: 20 },
        // Nobody but the operator grows anything here.
        trigger: { confidenceMin: 1 },
        training: { steps: 1500 },
        grafting: { steps: 20 },
        fineTuning: { steps: 50 },
        embargo: { epochs: 100_000 },
        ...patientForge,
      },
    }),
  );
  await node.until("system.events.epoch", ({ result }) => result.epoch === 2);
  bus = await openBus(node.dataDir);
});
afterAll(async () => {
  await bus.close();
  node.interrupt();
  await node.done.catch(() => undefined);
  await folder.remove();
});

describe("a second process", () => {
  it("asks for the status", async () => {
    const { exitCode, receipt } = await ctl("status");
    expect(exitCode).toBe(0);
    expect(receipt).toMatchObject({ kind: "status", run: { arm: "grown", paused: false, seedCount: 3 } });
    const { out } = await esper(["status", "--json", "--data-dir", node.dataDir]);
    expect(JSON.parse(out)).toMatchObject({ pid: process.pid, run: { arm: "grown" } });
  });

  it("pauses: no window runs; a second pause is refused; resumes: windows go on", async () => {
    expect((await ctl("pause")).receipt.kind).toBe("accepted");
    await node.until("system.events.run", ({ kind }) => kind === "paused");
    const epochOf = async (): Promise<number> => {
      const receipt = await ask({ requestId: `epoch-${createSystemEntropy().token(4)}`, kind: "status" });
      if (receipt.kind !== "status") throw new Error(`expected a status, got ${receipt.kind}`);
      expect(receipt.run.paused).toBe(true);
      return receipt.run.epoch;
    };
    const before = await epochOf();
    const second = await ctl("pause");
    expect(second.exitCode).toBe(7);
    expect(second.receipt).toMatchObject(refused("already_paused"));
    expect(await epochOf()).toBe(before);
    expect((await ctl("resume")).receipt.kind).toBe("accepted");
    await node.until("system.events.run", ({ kind }) => kind === "resumed");
    await node.until("system.events.epoch", ({ result }) => result.epoch > before + 1);
    const kinds = node.envelopes.flatMap(({ subject, payload }) =>
      subject === "system.events.epoch"
        ? ["window"]
        : subject === "system.events.run"
          ? [(payload as { kind: string }).kind]
          : [],
    );
    expect(kinds.slice(kinds.indexOf("paused"), kinds.indexOf("resumed") + 1)).toEqual(["paused", "resumed"]);
  });

  it("germinates where it names; the lock is held meanwhile; a cull in TRAINING ends the trial and blocks the site", async () => {
    const { receipt } = await ctl("germinate", "--seed", "h2", "--to", "h3", "--width", "8", "--reason", "by hand");
    expect(receipt.kind).toBe("accepted");
    expect(await seedReaches("seed:h2", "GERMINATED")).toMatchObject({
      from: "DORMANT",
      reason: expect.stringContaining("by hand"),
    });
    expect(await ask({ requestId: "locked", kind: "germinate", seedId: "seed:h1" })).toMatchObject(refused("lock_held"));
    await seedReaches("seed:h2", "TRAINING");
    expect(await ask({ requestId: "cull-1", kind: "cull", seedId: "seed:h2", reason: "enough" })).toMatchObject({
      kind: "accepted",
    });
    expect(await seedReaches("seed:h2", "CULLED")).toMatchObject({ from: "TRAINING", reason: expect.stringContaining("enough") });
    expect(await ask({ requestId: "again", kind: "germinate", seedId: "seed:h2" })).toMatchObject({
      kind: "refused",
      code: expect.stringMatching(/^(embargo|illegal_transition)$/),
    });
  });
});

describe("refusals say why by a code", () => {
  it.each<{ command: Command; code: string }>([
    { command: { requestId: "r1", kind: "cull", seedId: "seed:h9" }, code: "unknown_seed" },
    { command: { requestId: "r2", kind: "germinate", seedId: "seed:output" }, code: "unknown_seed" },
    { command: { requestId: "r3", kind: "cull", seedId: "seed:h1" }, code: "illegal_transition" },
    { command: { requestId: "r4", kind: "resume" }, code: "not_paused" },
    { command: { requestId: "r5", kind: "pause", runId: "r-other" }, code: "unknown_run" },
    { command: { requestId: "r6", kind: "germinate", seedId: "seed:h3", toSite: "h1" }, code: "span" },
  ])("$command.kind → $code", async ({ command, code }) => {
    expect(await ask(command)).toMatchObject(refused(code));
  });
});

describe("the same request id twice", () => {
  it("has one effect and one receipt, also after Kasmina was killed; the trial then comes to its verdict", async () => {
    const command: Command = { requestId: "once", kind: "germinate", seedId: "seed:h1", toSite: "h2" };
    const first = await ask(command);
    expect(first.kind).toBe("accepted");
    expect(await ask(command)).toEqual(first);
    (await node.handle).supervisor.killChild("kasmina");
    await node.until("system.events.supervision", ({ kind, child }) => kind === "restarting" && child.includes("kasmina"));
    expect(await ask(command)).toEqual(first);
    const end = await node.until(
      "system.events.seed",
      ({ seedId, to }) => seedId === "seed:h1" && ["CULLED", "FOSSILIZED", "ROLLED_BACK"].includes(to),
    );
    expect(end.reason).not.toBe("");
    const germinated = node
      .payloads("system.events.seed")
      .filter(({ seedId, to }) => seedId === "seed:h1" && to === "GERMINATED");
    expect(germinated).toHaveLength(1);
  });
});

describe("a plain NATS client with the operator's file", () => {
  it("sends bare JSON and reads bare JSON; what does not fit is refused as invalid and changes nothing", async () => {
    const { url, user, password } = JSON.parse(await readFile(join(node.dataDir, "operator.json"), "utf8"));
    const client = await connect({ servers: url, user, pass: password });
    const request = async (body: string): Promise<unknown> =>
      (await client.request("control.kasmina.commands", new TextEncoder().encode(body), { timeout: 5000 })).json();
    expect(await request(JSON.stringify({ requestId: "bare-1", kind: "status" }))).toMatchObject({ kind: "status" });
    expect(await request(JSON.stringify({ requestId: "bare-2", kind: "germinate", seedId: 7 }))).toMatchObject({
      ...refused("invalid"),
      requestId: "bare-2",
    });
    expect(await request(JSON.stringify({ requestId: "bare-3", kind: "explode" }))).toMatchObject(refused("invalid"));
    expect(await request("no JSON {")).toMatchObject(refused("invalid"));
    await client.close();
    expect((await ask({ requestId: "after", kind: "status" })).kind).toBe("status");
  });
});

describe("stop", () => {
  it("ends the run with a checkpoint, and its log tells every command with its receipt", async () => {
    const { exitCode, receipt } = await ctl("stop", "--reason", "seen enough");
    expect(exitCode).toBe(0);
    expect(receipt.kind).toBe("accepted");
    const { report, exitCode: ended } = await node.done;
    const arm = report.arms[0]!;
    expect(ended).toBe(0);
    expect(arm).toMatchObject({ outcome: "stopped", reason: "seen enough" });
    expect((await readCheckpoint(arm.checkpoint!)).state.runId).toBe(arm.runId);
    const told = payloadsOf(await readLog(arm.eventLog), "system.events.command");
    expect(told.filter(({ receipt: { kind } }) => kind === "accepted").map(({ command: { kind } }) => kind)).toEqual([
      "pause",
      "resume",
      "germinate",
      "cull",
      "germinate",
      "stop",
    ]);
    expect(told.filter(({ receipt: answer }) => answer.kind === "refused").length).toBeGreaterThan(4);
    const h2 = arm.seeds.find(({ id }) => id === "seed:h2");
    expect(h2?.span).toEqual({ from: "h2", to: "h3" });
  });

  it("an arm without growth refuses to germinate", async () => {
    const still = startNode(hostConfig(join(folder.path, "still"), { optimization: { epochs: 500, epochSteps: 20 } }));
    await still.until("system.events.epoch", ({ result }) => result.epoch === 1);
    const operator = await openBus(still.dataDir);
    expect(await ask({ requestId: "g", kind: "germinate", seedId: "seed:h1" }, operator)).toMatchObject(refused("invalid"));
    expect(await ask({ requestId: "s", kind: "stop" }, operator)).toMatchObject({ kind: "accepted" });
    await operator.close();
    expect((await still.done).report.arms[0]?.outcome).toBe("stopped");
  });
});
