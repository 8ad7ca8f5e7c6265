/** Set-up on machines that lack something. No network but 127.0.0.1. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

interface Release {
  readonly version: string;
  readonly base: string;
  readonly archives: Readonly<Record<string, { readonly name: string; readonly sha256: string }>>;
}

interface NatsSetup {
  readonly release: Release;
  findServer(searchPath: string, folders: readonly string[]): Promise<{ path?: string; version?: string; unfit: string[] }>;
  downloadServer(folder: string, platform: string, release: Release): Promise<string | undefined>;
}

interface NodeSetup {
  isAtLeast(version: string, least: readonly number[]): boolean;
  checkNode(version: string): void;
  adviceForNpm(output: string): string;
  lacksOnlyForeign(output: string, lock: string): boolean;
  installPackages(root: string): Promise<string>;
  build(root: string, lockHash: string): Promise<void>;
}

const scripts = new URL("../../scripts/setup/", import.meta.url);
const nats: NatsSetup = await import(new URL("nats-server.mjs", scripts).href);
const node: NodeSetup = await import(new URL("node.mjs", scripts).href);

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esper-setup-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const program = (name: string, text: string): void => {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, "nats-server"), `#!/bin/sh\n${text}\n`);
  chmodSync(join(folder, name, "nats-server"), 0o755);
};

describe("Node", () => {
  test("versions are compared by number", () => {
    expect([
      node.isAtLeast("20.19.0", [20, 19, 0]),
      node.isAtLeast("20.9.0", [20, 19, 0]),
      node.isAtLeast("22.0.0", [20, 19, 0]),
    ]).toEqual([true, false, true]);
  });

  test("an old Node is refused with what to do", () => {
    expect(() => node.checkNode("18.20.1")).toThrow(/^expected Node 20\.19\.0 or newer, got 18\.20\.1 .*; install a newer one/);
    expect(() => node.checkNode("20.19.0")).not.toThrow();
  });
});

describe("packages", () => {
  test.each([
    ["npm error code ENOTFOUND", /registry could not be reached \(ENOTFOUND\): check the network/],
    ["npm error network request failed, reason: connect ECONNREFUSED", /\(ECONNREFUSED\)/],
    ["npm error code ENOSPC", /disk is full/],
    ["npm error EACCES: permission denied", /cannot be written/],
    ["npm error something else", /read npm's words/],
  ])("%s", (output, advice) => {
    expect(node.adviceForNpm(output)).toMatch(advice);
  });

  test("packages that npm ci installed by hand are taken as they are, and remembered", async () => {
    writeFileSync(join(folder, "package-lock.json"), "{}");
    mkdirSync(join(folder, "node_modules"));
    writeFileSync(join(folder, "node_modules", ".package-lock.json"), "{}");
    const hash = await node.installPackages(folder);
    expect(readFileSync(join(folder, "node_modules", ".esper-lock"), "utf8")).toBe(hash);
    expect(await node.installPackages(folder)).toBe(hash);
  });

  test("a lock that lacks only other systems' packages is told from one that is out of step", () => {
    const lock = JSON.stringify({ packages: { "node_modules/a": { optionalDependencies: { "@a/mac": "1.0.0" } } } });
    const foreign = "npm error code EUSAGE\nnpm error Missing: @a/mac@ from lock file";
    expect(node.lacksOnlyForeign(foreign, lock)).toBe(true);
    expect(node.lacksOnlyForeign(`${foreign}\nnpm error Missing: b@1.0.0 from lock file`, lock)).toBe(false);
    expect(node.lacksOnlyForeign(`${foreign}\nnpm error Invalid: lock file's c@1.0.0 does not satisfy c@2.0.0`, lock)).toBe(
      false,
    );
    expect(node.lacksOnlyForeign("npm error code ENOTFOUND", lock)).toBe(false);
  });

  test("no lock file", async () => {
    await expect(node.installPackages(folder)).rejects.toThrow(/expected package-lock\.json .*; clone the repository again/);
  });
});

describe("build", () => {
  /** A stand-in compiler that counts how often it ran. */
  const compiler = (text: string): void => {
    mkdirSync(join(folder, "node_modules", "typescript", "bin"), { recursive: true });
    writeFileSync(join(folder, "node_modules", "typescript", "bin", "tsc"), text);
    // The page's bundler comes after it.
    mkdirSync(join(folder, "node_modules", "vite", "bin"), { recursive: true });
    writeFileSync(join(folder, "node_modules", "vite", "bin", "vite.js"), "");
  };

  beforeEach(() => {
    mkdirSync(join(folder, "src"));
    writeFileSync(join(folder, "src", "a.ts"), "export {};");
    for (const file of ["tsconfig.json", "tsconfig.build.json"]) writeFileSync(join(folder, file), "{}");
    compiler('require("node:fs").appendFileSync("runs", "x");');
  });

  const runs = (): number => readFileSync(join(folder, "runs"), "utf8").length;

  test("is done once, and again after a source or the lock changed", async () => {
    await node.build(folder, "lock");
    await node.build(folder, "lock");
    expect(runs()).toBe(1);
    writeFileSync(join(folder, "src", "a.ts"), "export const a = 1;");
    await node.build(folder, "lock");
    expect(runs()).toBe(2);
    await node.build(folder, "another lock");
    expect(runs()).toBe(3);
  });

  test("one that failed is told in the compiler's words and done again", async () => {
    compiler('console.log("src/a.ts(1,1): error TS1"); process.exitCode = 2;');
    await expect(node.build(folder, "lock")).rejects.toThrow(/tsc ended with 2:\n {2}src\/a\.ts\(1,1\): error TS1\ncorrect them/);
    expect(existsSync(join(folder, "dist", ".built-from"))).toBe(false);
  });
});

describe("nats-server", () => {
  test("the first that is new enough; the others with their reasons", async () => {
    program("old", 'echo "nats-server: v2.8.4"');
    program("silent", "exit 0");
    program("new", 'echo "nats-server: v2.10.1"');
    const found = await nats.findServer(
      "",
      ["missing", "old", "silent", "new"].map((name) => join(folder, name)),
    );
    expect(found).toMatchObject({ path: join(folder, "new", "nats-server"), version: "2.10.1" });
    expect(found.unfit).toEqual([
      `${join(folder, "old", "nats-server")} is 2.8.4`,
      `${join(folder, "silent", "nats-server")} does not tell a version`,
    ]);
  });

  test("every pinned archive has a SHA-256", () => {
    expect(Object.values(nats.release.archives).every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256))).toBe(true);
    expect(nats.release.base).toMatch(/^https:\/\//);
  });

  describe("download", () => {
    let server: Server;
    let base = "";
    let archive = Buffer.alloc(0);

    beforeAll(async () => {
      const source = mkdtempSync(join(tmpdir(), "esper-archive-"));
      const inside = join(source, "nats-server-v9.9.9-linux-amd64");
      mkdirSync(inside);
      writeFileSync(join(inside, "nats-server"), '#!/bin/sh\necho "nats-server: v9.9.9"\n');
      execFileSync("tar", ["-czf", "archive.tar.gz", "nats-server-v9.9.9-linux-amd64"], { cwd: source });
      archive = readFileSync(join(source, "archive.tar.gz"));
      rmSync(source, { recursive: true });
      server = createServer((request, response) => {
        const known = request.url === "/v9.9.9/nats-server-v9.9.9-linux-amd64.tar.gz";
        response.writeHead(known ? 200 : 404).end(known ? archive : "");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const address = server.address();
      base = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
    });
    afterAll(() => new Promise((resolve) => server.close(resolve)));

    const release = (sha256: string, version = "9.9.9"): Release => ({
      version,
      base,
      archives: { "linux-x64": { name: "linux-amd64", sha256 } },
    });
    const pinned = (): string => createHash("sha256").update(archive).digest("hex");

    test("with the pinned bytes gives a program that runs", async () => {
      expect(await nats.downloadServer(folder, "linux-x64", release(pinned()))).toBeUndefined();
      expect(statSync(join(folder, "nats-server")).mode & 0o111).not.toBe(0);
      expect(await nats.findServer("", [folder])).toMatchObject({ version: "9.9.9" });
    });

    test("with other bytes is not used", async () => {
      expect(await nats.downloadServer(folder, "linux-x64", release("0".repeat(64)))).toMatch(
        /expected SHA-256 0{64}, got [0-9a-f]{64}; it was not used/,
      );
      expect(existsSync(join(folder, "nats-server"))).toBe(false);
    });

    test("that is not there, on a platform without one, or without a network says so", async () => {
      expect(await nats.downloadServer(folder, "linux-x64", release(pinned(), "1.0.0"))).toMatch(/HTTP 404$/);
      expect(await nats.downloadServer(folder, "plan9-vax", release(pinned()))).toBe("no release is pinned for plan9-vax");
      expect(await nats.downloadServer(folder, "linux-x64", { ...release(pinned()), base: "http://127.0.0.1:1" })).toMatch(
        /ECONNREFUSED|bad port/,
      );
    });
  });
});
