/** Programs that were started do not outlive whoever started them, and nobody else's are touched. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { systemProcesses } from "../../src/bus/server-process.ts";

const source = JSON.stringify(fileURLToPath(new URL("../../src/bus/server-process.ts", import.meta.url)));
const started: number[] = [];
afterEach(() => {
  for (const pid of started.splice(0)) systemProcesses.signal(pid, "SIGKILL");
});

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
/** The test's own limit ends a wait that is in vain. */
const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await tick();
};
const runs = async (pid: number): Promise<boolean> => (await systemProcesses.inspect(pid)) !== undefined;

/** A process that starts a program as the node starts nats-server. */
const parentOf = async (binary: string, args: readonly string[]): Promise<{ parent: ChildProcess; pid: number }> => {
  const code = `import { systemProcesses } from ${source};
    const { pid } = await systemProcesses.start(${JSON.stringify(binary)}, ${JSON.stringify(args)});
    process.stdout.write(String(pid) + "\\n");
    setInterval(() => undefined, 1000);`;
  const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", 2],
  });
  started.push(parent.pid!);
  const text = await new Promise<string>((resolve) => parent.stdout!.once("data", (line) => resolve(String(line))));
  const pid = Number(text);
  started.push(pid);
  return { parent, pid };
};

/** Shells that hold the pipe of a program, where Linux lists what processes were started with. */
const guardsOf = (pid: number): string[] =>
  readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/environ`, "utf8").split("\0").includes(`GUARDED_PID=${pid}`);
    } catch {
      return false;
    }
  });

it.each(["SIGKILL", "SIGTERM"] as const)("G1 a program ends when its parent dies of %s", async (signal) => {
  const { parent, pid } = await parentOf("sleep", ["300.25"]);
  expect(await runs(pid)).toBe(true);
  parent.kill(signal);
  await until(async () => !(await runs(pid)));
});

it("G1 a program that ignores the polite signal is killed", async () => {
  const { parent, pid } = await parentOf("/bin/sh", ["-c", "trap '' INT; while :; do sleep 0.2; done"]);
  parent.kill("SIGKILL");
  await until(async () => !(await runs(pid)));
});

it.runIf(process.platform === "linux")("G2 a process that runs something else by then is left alone", async () => {
  const { parent, pid } = await parentOf("/bin/sh", ["-c", "exec sleep 300.5"]);
  await until(async () => (await systemProcesses.inspect(pid))?.command[0] === "sleep");
  await until(() => guardsOf(pid).length === 1);
  parent.kill("SIGKILL");
  await until(() => guardsOf(pid).length === 0);
  expect(await runs(pid)).toBe(true);
});

it.runIf(process.platform === "linux")("G2 the guard ends with the program", async () => {
  const { pid, exited, signal } = await systemProcesses.start("sleep", ["300.75"]);
  started.push(pid);
  await until(() => guardsOf(pid).length === 1);
  signal("SIGKILL");
  expect(await exited).toEqual({ code: null, signal: "SIGKILL" });
  await until(() => guardsOf(pid).length === 0);
});

it.runIf(process.platform === "linux")(
  "G1 where there is no room for the guard's pipe, the program is started without a guard",
  async () => {
    // Starting a program takes no place among the open files once it runs; the guard's pipe does.
    const code = `import { openSync } from "node:fs";
    import { systemProcesses } from ${source};
    const warm = await systemProcesses.start("true", []);
    await warm.exited;
    const held = [];
    const starting = systemProcesses.start("sleep", ["300.9"]);
    try { for (;;) held.push(openSync("/dev/null", "r")); } catch (error) { if (error.code !== "EMFILE") throw error; }
    const { pid } = await starting;
    process.stdout.write(String(pid) + "\\n");
    process.kill(pid, "SIGKILL");`;
    const parent = spawn(
      "/bin/sh",
      ["-c", 'ulimit -n 256; exec "$0" "$@"', process.execPath, "--import", "tsx", "--input-type=module", "-e", code],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    started.push(parent.pid!);
    let [output, errors] = ["", ""];
    parent.stdout.on("data", (text) => (output += String(text)));
    parent.stderr.on("data", (text) => (errors += String(text)));
    const exit = await new Promise((resolve) => parent.once("close", resolve));
    expect([exit, errors]).toEqual([0, ""]);
    expect(output).toMatch(/^\d+\n$/);
  },
);
