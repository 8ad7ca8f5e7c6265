/** Finds nats-server ≥ 2.9, or installs it: by the package manager, else a release with a pinned checksum. */
import { createHash } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { isAtLeast } from "./node.mjs";
import { run, SetupError, tail } from "./shell.mjs";
import { findManager, installCommand, installPackage, serviceRuns, stopService } from "./system-packages.mjs";

export const versionMin = [2, 9, 0];
const downloadBytesMax = 64 * 1024 * 1024;
const downloadTimeoutMs = 120_000;

/**
 * The release that is downloaded where no package manager helps. The SHA-256 of the archives are those by which the
 * project's own container images (nats-io/nats-docker, 2.9.x/alpine3.18/Dockerfile) check the same files.
 */
export const release = {
  version: "2.9.22",
  base: "https://github.com/nats-io/nats-server/releases/download",
  archives: {
    "linux-x64": { name: "linux-amd64", sha256: "9550278e34e94aebd410ec401bc145d3538e430ec2a40d5213fffdf9fdd49c27" },
    "linux-arm64": { name: "linux-arm64", sha256: "811e5a3c8187d937a753f182bd5ae2035c91604bda11a3b11023e5eea0504c41" },
    "linux-arm": { name: "linux-arm7", sha256: "b8c83cd825b05d8d0610fc9352804fe810ae6bd9d8f0d814a39b0f152ec2ba79" },
  },
};

const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** Looks on PATH, where packages put servers, and where set-up puts its own. Resolves with the path, or the reasons against what was found. */
export const findServer = async (searchPath, folders) => {
  const unfit = [];
  const candidates = new Set([
    ...folders,
    ...searchPath.split(delimiter),
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
  ]);
  for (const folder of candidates) {
    const file = join(folder, "nats-server");
    if (folder === "" || !isExecutable(file)) continue;
    const { output } = await run(file, ["--version"]);
    const version = /v(\d+\.\d+\.\d+)/.exec(output)?.[1];
    if (version && isAtLeast(version, versionMin)) return { path: file, version, unfit };
    unfit.push(version ? `${file} is ${version}` : `${file} does not tell a version`);
  }
  return { path: undefined, unfit };
};

const download = async (url) => {
  const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (bytes.length > downloadBytesMax) throw new Error(`${bytes.length} bytes, at most ${downloadBytesMax}`);
  return bytes;
};

/**
 * Downloads a release into `folder` when its bytes are the pinned ones. Resolves with undefined, or with the reason why not.
 * `platform` is for example `linux-x64`.
 */
export const downloadServer = async (folder, platform, { version, base, archives } = release) => {
  const archive = archives[platform];
  if (!archive) return `no release is pinned for ${platform}`;
  const name = `nats-server-v${version}-${archive.name}`;
  const url = `${base}/v${version}/${name}.tar.gz`;
  console.log(`downloading ${url} …`);
  let bytes;
  try {
    bytes = await download(url);
  } catch (error) {
    return `${url}: ${error.cause?.code ?? error.cause?.message ?? error.message}`;
  }
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== archive.sha256) return `${url}: expected SHA-256 ${archive.sha256}, got ${found}; it was not used`;
  const temporary = join(folder, `.download-${process.pid}`);
  try {
    mkdirSync(temporary, { recursive: true });
    writeFileSync(join(temporary, "archive.tar.gz"), bytes);
    const { code, output } = await run("tar", ["-xzf", "archive.tar.gz"], { cwd: temporary });
    if (code !== 0) return `tar ended with ${code}:\n${tail(output, 4)}`;
    const inside = readdirSync(temporary).includes(name) ? join(temporary, name, "nats-server") : join(temporary, "nats-server");
    chmodSync(inside, 0o755);
    renameSync(inside, join(folder, "nats-server"));
    return undefined;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
};

/** Makes nats-server available to the node, or says exactly what to do. */
export const provideServer = async (root, { systemPackages }) => {
  const folder = join(root, ".esper", "bin");
  const searchPath = process.env.PATH ?? "";
  const found = await findServer(searchPath, [folder]);
  if (found.path) return linkUnlessOnPath(found.path, folder, searchPath);
  const reasons = found.unfit.map((reason) => `${reason}; ${versionMin.join(".")} or newer is needed`);
  const manager = await findManager();
  if (systemPackages) {
    const ranBefore = await serviceRuns("nats-server");
    const refusal = await installPackage(manager, "nats-server");
    if (!refusal) {
      if (!ranBefore) await stopService(manager, "nats-server");
      const installed = await findServer(searchPath, [folder]);
      if (installed.path) return linkUnlessOnPath(installed.path, folder, searchPath);
      reasons.push(`${manager.name} installed nats-server, but ${installed.unfit.join("; ") || "it is nowhere to be found"}`);
    } else reasons.push(refusal);
  } else reasons.push("the package manager was left alone (--no-system-packages)");
  mkdirSync(folder, { recursive: true });
  const refusal = await downloadServer(folder, `${process.platform}-${process.arch}`);
  if (!refusal) return join(folder, "nats-server");
  reasons.push(refusal);
  const command = installCommand(manager, "nats-server");
  throw new SetupError(
    `expected nats-server ${versionMin.join(".")} or newer, found none that fits:\n${reasons.map((reason) => `  - ${reason}`).join("\n")}\n` +
      `${command ? `run \`${command}\`, or ` : ""}put the program of https://github.com/nats-io/nats-server/releases at ${join(folder, "nats-server")}, then run the command again`,
  );
};

/** Debian's PATH for people lacks /usr/sbin, where its package puts the server. */
const linkUnlessOnPath = (file, folder, searchPath) => {
  if ([...searchPath.split(delimiter), folder].some((known) => join(known, "nats-server") === file)) return file;
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, "nats-server"), { force: true });
  symlinkSync(file, join(folder, "nats-server"));
  return file;
};
