/** One request, sent a thousand times by both transports, a part of it after the node was ended and started again: done once. */
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectOperator } from "../../src/bus/create.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { esper } from "./cli.ts";
import { hostConfig, silentLog, startNode, type TestNode, temporaryFolder } from "./support.ts";

const command = { kind: "pause", requestId: "once" } as const;
/** Of each transport, before the restart and after it. */
const each = 250;
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let token: string;

const config = () => hostConfig(join(folder.path, "node"), { optimization: { epochs: 5000, epochSteps: 20 } });

beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  agent.destroy();
  await folder.remove();
});

const overHttp = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const sent = request(new URL("/commands", url), { method: "POST", headers, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(`${response.statusCode} ${text}`));
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(command));
  });

/** All at once, one of each transport after the other; what came back, as texts. */
const sendAll = async (node: TestNode): Promise<{ readonly nats: string[]; readonly http: string[] }> => {
  const { http: url } = JSON.parse(await readFile(join(node.dataDir, "operator.json"), "utf8")) as { http: string };
  const ports = { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog };
  const bus = await connectOperator(node.dataDir, ports, { requestTimeoutMs: 60_000 });
  const pairs = Array.from({ length: each }, () => [bus.request("control.kasmina.commands", command), overHttp(url)] as const);
  const outcomes = await Promise.all(pairs.map(([nats]) => nats));
  const http = await Promise.all(pairs.map(([, answer]) => answer));
  await bus.close();
  return { nats: outcomes.map((outcome) => JSON.stringify(outcome.kind === "reply" ? outcome.value : outcome)), http };
};

const commandsOf = (node: TestNode) =>
  node.payloads("system.events.command").filter(({ command: told }) => told.requestId === command.requestId);
const pausesOf = (node: TestNode) => node.payloads("system.events.run").filter(({ kind }) => kind === "paused");

describe("G4 one request id", () => {
  it("a thousand by both transports, half of them after a restart of the node: one effect, a thousand same receipts", async () => {
    const first = startNode(config());
    await first.until("system.events.epoch", ({ result }) => result.epoch === 3);
    token = (await esper(["token", "--role", "operator", "--name", "ann", "--data-dir", first.dataDir])).out.trim();
    const before = await sendAll(first);
    await first.until("system.events.run", ({ kind }) => kind === "paused");
    first.interrupt();
    const arm = (await first.done).report.arms[0]!;
    expect(arm.outcome).toBe("stopped");

    const second = startNode(config(), { resume: arm.checkpoint! });
    const { result } = await second.until("system.events.epoch", () => true);
    const after = await sendAll(second);
    // A pause that acted again would hold the run at the next boundary.
    await second.until("system.events.epoch", ({ result: later }) => later.epoch >= result.epoch + 20);

    const nats = [...before.nats, ...after.nats];
    const http = [...before.http, ...after.http];
    expect(nats.length + http.length).toBe(1_000);
    expect(new Set(nats).size).toBe(1);
    expect(new Set(http)).toEqual(new Set([`202 ${nats[0]}`]));
    expect(JSON.parse(nats[0]!) as CommandReceipt).toMatchObject({ kind: "accepted", requestId: "once", runId: arm.runId });
    expect([commandsOf(first).length, commandsOf(second).length]).toEqual([1, 0]);
    expect([pausesOf(first).length, pausesOf(second).length]).toEqual([1, 0]);

    const ledger = (await esper(["ledger", "show", "--json", "--data-dir", first.dataDir])).out;
    const told = ledger.split("\n").filter((line) => line.includes('"once"'));
    expect(told, ledger.slice(0, 2_000)).toHaveLength(1);

    second.interrupt();
    await second.done;
  });
});
