/** A whole node over HTTP: it tells how it does, takes commands, and keeps its address when its server is restarted. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { personRoles } from "../../src/contracts/roles.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { esper } from "./cli.ts";
import { hostConfig, payloadsOf, readLog, startNode, type TestNode, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let node: TestNode;
let url: string;
let token: string;
/** All that was answered, to look for secrets in. */
const answered: string[] = [];

const ask = async (path: string, init: RequestInit = {}): Promise<{ status: number; headers: Headers; body: string }> => {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", connection: "close", ...init.headers };
  const answer = await fetch(`${url}${path}`, { ...init, headers });
  const body = await answer.text();
  answered.push(body, JSON.stringify([...answer.headers]));
  return { status: answer.status, headers: answer.headers, body };
};

beforeAll(async () => {
  folder = await temporaryFolder();
  node = startNode(hostConfig(join(folder.path, "node"), { arms: ["grown"], optimization: { epochs: 5000, epochSteps: 20 } }));
  await node.until("system.events.epoch", ({ result }) => result.epoch === 2);
  url = JSON.parse(await readFile(join(node.dataDir, "operator.json"), "utf8")).http;
  token = (await esper(["token", "--role", "operator", "--name", "ann", "--data-dir", node.dataDir])).out.trim();
});
afterAll(async () => {
  node.interrupt();
  await node.done.catch(() => undefined);
  await folder.remove();
});

describe("a node that trains", () => {
  it("says where it is: in the start line, in the login files, in `esper status`", async () => {
    expect(node.notes).toContain(`http: ${url}`);
    const { out } = await esper(["status", "--json", "--data-dir", node.dataDir]);
    expect(JSON.parse(out).http).toBe(url);
  });

  it("is ready, and every actor is up", async () => {
    const { status, body } = await ask("/health");
    const health = JSON.parse(body);
    expect([status, health.ready]).toEqual([200, true]);
    const names = (health.actors as { actor: string }[]).map(({ actor }) => actor);
    for (const name of ["esper/oona", "esper/nissa", "esper/control/gate", "esper/control/http"]) expect(names).toContain(name);
    expect(names.some((name) => name.endsWith("/tolaria"))).toBe(true);
  });

  it("tells how the run stands", async () => {
    const { body } = await ask("/metrics");
    expect(body).toMatch(/^esper_run_epoch\{run="r-[^"]+",arm="grown"\} \d+$/m);
    expect(body).toMatch(/^esper_gate_seconds_bucket\{le="\+Inf"\} [1-9]\d*$/m);
    expect(body).toMatch(/^esper_ready 1$/m);
    expect(JSON.parse((await ask("/performance")).body).queues.length).toBeGreaterThan(5);
    expect(JSON.parse((await ask("/alerts")).body)).toMatchObject({ active: 0 });
  });

  it("takes a command; the event tells who sent it, and by which way; sent again it is done once", async () => {
    const pause = () => ask("/commands", { method: "POST", body: '{"kind":"pause"}', headers: { "idempotency-key": "p-1" } });
    const first = await pause();
    expect([first.status, JSON.parse(first.body)]).toEqual([
      202,
      expect.objectContaining({ kind: "accepted", requestId: "p-1" }),
    ]);
    expect((await pause()).body).toBe(first.body);
    await node.until("system.events.run", ({ kind }) => kind === "paused");
    expect((await ask("/commands", { method: "POST", body: '{"kind":"resume"}' })).status).toBe(202);
    await node.until("system.events.run", ({ kind }) => kind === "resumed");
    const told = node.payloads("system.events.command").filter(({ command }) => command.requestId === "p-1");
    expect(told).toMatchObject([{ sender: "ann", role: "operator", transport: "http" }]);
  });

  it("answers about seeds, layers, budget and policy; nobody without a token learns more than the status", async () => {
    for (const path of [
      "/status",
      "/seeds",
      "/seeds/h1/status",
      "/layers",
      "/layers/h1/stats",
      "/budget",
      "/policy/status",
      "/decisions/history",
      "/kernels",
      "/escalations",
      "/approvals",
    ])
      expect([path, (await ask(path)).status]).toEqual([path, 200]);
    expect((await ask("/seeds/h9/status")).status).toBe(404);
    expect((await fetch(`${url}/status`, { headers: { connection: "close" } })).status).toBe(200);
    expect((await fetch(`${url}/seeds`, { headers: { connection: "close" } })).status).toBe(401);
  });

  it("sends the host by its hash, whole and in part", async () => {
    const { body } = await ask("/status");
    const { hash } = JSON.parse(body).run.host;
    const whole = await ask(`/artifacts/${hash}`);
    expect([whole.status, whole.headers.get("etag")]).toEqual([200, `"${hash}"`]);
    const part = await ask(`/artifacts/${hash}`, { headers: { range: "bytes=1-9" } });
    expect([part.status, part.body]).toEqual([206, whole.body.slice(1, 10)]);
    expect((await ask(`/artifacts/${hash}`, { headers: { "if-none-match": `"${hash}"` } })).status).toBe(304);
  });

  it("W2 L2 its server is killed and comes back where it was; tokens hold on; the alert is over", async () => {
    (await node.handle).supervisor.killChild("http");
    await node.until("system.events.supervision", ({ kind, child }) => kind === "exited" && child === "http");
    const clock = createSystemClock();
    for (;;) {
      const back = await ask("/health/ready").catch(() => undefined);
      if (back?.status === 200) break;
      await new Promise<void>((resolve) => clock.schedule(20, resolve));
    }
    const { alerts } = JSON.parse((await ask("/alerts")).body);
    expect(alerts).toContainEqual(expect.objectContaining({ kind: "actor_down", about: "http", untilMs: expect.any(Number) }));
    expect((await ask("/status")).status).toBe(200);
  });

  it("no answer held a key, a password or a token; nor does the run's log", async () => {
    const config = await readFile(join(node.dataDir, "nats", "nats-server.conf"), "utf8");
    const passwords = [...config.matchAll(/password: "([^"]+)"/g)].map(([, password]) => password!);
    const key = (await readFile(join(node.dataDir, "http", "key.pem"), "utf8")).split("\n")[1]!;
    expect(passwords.length).toBeGreaterThanOrEqual(personRoles.length);
    expect(answered.length).toBeGreaterThan(40);
    const events = JSON.stringify(node.envelopes);
    for (const secret of [...passwords, key, token]) {
      expect(answered.filter((text) => text.includes(secret))).toEqual([]);
      expect(events.includes(secret)).toBe(false);
    }
  });

  it("stops by HTTP, and its log has the command", async () => {
    expect((await ask("/commands", { method: "POST", body: '{"kind":"stop","reason":"seen enough"}' })).status).toBe(202);
    const { report } = await node.done;
    expect(report.arms[0]).toMatchObject({ outcome: "stopped", reason: "seen enough" });
    const told = payloadsOf(await readLog(report.arms[0]!.eventLog), "system.events.command");
    expect(told.map(({ transport }) => transport)).toContain("http");
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });
});
