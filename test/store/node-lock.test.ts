/** One node for a data directory: L1. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ServiceError } from "../../src/contracts/errors.ts";
import { lockDataDir } from "../../src/store/node-lock.ts";
import { temporaryFolder } from "./support.ts";

const source = new URL("../../src/store/node-lock.ts", import.meta.url).href;
const program = (file: string): string =>
  `const { lockDataDir } = await import(${JSON.stringify(source)}); lockDataDir("there", ${JSON.stringify(file)}, process.pid); console.log("held"); setInterval(() => {}, 1000);`;

test("a second node is refused with the first one's process id, and welcome when that has gone", () => {
  const file = join(temporaryFolder(), "node.lock");
  const first = lockDataDir("here", file, 4711);
  expect(() => lockDataDir("here", file, 4712)).toThrow(ServiceError);
  expect(() => lockDataDir("here", file, 4712)).toThrow(
    /data directory here to be free, it is used by the node with process id 4711/,
  );
  first.release();
  lockDataDir("here", file, 4713).release();
});

test("L1 another process holds it until it ends, also by kill -9", async () => {
  const file = join(temporaryFolder(), "node.lock");
  const other = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program(file)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void other.kill("SIGKILL"));
  await once(other.stdout, "data");
  expect(() => lockDataDir("there", file, 1)).toThrow(new RegExp(`process id ${other.pid}`));
  other.kill("SIGKILL");
  await once(other, "exit");
  lockDataDir("there", file, 1).release();
}, 60_000);
