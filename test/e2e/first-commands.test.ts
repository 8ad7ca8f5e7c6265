/** A run that starts from a checkpoint with another decision: what came with its start passes the Gate at its first boundary. */
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connectOperator } from "../../src/bus/create.ts";
import { firstCommandsMax } from "../../src/contracts/command-steering.ts";
import { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { hostConfig, payloadsOf, readLog, silentLog, smallConfig, startNode, temporaryFolder } from "./support.ts";

const folders: Awaited<ReturnType<typeof temporaryFolder>>[] = [];
afterAll(async () => {
  for (const folder of folders) await folder.remove();
});

const connect = (dataDir: string) =>
  connectOperator(
    dataDir,
    { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog },
    { requestTimeoutMs: 30_000, role: "operator" },
  );

test("F1 F2: a branch pins the seed that germinated before; the command has its sender, its receipt and its effect", async () => {
  const folder = await temporaryFolder();
  folders.push(folder);
  const dataDir = join(folder.path, "data");
  const node = startNode(
    smallConfig(dataDir, { checkpoint: { everyEpochs: 1, keep: 60 }, optimization: { epochs: 8, epochSteps: 47 } }),
    { stay: true },
  );
  const first = await node.until("system.events.seed", ({ to }) => to === "GERMINATED");
  await node.until("system.events.run", ({ kind }) => kind === "finished");
  const checkpoints = node
    .payloads("system.events.run")
    .flatMap((event) => (event.kind === "checkpoint" && event.epoch < first.epoch - 1 ? [event] : []));
  const from = checkpoints.at(-1);
  if (from === undefined) throw new Error(`expected a checkpoint before window ${first.epoch}, found none`);

  const bus = await connect(dataDir);
  const asked = {
    kind: "start" as const,
    requestId: "branch-1",
    config: {},
    resume: from.file.slice(dataDir.length + 1),
    first: [
      { kind: "pin" as const, target: first.seedId, reason: "what if it had not been" },
      { kind: "cull" as const, seedId: first.seedId },
    ],
  };
  const queued = await bus.request("control.kasmina.commands", asked, { timeoutMs: 30_000 });
  expect(queued).toMatchObject({ kind: "reply", value: { kind: "queued" } });
  const runId = queued.kind === "reply" && queued.value.kind === "queued" ? `${queued.value.runName}-grown` : "";

  const pinned = await node.until("system.events.command", ({ command }) => command.kind === "pin");
  expect(pinned).toMatchObject({
    command: { requestId: `branch-1.${runId}.1`, runId, target: first.seedId, reason: "what if it had not been" },
    sender: "operator",
    role: "operator",
    transport: "nats",
    receipt: { kind: "accepted", runId },
  });
  const culled = await node.until("system.events.command", ({ command }) => command.kind === "cull");
  expect(culled).toMatchObject({ sender: "operator", receipt: { kind: "refused", code: "illegal_transition" } });

  await node.until("system.events.run", (event) => event.kind === "finished" && event.runId === runId);
  const again = await bus.request("control.kasmina.commands", asked, { timeoutMs: 30_000 });
  expect(again).toEqual(queued);
  await bus.close();
  node.interrupt();
  await node.done;

  const log = await readLog(join(dataDir, "runs", runId, "events.jsonl"));
  const seeds = payloadsOf(log, "system.events.seed").filter(({ seedId }) => seedId === first.seedId);
  expect(seeds.map(({ to }) => to)).not.toContain("GERMINATED");
  const windows = payloadsOf(log, "system.events.epoch").map(({ result }) => result.epoch);
  const commands = log.findIndex(({ subject }) => subject === "system.events.command");
  expect(commands).toBeGreaterThan(-1);
  expect(commands).toBeLessThan(log.findIndex(({ subject }) => subject === "system.events.epoch"));
  expect(windows[0]).toBe(from.epoch + 1);
});

test("F1: a run that begins anew gets them at its first boundary, and no more come along than may", async () => {
  const folder = await temporaryFolder();
  folders.push(folder);
  const dataDir = join(folder.path, "data");
  const config = hostConfig(dataDir, { arms: ["grown"] });
  const node = startNode(config, { stay: true });
  await node.until("system.events.run", ({ kind }) => kind === "finished");
  const bus = await connect(dataDir);
  const { device, services, logging, control, roles, ...own } = config;
  const pin = { kind: "pin" as const, target: "h1" };
  const start = { kind: "start" as const, config: { ...own, device } };
  const tooMany = { ...start, requestId: "many", first: Array.from({ length: firstCommandsMax + 1 }, () => pin) };
  expect(KasminaControlCommand.safeParse(tooMany).success).toBe(false);
  await bus.request("control.kasmina.commands", { ...start, requestId: "anew", first: [pin] }, { timeoutMs: 30_000 });
  const pinned = await node.until("system.events.command", ({ command }) => command.kind === "pin");
  expect(pinned).toMatchObject({ sender: "operator", receipt: { kind: "accepted", appliesAtEpoch: 1 } });
  await bus.close();
  node.interrupt();
  await node.done;
  expect([services, logging, control, roles]).toHaveLength(4);
});
