/**
 * Makes a fresh clone ready: checks Node, installs packages, builds, provides nats-server. Each step is skipped when there is
 * nothing to do, so that a second run takes well under a second.
 *
 *   node scripts/setup.mjs [--dev] [--no-system-packages]
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { provideServer } from "./setup/nats-server.mjs";
import { build, checkNode, installPackages } from "./setup/node.mjs";
import { endOnInterrupt, SetupError } from "./setup/shell.mjs";
import { findManager, installCommand, installPackage } from "./setup/system-packages.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const options = { dev: process.argv.includes("--dev"), systemPackages: !process.argv.includes("--no-system-packages") };

/** Fashion-MNIST, which tests read and training may. */
const provideFashionMnist = async () => {
  if (existsSync("/usr/share/datasets/fashion-mnist")) return;
  const manager = await findManager();
  const refusal =
    manager?.name !== "apt-get"
      ? "only Debian packages it"
      : options.systemPackages
        ? await installPackage(manager, "dataset-fashion-mnist")
        : "the package manager was left alone (--no-system-packages)";
  if (!refusal) return;
  const command = manager?.name === "apt-get" ? `run \`${installCommand(manager, "dataset-fashion-mnist")}\`, or ` : "";
  console.warn(
    `Fashion-MNIST is not here (${refusal}); tests that read it will fail. To have it: ${command}put its four IDX files into /usr/share/datasets/fashion-mnist`,
  );
};

endOnInterrupt();
try {
  checkNode();
  const lockHash = await installPackages(root);
  await build(root, lockHash);
  await provideServer(root, options);
  if (options.dev) await provideFashionMnist();
} catch (error) {
  console.error(error instanceof SetupError ? `set-up: ${error.message}` : error);
  process.exitCode = error instanceof SetupError ? 5 : 1;
}
