/**
 * A node whose every secret of the configuration is a canary, in the form in which the node takes it: what it writes, answers, prints and hands to
 * other processes holds none of them. What is secret is read off the schema (src/contracts/shown.ts); a key that is added tomorrow is in here.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { findNatsServer } from "../../src/bus/find-server.ts";
import { systemProcesses } from "../../src/bus/server-process.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import { commandRoutes } from "../../src/http/command-routes.ts";
import { operations } from "../../src/http/operations.ts";
import { runNode } from "../../src/node/node.ts";
import { createFileLog, createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { createTestContext } from "../cli/context.ts";
import { isText, type Leaf, leakIn, leavesOf, newCanary, shapesOf } from "../config/canary.ts";
import { esper } from "./cli.ts";
import { hostConfig, temporaryFolder } from "./support.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const clock = createSystemClock();
const pause = (ms: number) => new Promise<void>((done) => void clock.schedule(ms, done));

const secrets = leavesOf(EsperConfig).filter((leaf) => isText(leaf) && leaf.shown?.part !== "whole");
const keyOf = ({ path }: Leaf): string => path.filter((part) => typeof part === "string").join(".");

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** Each canary with what it is. */
const canaries = new Map<string, string>();
const canaryOf = (what: string): string => {
  const canary = newCanary();
  canaries.set(canary, what);
  return canary;
};

interface Told {
  readonly where: string;
  readonly text: string;
}
const told: Told[] = [];
const tell = (where: string, text: string): void => void told.push({ where, text });

/** Every place with a canary that was told there. */
const leaks = (): string[] =>
  told.flatMap(({ where, text }) =>
    [...canaries].flatMap(([canary, what]) => {
      const found = leakIn(text, canary);
      return found === undefined ? [] : [`${what} in ${where}: …${found}…`];
    }),
  );

const merge = (one: unknown, other: unknown): unknown => {
  if (typeof one !== "object" || one === null || Array.isArray(one)) return other;
  if (typeof other !== "object" || other === null || Array.isArray(other)) return other;
  const merged: Record<string, unknown> = { ...one };
  for (const [name, value] of Object.entries(other)) merged[name] = name in merged ? merge(merged[name], value) : value;
  return merged;
};

const filesUnder = async (place: string): Promise<string[]> => {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
};

/** One letter a byte; of a file that went in the meantime nothing. */
const bytesOf = (file: string): Promise<string> => readFile(file, "latin1").catch(() => "");

/** Process and descendants as others on the machine see them. */
const processesOf = async (pid: number): Promise<readonly string[]> => {
  if (!existsSync("/proc")) return [];
  const parents = new Map<number, number>();
  for (const name of await readdir("/proc")) {
    const text = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, "utf8").catch(() => "") : "";
    const parent = /\) \S (\d+) /.exec(text)?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const family = new Set([pid]);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const [child, parent] of parents) if (family.has(parent)) family.add(child);
  }
  return Promise.all([...family].map((each) => readFile(`/proc/${each}/cmdline`, "utf8").catch(() => "")));
};

/** The whole answer; of a stream, which never ends, the first message: it is the whole state. */
const beginning = async (answer: Response): Promise<string> => {
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer.text();
  const reader = answer.body?.getReader();
  const { value } = (await reader?.read()) ?? {};
  await reader?.cancel();
  return new TextDecoder().decode(value);
};

let server: ChildProcess;
let port: number;
let user: string;
let password: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  user = canaryOf("services.nats.user");
  password = canaryOf("the password in services.nats.passwordFile");
  const conf = join(folder.path, "nats.conf");
  const text = `host: 127.0.0.1\nport: -1\nports_file_dir: "${folder.path}"\njetstream { store_dir: "${join(folder.path, "js")}" }\nauthorization { user: "${user}", password: "${password}" }\n`;
  await writeFile(conf, text, { mode: 0o600 });
  const { path } = await findNatsServer({ folders: [], processes: systemProcesses });
  server = spawn(path, ["-c", conf], { stdio: "ignore" });
  for (let tries = 0; ; tries += 1) {
    expect(tries).toBeLessThan(400);
    await pause(50);
    const [file] = (await readdir(folder.path)).filter((name) => name.endsWith(".ports"));
    const ports = file === undefined ? "" : readFileSync(join(folder.path, file), "utf8");
    if (ports === "") continue;
    port = Number(new URL((JSON.parse(ports) as { nats: string[] }).nats[0] ?? "").port);
    return;
  }
});
afterAll(async () => {
  if (server.exitCode === null) {
    const exited = once(server, "exit");
    server.kill("SIGINT");
    await exited;
  }
  await folder.remove();
});

/** All that a configuration holds of secrets, each in the form that the node takes. */
const secretConfig = async (dataDir: string): Promise<unknown> => {
  const place = join(folder.path, canaryOf("services.nats.passwordFile"));
  await mkdir(place);
  await writeFile(join(place, "password"), `${password}\n`, { mode: 0o600 });
  const connection = join(folder.path, `${canaryOf("services.nats.connection")}.json`);
  const login = {
    url: `nats://${canaryOf("the address in the connection file")}:1`,
    user: canaryOf("its user"),
    password: canaryOf("its password"),
  };
  await writeFile(connection, JSON.stringify(login), { mode: 0o600 });
  const address = canaryOf("services.nats.url");
  const taken: Record<string, string> = {
    "services.nats.url": `nats://${address}:${address}@127.0.0.1:${port}/${address}?token=${address}#${address}`,
    "services.nats.user": user,
    "services.nats.passwordFile": join(place, "password"),
    "services.nats.connection": connection,
  };
  const base = {
    ...hostConfig(dataDir, { arms: ["grown"], optimization: { epochs: 1.5, epochSteps: 20 } }),
    services: { dataDir, http: { port: 0 } },
  };
  const services = { services: { nats: { mode: "external" } } };
  return secrets.reduce<unknown>(
    (tree, leaf) => {
      const canary = taken[keyOf(leaf)] === undefined ? canaryOf(keyOf(leaf)) : "";
      const value = taken[keyOf(leaf)] ?? shapesOf(canary).find((text) => EsperConfig.safeParse(leaf.tree(text)).success);
      return merge(tree, leaf.tree(value));
    },
    merge(base, services),
  );
};

describe("a node whose every secret is a canary", () => {
  it("tells none of them: output, logs, files, HTTP, stream, ledger, processes, command line", async () => {
    const dataDir = join(folder.path, "node");
    const config = await secretConfig(dataDir);
    const file = join(folder.path, "config.json");
    await writeFile(file, JSON.stringify(config), { mode: 0o600 });
    // Every secret text of the schema stands in the configuration, and there are some.
    const held = JSON.stringify(EsperConfig.parse(config));
    expect(secrets.length).toBeGreaterThan(5);
    for (const leaf of secrets)
      expect(
        [...canaries].some(([canary, what]) => what === keyOf(leaf) && held.includes(canary)),
        keyOf(leaf),
      ).toBe(true);

    const environment = { ...process.env, NO_COLOR: "1" };
    const node = spawn(process.execPath, [resolve("dist/main.js"), "start", "--config", file, "--stay", "--json", "--debug"], {
      env: environment,
    });
    const output = { out: "", err: "" };
    node.stdout.on("data", (data: Buffer) => {
      output.out += data.toString("utf8");
    });
    node.stderr.on("data", (data: Buffer) => {
      output.err += data.toString("utf8");
    });
    const exited = once(node, "exit");
    try {
      for (let tries = 0; !output.out.includes('"kind":"finished"'); tries += 1) {
        expect([tries < 2_000, node.exitCode, output.err]).toEqual([true, null, output.err]);
        await pause(50);
      }
      for (const text of await processesOf(node.pid ?? 0)) tell("the list of processes", text);

      const { http: url } = JSON.parse(await readFile(join(dataDir, "operator.json"), "utf8"));
      const token = (await esper(["token", "--role", "admin", "--data-dir", dataDir])).out.trim();
      const ask = async (method: string, path: string, body?: unknown): Promise<number> => {
        const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", connection: "close" };
        const answer = await fetch(`${url}${path}`, {
          method,
          headers,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        tell(`${method} ${path}`, `${JSON.stringify([...answer.headers])} ${await beginning(answer)}`);
        return answer.status;
      };
      const reads = [
        ...operations.filter(({ path }) => !path.includes("{")),
        ...commandRoutes.filter(({ method, path }) => method === "GET" && !path.includes("{")),
      ];
      for (const { path } of reads) expect([path, [200, 503].includes(await ask("GET", path))]).toEqual([path, true]); // 503: no run goes on.
      expect(reads.length).toBeGreaterThan(15);
      expect(reads.map(({ path }) => path)).toContain("/view/stream");
      // A run that somebody asks for with a secret in the wrong place: as a name, and as a value.
      const stranger = canaryOf("a key of a command that is none");
      const wrong = canaryOf("a wrong value in a command");
      expect(await ask("POST", "/commands", { kind: "start", config: { [stranger]: stranger } })).toBe(400);
      expect(
        await ask("POST", "/commands", {
          kind: "start",
          config: { threads: wrong, device: wrong, optimization: wrong, arms: [wrong] },
        }),
      ).toBe(400);
      expect(await ask("POST", "/commands", { kind: "pause", [stranger]: wrong })).toBe(400);
      expect(await ask("POST", "/commands", { kind: stranger })).toBe(400);
      expect(await ask("GET", `/status?${stranger}=${wrong}`)).toBeLessThan(500);
      for (const args of [
        ["status", "--json"],
        ["status"],
        ["performance", "--json"],
        ["services", "--json"],
        ["ledger", "export"],
        ["ledger", "verify", "--json"],
        ["artifacts", "list", "--json"],
        ["dlq", "list", "--json"],
        ["openapi"],
      ]) {
        const { exitCode, out, err } = await esper([...args, "--data-dir", dataDir]);
        tell(`esper ${args.join(" ")}`, `${out}\n${err}`);
        expect([args, exitCode, err]).toEqual([args, 0, err]);
        expect(out.length).toBeGreaterThan(10);
      }

      // Where the login must be written it is for its owner alone; nowhere else is it written.
      const logins = (await filesUnder(dataDir)).filter((name) => /\/operator(\.context)?\.json$/.test(name));
      expect(logins).toHaveLength(2);
      for (const name of logins) expect((await stat(name)).mode & 0o077).toBe(0);
      for (const name of await filesUnder(dataDir))
        if (!logins.includes(name)) tell(`file ${relative(dataDir, name)}`, await bytesOf(name));
    } finally {
      node.kill("SIGINT");
      await exited;
    }
    tell("standard output", output.out);
    tell("standard error", output.err);
    const files = await filesUnder(dataDir);
    for (const name of files) tell(`file ${relative(dataDir, name)} after the end`, await bytesOf(name));
    for (const kind of [
      /logs\/node\.log$/,
      /events\.jsonl$/,
      /esper\.db$/,
      /checkpoints\//,
      /reports\//,
      /ledger\//,
      /provenance|assets/,
    ])
      expect(
        files.some((name) => kind.test(name)),
        String(kind),
      ).toBe(true);
    expect(leaks()).toEqual([]);
    process.stdout.write(`canaries: ${canaries.size} secrets of a running node, ${told.length} places, ${leaks().length} told\n`);
  });
});

interface Ways {
  readonly over?: Record<string, unknown>;
  /** Also by the commands that only look. */
  readonly every?: boolean;
}

/** What fails in a form that the schema takes: the refusal of the part that uses it. */
describe("a secret in the wrong key, accepted by the schema and refused by whoever uses it", () => {
  const run = async (what: string, services: Record<string, unknown>, { over = {}, every = false }: Ways = {}): Promise<void> => {
    const dataDir = join(folder.path, `refused-${told.length}`);
    const file = join(folder.path, `refused-${told.length}.json`);
    const base = hostConfig(dataDir);
    await writeFile(file, JSON.stringify(merge({ ...base, services: { dataDir } }, { ...over, services })), { mode: 0o600 });
    const start = ["start", "--config", file, "--debug"];
    for (const args of every ? [start, ["check-services", "--config", file, "--json"], ["doctor", "--config", file]] : [start]) {
      const under = createTestContext(runNode);
      const context = { ...under.context, clock, entropy: createSystemEntropy(), openLog: createFileLog };
      const exitCode = await runCommandLine(args, context);
      const text = `${under.out.text()}\n${under.err.text()}`;
      tell(`${what}: esper ${args[0]}`, text);
      if (args[0] === "start") expect([what, exitCode > 1, text]).toEqual([what, true, text]);
    }
    const names = existsSync(dataDir) ? await filesUnder(dataDir) : [];
    for (const name of names) tell(`${what}: file ${relative(dataDir, name)}`, await bytesOf(name));
  };

  it("is told by its length", async () => {
    const external = (fields: Record<string, unknown>) => ({
      nats: { mode: "external", ...fields },
      forge: { joinMs: 1 },
      breaker: { failuresMax: 1 },
    });
    const reachable = `nats://127.0.0.1:${port}`;
    const before = told.length;
    const pasted = canaryOf("a password as a path");
    await run("passwordFile", external({ url: reachable, passwordFile: pasted }));
    await run("connection", external({ connection: canaryOf("a password as a connection file") }), { every: true });
    const broken = canaryOf("a broken connection file");
    await writeFile(join(folder.path, "broken.json"), `{"url": "nats://127.0.0.1:1", "password": ${broken}}`);
    await run("broken connection", external({ connection: join(folder.path, "broken.json") }));
    const strange = canaryOf("a connection file of another form");
    await writeFile(
      join(folder.path, "strange.json"),
      JSON.stringify({ url: [strange], [strange]: strange, password: { [strange]: 1 } }),
    );
    await run("strange connection", external({ connection: join(folder.path, "strange.json") }));
    await run("user", external({ url: reachable, user: canaryOf("a user that is refused") }), { every: true });
    const nowhere = canaryOf("a URL that leads nowhere");
    for (const url of [
      nowhere,
      `nats://someone:${nowhere}@127.0.0.1:1`,
      `nats://someone:x/${nowhere}@127.0.0.1:1`,
      `${nowhere}:${nowhere}@127.0.0.1`,
    ])
      await run("url", external({ url }));
    await run("forge", external({ url: `nats://x:${canaryOf("a forge's URL")}@127.0.0.1:1` }), {
      over: { roles: ["tezzeret", "urabrask"] },
      every: true,
    });
    expect(
      told.slice(before).some(({ text }) => text.includes("services.nats.passwordFile names (a path of 64 characters)")),
    ).toBe(true);
    expect(leaks()).toEqual([]);
  });
});
