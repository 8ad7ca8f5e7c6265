/** The embedded server's life: found, started, taken ports, crashes, orphans; and servers of others. */
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { connectOperator, type OonaOptions, startOona } from "../../src/bus/create.ts";
import { newCredentials, startEmbeddedServer } from "../../src/bus/embedded-server.ts";
import { findNatsServer } from "../../src/bus/find-server.ts";
import { readOperatorFile } from "../../src/bus/operator-file.ts";
import { type Processes, systemProcesses } from "../../src/bus/server-process.ts";
import { InputError, ServiceError } from "../../src/contracts/errors.ts";
import {
  embedded,
  ports,
  quietLog,
  refusal,
  startTestServer,
  statusCommand,
  supervision,
  temporaryFolder,
  until,
} from "./support.ts";

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const folder = async (): Promise<string> => {
  const made = await temporaryFolder();
  cleanups.push(made.remove);
  return made.path;
};

const serverUnderTest = async (options: Partial<OonaOptions> = {}) => {
  const server = await startTestServer(options);
  cleanups.push(server.stop);
  return server;
};

const script = async (text: string, mode = 0o755): Promise<string> => {
  const path = join(await folder(), "nats-server");
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, mode);
  return path;
};

const find = (binary: string) => findNatsServer({ binary, folders: [], processes: systemProcesses });
const alive = async (pid: number): Promise<boolean> => (await systemProcesses.inspect(pid)) !== undefined;

describe("finding nats-server", () => {
  it("the one on PATH is found with its version", async () => {
    const found = await findNatsServer({ folders: [], processes: systemProcesses });
    expect(found.path).toMatch(/nats-server$/);
    expect(found.version).toMatch(/^2\.\d+\.\d+/);
  });

  it("the oldest version that does is taken, one before it is refused by number", async () => {
    expect((await find(await script('echo "nats-server: v2.9.0"'))).version).toBe("2.9.0");
    expect((await find(await script('echo "nats-server: v3.0.1-beta"'))).version).toBe("3.0.1-beta");
    await expect(find(await script('echo "nats-server: v2.8.4"'))).rejects.toThrow(
      /too old: expected nats-server 2\.9\.0 or newer, found 2\.8\.4/,
    );
  });

  it("missing, not executable, a folder, and something else are each called what they are", async () => {
    await expect(find(join(await folder(), "nothing"))).rejects.toThrow(/no such file.*services\.nats\.binary/);
    await expect(find(await script("exit 0", 0o644))).rejects.toThrow(/not executable. Run `chmod \+x/);
    await expect(find(await folder())).rejects.toThrow(/expected a program, found a folder/);
    await expect(find(await script('echo "redis-server 7"'))).rejects.toThrow(
      /expected "nats-server: v2\.…", it said "redis-server 7"/,
    );
  });

  it("an old one on PATH is passed over for a newer one of set-up; with none left the error names it and says what to do", async () => {
    const [old, newer] = [await script('echo "nats-server: v2.1.0"'), await script('echo "nats-server: v2.10.7"')];
    const processes: Processes = { ...systemProcesses, searchPath: dirname(old) };
    expect((await findNatsServer({ folders: [dirname(newer)], processes })).path).toBe(newer);
    const failure = findNatsServer({ folders: [], processes });
    await expect(failure).rejects.toThrow(ServiceError);
    await expect(failure).rejects.toThrow(/found 2\.1\.0.*install the package nats-server/);
    await expect(findNatsServer({ folders: ["/nowhere"], processes: { ...processes, searchPath: "" } })).rejects.toThrow(
      /looked on PATH and in \/nowhere/,
    );
  });
});

describe("starting and stopping", () => {
  it("listens where it is told, and is reached by the node itself on loopback", async () => {
    const dataDir = await folder();
    const oona = await startOona({ ...ports, config: { ...embedded, host: "0.0.0.0" }, dataDir, payloadBytesMax: 65_536 });
    cleanups.push(() => oona.stop());
    expect(oona.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    expect(await readFile(join(dataDir, "nats", "nats-server.conf"), "utf8")).toContain('host: "0.0.0.0"\n');
    const bus = await oona.connect("nissa");
    await bus.close();
  });

  it("N1 a taken port is named, with what may hold it, and no process or record is left", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => new Promise((resolve) => blocker.close(resolve)));
    const address = blocker.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const dataDir = await folder();
    const failure = startOona({ ...ports, config: { ...embedded, port }, dataDir, payloadBytesMax: 65_536 });
    await expect(failure).rejects.toThrow(
      new RegExp(`expected TCP port ${port} on 127\\.0\\.0\\.1 to be free.*packaged nats-server.*services\\.nats\\.port`),
    );
    await expect(stat(join(dataDir, "nats", "server.json"))).rejects.toThrow(/ENOENT/);
  });

  it("N1 a program that ends at once, and one that never opens its port, are told apart and are gone", async () => {
    const start = async (binary: string) => {
      const options = {
        dataDir: await folder(),
        port: -1,
        payloadBytesMax: 65_536,
        ...ports,
        log: quietLog,
        processes: systemProcesses,
      };
      const limits = { memoryBytesMax: 1e7, storageBytesMax: 1e7, startMsMax: 300, stopMsMax: 200 };
      return startEmbeddedServer({ binary, credentials: newCredentials(ports.entropy), ...options, ...limits });
    };
    await expect(start(await script("exit 7"))).rejects.toThrow(/it ended with code 7/);
    const pidFile = join(await folder(), "pid");
    await expect(start(await script(`echo $$ > ${pidFile}; trap '' INT; exec sleep 60`))).rejects.toThrow(
      /did not open its port within 300 ms/,
    );
    expect(await alive(Number(await readFile(pidFile, "utf8")))).toBe(false);
  });

  it("N5 stop ends the process, may be called again, and takes the operator's files away", async () => {
    const { oona, dataDir } = await serverUnderTest();
    const pid = oona.serverPid() ?? 0;
    expect(await alive(pid)).toBe(true);
    await Promise.all([oona.stop(), oona.stop()]);
    expect(await oona.exited).toBe("stopped");
    expect(await alive(pid)).toBe(false);
    await expect(connectOperator(dataDir, ports)).rejects.toThrow(
      /expected the connection file of a running node at .*operator\.json/,
    );
  });

  it("a damaged connection file and a node that is gone are called what they are", async () => {
    const dataDir = await folder();
    await writeFile(join(dataDir, "operator.json"), "{");
    await expect(readOperatorFile(dataDir)).rejects.toThrow(/it is damaged/);
    const gone = { url: "nats://127.0.0.1:1", user: "operator", password: "x", dataDir, pid: 1, startedAtMs: 0 };
    await writeFile(join(dataDir, "operator.json"), JSON.stringify(gone));
    await expect(connectOperator(dataDir, ports)).rejects.toThrow(
      /expected a NATS server at nats:\/\/127\.0\.0\.1:1, it could not be reached/,
    );
  });
});

describe("kill -9", () => {
  it("O2 D6 the server comes back in its place: nothing stored is lost, what was not acknowledged comes again, answers go on", async () => {
    const { oona } = await serverUnderTest({ durable: { ackWaitMs: 500, retryMsMin: 10 } });
    const connect = async (...[principal]: Parameters<typeof oona.connect>) => {
      const bus = await oona.connect(principal);
      cleanups.push(() => bus.close());
      return bus;
    };
    const [supervisor, nissa, gate, operator] = [
      await connect("supervisor"),
      await connect("nissa"),
      await connect("gate"),
      await connect("operator"),
    ];
    await gate.respond("control.kasmina.commands", async ({ requestId }) => refusal(requestId));
    const pid = oona.serverPid() ?? 0;
    const { url } = oona;
    const stored: string[] = [];
    const handled = new Map<string, number>();
    await nissa.subscribe("system.events.supervision", ({ detail }) => {
      const times = (handled.get(detail) ?? 0) + 1;
      handled.set(detail, times);
      if (detail === "e10" && times === 1) process.kill(pid, "SIGKILL");
    });
    for (let i = 0; i < 40; i++) {
      const outcome = await supervisor.publish("system.events.supervision", supervision(`e${i}`));
      if (outcome.kind === "sent") stored.push(`e${i}`);
    }
    await until(() => stored.every((detail) => handled.has(detail)), "every stored message was handled");
    expect(stored).toHaveLength(40);
    expect(oona.serverPid()).not.toBe(pid);
    expect(oona.url).toBe(url);
    expect(await operator.request("control.kasmina.commands", statusCommand("after"))).toMatchObject({ kind: "reply" });
  });

  it("B7 O4 past the restarts allowed `exited` says so, connections close with a reason, and sending fails", async () => {
    const { oona } = await serverUnderTest({ restartsMax: 1, reconnectMsMax: 200 });
    const nissa = await oona.connect("nissa");
    const tolaria = await oona.connect("tolaria");
    cleanups.push(
      () => nissa.close(),
      () => tolaria.close(),
    );
    const first = oona.serverPid() ?? 0;
    process.kill(first, "SIGKILL");
    await until(() => oona.serverPid() !== first, "it was started again");
    process.kill(oona.serverPid() ?? 0, "SIGKILL");
    expect(await oona.exited).toBe("nats-server ended with signal SIGKILL, after 1 restarts in a row");
    expect(await nissa.closed).toMatch(/the connection of nissa to NATS is lost/);
    const outcome = await tolaria.publish("telemetry.run.progress", {
      runId: "r",
      arm: "a",
      epoch: 1,
      work: "w",
      step: 0,
      steps: 1,
      loss: 0,
    });
    expect(outcome).toEqual({ kind: "failed", reason: "the bus is disconnected" });
  });
});

describe("orphans", () => {
  const options = async (dataDir: string, processes: Processes = systemProcesses) => {
    const { path: binary } = await findNatsServer({ folders: [], processes: systemProcesses });
    const place = { binary, dataDir, port: -1, payloadBytesMax: 65_536, memoryBytesMax: 1e7, storageBytesMax: 1e7 };
    return { ...place, credentials: newCredentials(ports.entropy), clock: ports.clock, log: quietLog, processes };
  };
  /** The same machine as another node's process sees it. */
  const otherNode: Processes = { ...systemProcesses, ownPid: process.ppid };

  it("R3 a server whose node is gone is stopped before another starts", async () => {
    const dataDir = await folder();
    // The record names an owner that is not the server's parent: what a crash leaves behind.
    const orphan = await startEmbeddedServer(await options(dataDir, otherNode));
    expect(await alive(orphan.pid)).toBe(true);
    const server = await startEmbeddedServer(await options(dataDir));
    cleanups.push(() => server.stop());
    await orphan.exited;
    expect(await alive(orphan.pid)).toBe(false);
    expect(server.pid).not.toBe(orphan.pid);
  });

  it("R3 a server whose node lives is left alone, and the second node is told who it is", async () => {
    const dataDir = await folder();
    const server = await startEmbeddedServer(await options(dataDir));
    cleanups.push(() => server.stop());
    const failure = startEmbeddedServer(await options(dataDir, otherNode));
    await expect(failure).rejects.toThrow(
      new RegExp(`it is used by the node with process id ${process.pid}.*services\\.dataDir`),
    );
    expect(await alive(server.pid)).toBe(true);
  });

  it("R2 R4 a record whose process id belongs to somebody else now is stale: that process is not touched", async () => {
    const dataDir = await folder();
    const bystander = spawn("sleep", ["60"], { stdio: "ignore" });
    cleanups.push(() => bystander.kill("SIGKILL"));
    await mkdir(join(dataDir, "nats"), { recursive: true });
    const record = { pid: bystander.pid, ownerPid: 999_999, configFile: join(dataDir, "nats", "nats-server.conf"), atMs: 0 };
    await writeFile(join(dataDir, "nats", "server.json"), JSON.stringify(record));
    const server = await startEmbeddedServer(await options(dataDir));
    cleanups.push(() => server.stop());
    expect(await alive(bystander.pid ?? 0)).toBe(true);
  });

  it("R1 R4 a damaged record and an old claim are stale; a fresh claim of a living node is respected", async () => {
    const dataDir = await folder();
    await mkdir(join(dataDir, "nats"), { recursive: true });
    const file = join(dataDir, "nats", "server.json");
    const configFile = join(dataDir, "nats", "nats-server.conf");
    for (const text of ["{", JSON.stringify({ pid: 0, ownerPid: process.ppid, configFile, atMs: 0 })]) {
      await writeFile(file, text);
      await (await startEmbeddedServer(await options(dataDir))).stop();
    }
    await writeFile(file, JSON.stringify({ pid: 0, ownerPid: process.ppid, configFile, atMs: ports.clock.nowMs() }));
    await expect(startEmbeddedServer(await options(dataDir))).rejects.toThrow(/used by the node with process id/);
  });
});

describe("a server of somebody else", () => {
  const external = async () => {
    const owner = await serverUnderTest();
    const login = JSON.parse(await readFile(owner.oona.operatorFile, "utf8")) as {
      readonly url: string;
      readonly password: string;
    };
    const text = await readFile(join(owner.dataDir, "nats", "nats-server.conf"), "utf8");
    const passwordFile = join(await folder(), "password");
    const password = /user: "supervisor", password: "([^"]+)"/.exec(text)?.[1] ?? "";
    await writeFile(passwordFile, `${password}\nsecond line\n`);
    return { url: login.url, passwordFile };
  };
  const start = async (config: OonaOptions["config"]) =>
    startOona({ ...ports, config, dataDir: await folder(), payloadBytesMax: 65_536 });

  it("a wrong password is refused with what to check, and is not repeated in the error", async () => {
    const { url } = await external();
    const passwordFile = join(await folder(), "password");
    await writeFile(passwordFile, "hunter2\n");
    const failure = start({ mode: "external", url, user: "supervisor", passwordFile });
    await expect(failure).rejects.toThrow(
      /to accept the user that it was given, it refused the user or the password.*services\.nats\.passwordFile/,
    );
    await expect(failure).rejects.not.toThrow(/hunter2/);
  });

  it("an unreachable server and a password file that is missing are each called what they are", async () => {
    await expect(start({ mode: "external", url: "nats://127.0.0.1:1" })).rejects.toThrow(
      /expected a NATS server at nats:\/\/127\.0\.0\.1:1, it could not be reached/,
    );
    const failure = start({ mode: "external", url: "nats://127.0.0.1:1", user: "u", passwordFile: "/nowhere/password" });
    await expect(failure).rejects.toThrow(InputError);
    await expect(failure).rejects.toThrow(
      /first line of the file that services\.nats\.passwordFile names \(a path of 17 characters\).*ENOENT/,
    );
  });

  it("with the right password it serves, and is left running after stop", async () => {
    const { url, passwordFile } = await external();
    const oona = await start({ mode: "external", url, user: "supervisor", passwordFile });
    expect(oona).toMatchObject({ mode: "external", url });
    expect(oona.serverPid()).toBeUndefined();
    await oona.stop();
    const again = await start({ mode: "external", url, user: "supervisor", passwordFile });
    await again.stop();
    expect(await again.exited).toBe("stopped");
  });
});
