/** The Node that runs us, the packages, and the build. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { head, run, SetupError, tail } from "./shell.mjs";

const nodeVersionMin = [20, 19, 0];

/** True when a version such as `20.19.1` is `least` or newer. */
export const isAtLeast = (version, least) => {
  const parts = version.split(".").map(Number);
  for (const [index, wanted] of least.entries()) {
    const part = parts[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
};

export const checkNode = (version = process.versions.node) => {
  if (isAtLeast(version, nodeVersionMin)) return;
  throw new SetupError(
    `expected Node ${nodeVersionMin.join(".")} or newer, got ${version} (${process.execPath}); install a newer one from your system, nodejs.org or a version manager, and run the command again`,
  );
};

const read = (file) => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

const hash = (text) => createHash("sha256").update(text).digest("hex");

const networkCodes =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|EPROXY|E407|CERT_|SELF_SIGNED_CERT|UNABLE_TO_)/;

/** What to do about a failed `npm ci`. */
export const adviceForNpm = (output) => {
  const code = networkCodes.exec(output)?.[1];
  if (code) {
    return `the package registry could not be reached (${code}): check the network, or name a proxy or mirror (npm config set proxy …, npm config set registry …), then run the command again`;
  }
  if (/\bENOSPC\b/.test(output)) return "the disk is full: free some space (about 700 MB are needed), then run the command again";
  if (/\b(EACCES|EPERM)\b/.test(output)) return "this folder cannot be written: run the command as the folder's owner";
  return "read npm's words above; `npm ci` in this folder shows them in full";
};

/**
 * True when `npm ci` of npm 11 refused the lock only because it lacks packages for other systems than the one it was made on:
 * npm 10 accepts such a lock, and none of them is installed here.
 */
export const lacksOnlyForeign = (output, lock) => {
  const missing = [...output.matchAll(/^npm error Missing: (\S+)@\S* from lock file$/gm)].map(([, name]) => name);
  const optional = new Set(
    Object.values(JSON.parse(lock).packages ?? {}).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {})),
  );
  return missing.length > 0 && !/^npm error Invalid: /m.test(output) && missing.every((name) => optional.has(name));
};

const callNpm = async (root, lock) => {
  const npm = process.env.npm_execpath;
  const [program, first] = npm?.endsWith(".js") ? [process.execPath, [npm]] : ["npm", []];
  // No package needs its install script, so none is run.
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const call = (args, about) => run(program, [...first, ...args, ...quiet], { cwd: root, about });
  let { code, output } = await call(["ci"], "installing packages (npm ci)");
  if (code !== 0 && lacksOnlyForeign(output, lock)) {
    // Installs the locked versions and leaves the lock as it is.
    ({ code, output } = await call(["install", "--no-save"], "installing packages (npm install, by the same lock)"));
  }
  if (code === 127) throw new SetupError("expected npm beside Node, found none; install npm 10 or newer");
  if (code !== 0)
    throw new SetupError(
      `expected npm to install the packages, it ended with ${code}:\n${head(output)}\n${adviceForNpm(output)}`,
    );
};

/** Installs what the lock file says, unless that is there already. */
export const installPackages = async (root) => {
  const lock = read(join(root, "package-lock.json"));
  if (lock === undefined) throw new SetupError(`expected package-lock.json in ${root}, found none; clone the repository again`);
  const stamp = join(root, "node_modules", ".esper-lock");
  const wanted = hash(lock);
  if (read(stamp) === wanted) return wanted;
  // What `npm ci` by hand left behind is as good.
  const installed = join(root, "node_modules", ".package-lock.json");
  const byHand =
    read(stamp) === undefined &&
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs;
  if (!byHand) await callNpm(root, lock);
  writeFileSync(stamp, wanted);
  return wanted;
};

const sourcesUnder = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

/** Bundles the page into `dist/page`. */
const buildPage = async (root) => {
  const bundler = join(root, "node_modules", "vite", "bin", "vite.js");
  const { code, output } = await run(process.execPath, [bundler, "build", "src/visualizer"], {
    cwd: root,
    about: "building the page (vite)",
  });
  if (code !== 0) throw new SetupError(`expected the page to be built, vite ended with ${code}:\n${tail(output, 20)}`);
};

/** Builds `dist`, unless it was built from these sources. */
export const build = async (root, lockHash) => {
  const files = [...sourcesUnder(join(root, "src")), join(root, "tsconfig.json"), join(root, "tsconfig.build.json")];
  const fingerprint = hash(
    [lockHash, ...files.map((file) => [file, statSync(file).size, statSync(file).mtimeMs].join(" "))].join("\n"),
  );
  const dist = join(root, "dist");
  const stamp = join(dist, ".built-from");
  if (read(stamp) === fingerprint) return;
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const { code, output } = await run(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
    cwd: root,
    about: "building (tsc)",
  });
  if (code !== 0)
    throw new SetupError(
      `expected the sources to compile, tsc ended with ${code}:\n${tail(output, 20)}\ncorrect them; \`npm run types\` shows all of it`,
    );
  await buildPage(root);
  writeFileSync(stamp, fingerprint);
};
