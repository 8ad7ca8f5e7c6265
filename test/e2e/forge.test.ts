/**
 * A second process as the forge of a node that has none of its own: it does all the work, may be killed in the middle of it, and gets of the
 * library what its task says and nothing else.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { forgeFile } from "../../src/bus/forge-file.ts";
import { joinBus } from "../../src/bus/join.ts";
import { listServices } from "../../src/bus/service-list.ts";
import { runRoles } from "../../src/contracts/config-roles.ts";
import type { CapabilityClaims } from "../../src/contracts/work.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { capabilityAuthority } from "../../src/store/capability-token.ts";
import { generateSigningKey } from "../../src/store/ed25519.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { silentLog, smallConfig, startNode, type TestNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const ports = { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog };
const processes: ChildProcess[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  expect(existsSync(resolve("dist/main.js")), "build it first: npm run build").toBe(true);
});
afterEach(() => {
  for (const child of processes.splice(0)) child.kill("SIGKILL");
});
afterAll(() => folder.remove());

/** A node that trains and compiles nothing; its work is handed over again a second after a forge fell silent. */
const trainer = (name: string, lead = 8): TestNode => {
  const config = smallConfig(join(folder.path, name), { roles: [...runRoles] });
  return startNode({
    ...config,
    morphogenetic: { ...config.morphogenetic, kernelLeadEpochs: lead },
    services: { ...config.services, nodeName: "trainer", forge: { ...config.services.forge, ackWaitMs: 1_000 } },
  });
};

interface Forge {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly joined: Promise<void>;
}

/** `esper start` with a forge's configuration, as a process of its own. */
const startForge = (node: TestNode, nodeName: string): Forge => {
  const dataDir = join(folder.path, nodeName);
  const file = join(folder.path, `${nodeName}.yaml`);
  const connection = forgeFile(node.dataDir);
  const nats = { mode: "external", connection };
  writeFileSync(file, JSON.stringify({ roles: ["tezzeret", "urabrask"], services: { dataDir, nodeName, nats } }));
  const child = spawn(process.execPath, [resolve("dist/main.js"), "start", "--config", file], {
    env: { ...process.env, NO_COLOR: "1" },
  });
  processes.push(child);
  let out = "";
  const joined = new Promise<void>((done, failed) => {
    const hear = (text: Buffer): void => {
      out += text.toString();
      if (out.includes("ready: ")) done();
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.on("exit", (code) => failed(new Error(`the forge ended with ${code}: ${out}`)));
  });
  joined.catch(() => undefined);
  return { child, out: () => out, joined };
};

// Processes of their own start slowly on a machine that is busy with other work.
vi.setConfig({ testTimeout: 400_000 });

const waysOf = (node: TestNode): string[] => node.payloads("system.events.seed").map(({ to }) => to);

describe("a forge on another machine", () => {
  it("does all the work of a node that has none of its own, and gets of the library what its tasks name", async () => {
    const node = trainer("alone");
    await node.handle;
    const forge = startForge(node, "forge-1");
    await forge.joined;
    const services = await listServices(node.dataDir, ports, { waitMs: 1_000 });
    expect(services.filter(({ node: name }) => name === "forge-1").map(({ service }) => service)).toEqual([
      "tezzeret",
      "urabrask",
    ]);
    expect(services.filter(({ service }) => service === "tezzeret")).toHaveLength(1);

    const ready = await node.until("compilation.kernel.ready", () => true);
    const { characterized } = await node.until("validation.kernel.characterized", () => true);
    expect(ready).toMatchObject({ kind: "ready", kernelHash: characterized.kernelHash });
    expect(characterized.problem).toBeUndefined();
    await refusals(node, characterized.hostHash, characterized.kernelHash);

    const arm = (await node.done).report.arms[0]!;
    expect(arm.seeds.map(({ outcome }) => outcome)).toContain("FOSSILIZED");
    expect(waysOf(node).filter((to) => to === "LOADING")).toHaveLength(1);
    const log = readFileSync(join(folder.path, "forge-1", "logs", "node.log"), "utf8");
    expect(log).toMatch(/"outcome":"ready".*"msg":"compilation"/);
  });

  it("killed in the middle of its work loses nothing: the next one does it, and the kernel is taken once", async () => {
    const node = trainer("killed", 1);
    await node.handle;
    const forge = startForge(node, "forge-2");
    await forge.joined;
    // The task is ordered right after this. A process that is stopped is at work for all that the server knows.
    await node.until("system.events.seed", ({ to }) => to === "GERMINATED");
    forge.child.kill("SIGSTOP");
    const waiting = await Promise.race([
      node.until("system.events.run", (event) => event.kind === "waiting").then(() => true),
      node.until("compilation.kernel.ready", () => true).then(() => false),
    ]);
    expect(waiting).toBe(true);
    forge.child.removeAllListeners("exit");
    forge.child.kill("SIGKILL");

    const next = startForge(node, "forge-3");
    await next.joined;
    const arm = (await node.done).report.arms[0]!;
    expect(arm.seeds.map(({ outcome }) => outcome)).toContain("FOSSILIZED");
    expect(waysOf(node).filter((to) => to === "LOADING")).toHaveLength(1);
    const kernels = node
      .payloads("compilation.kernel.ready")
      .map((outcome) => (outcome.kind === "ready" ? outcome.kernelHash : ""));
    expect(new Set(kernels).size).toBe(1);
  });
});

/** What the forge's login gets without the right capability: a typed refusal, each time. */
const refusals = async (node: TestNode, hostHash: string, kernelHash: string): Promise<void> => {
  const joined = await joinBus({
    ...ports,
    config: { mode: "external", connection: forgeFile(node.dataDir) },
    payloadBytesMax: 8_388_608,
    mailboxMessagesMax: 100,
    requestTimeoutMs: 5_000,
    joinMsMax: 5_000,
    work: undefined,
    description: { node: "thief", tags: [], costTier: 1 },
  });
  const bus = await joined.connect("tezzeret");
  const own = capabilityAuthority(readFileSync(dataPaths(node.dataDir).capabilityKey, "utf8"));
  const nowMs = ports.clock.nowMs();
  const claims: CapabilityClaims = {
    version: 1,
    taskId: "t",
    source: "run r-1",
    subjects: ["library.asset.get", "library.asset.put"],
    reads: [hostHash],
    writes: [{ kind: "kernel", keyHash: "0".repeat(64) }],
    bytesMax: 1_000,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + 60_000,
  };
  const get = async (hash: string, kind: "host" | "kernel", token?: string): Promise<string> => {
    const answer = await bus.request("library.asset.get", { kind, hash, ...(token === undefined ? {} : { token }) });
    if (answer.kind !== "reply") return answer.kind;
    return answer.value.kind === "refused" ? answer.value.code : answer.value.kind;
  };
  try {
    const good = own.mint(claims);
    expect(await get(hostHash, "host", good)).toBe("found");
    expect(await get(hostHash, "host")).toBe("no_token");
    expect(await get(hostHash, "host", capabilityAuthority(generateSigningKey()).mint(claims))).toBe("forged_token");
    expect(await get(hostHash, "host", `${good.slice(0, -4)}AAAA`)).toBe("forged_token");
    expect(await get(hostHash, "host", own.mint({ ...claims, issuedAtMs: 0, expiresAtMs: 1 }))).toBe("expired_token");
    expect(await get(hostHash, "host", own.mint({ ...claims, issuedAtMs: nowMs + 3_600_000 }))).toBe("early_token");
    expect(await get(hostHash, "host", own.mint({ ...claims, subjects: ["library.tags.put"] }))).toBe("other_subject");
    expect(await get(kernelHash, "kernel", good)).toBe("other_artifact");
    const put = await bus.request("library.asset.put", { kind: "host", asset: {}, inputs: [], producer: "thief", token: good });
    expect(put).toMatchObject({ kind: "reply", value: { kind: "refused", code: "other_artifact" } });
    const find = await bus.request("library.kernel.find", { keyHash: "0".repeat(64), token: good });
    expect(find).toMatchObject({ kind: "reply", value: { kind: "refused", code: "other_subject" } });
    // What is not a forge's at all, the server itself does not let through.
    const command = await bus.request("control.kasmina.commands", { requestId: "x", kind: "pause" });
    expect(command).toMatchObject({ kind: "denied" });
  } finally {
    await bus.close();
    await joined.stop();
  }
};
