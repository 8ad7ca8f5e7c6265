/** Programs and data from the system's package manager, when this account may install them. */
import { run, tail } from "./shell.mjs";

/** How each manager installs. `refresh` is tried once when a package is not known. */
const managers = [
  { name: "apt-get", install: ["install", "-y", "--no-install-recommends"], refresh: ["update"], root: true },
  { name: "dnf", install: ["install", "-y"], root: true },
  { name: "apk", install: ["add"], refresh: ["update"], root: true },
  { name: "pacman", install: ["-S", "--noconfirm", "--needed"], root: true },
  { name: "brew", install: ["install"], root: false },
];

const isThere = async (program) => (await run("sh", ["-c", `command -v ${program}`])).code === 0;

/** The manager, and `sudo -n` in front of it where that is needed. Undefined when there is none or it may not be used. */
export const findManager = async () => {
  for (const manager of managers) {
    if (!(await isThere(manager.name))) continue;
    if (!manager.root || process.getuid?.() === 0) return { ...manager, prefix: [] };
    if ((await isThere("sudo")) && (await run("sudo", ["-n", "true"])).code === 0) return { ...manager, prefix: ["sudo", "-n"] };
    return { ...manager, prefix: undefined };
  }
  return undefined;
};

const call = (manager, args, about) => {
  const [program, ...rest] = [...manager.prefix, manager.name, ...args];
  return run(program, rest, { env: { DEBIAN_FRONTEND: "noninteractive", HOMEBREW_NO_AUTO_UPDATE: "1" }, about });
};

/** The command that a person would type. */
export const installCommand = (manager, packageName) =>
  manager ? `${manager.root ? "sudo " : ""}${manager.name} ${manager.install.join(" ")} ${packageName}` : undefined;

/** Installs a package. Resolves with undefined, or with the reason why not. */
export const installPackage = async (manager, packageName) => {
  if (!manager) return "no package manager that set-up knows (apt-get, dnf, apk, pacman, brew)";
  if (!manager.prefix) return `${manager.name} needs root, and sudo wants a password`;
  const args = [...manager.install, packageName];
  let result = await call(manager, args, `installing ${packageName} (${manager.name})`);
  if (result.code !== 0 && manager.refresh) {
    await call(manager, manager.refresh, `fetching ${manager.name}'s package list`);
    result = await call(manager, args, `installing ${packageName} (${manager.name})`);
  }
  return result.code === 0 ? undefined : `${manager.name} ended with ${result.code}:\n${tail(result.output, 6)}`;
};

/** Stops and disables a service that a package started, so that nothing of ours listens on the network. */
export const stopService = async (manager, name) => {
  if (!manager?.prefix || !(await isThere("systemctl"))) return;
  if ((await run("systemctl", ["is-active", "--quiet", name])).code !== 0) return;
  const [program, ...args] = [...manager.prefix, "systemctl", "disable", "--now", name];
  await run(program, args);
  console.log(`stopped the service ${name} that the package started: each node starts a server of its own, on loopback`);
};

/** True when the packaged service runs already: then it is the owner's, and stays. */
export const serviceRuns = async (name) =>
  (await isThere("systemctl")) && (await run("systemctl", ["is-active", "--quiet", name])).code === 0;
