/**
 * What the embedded server needs of the operating system: start a program, look at a process, signal it. The real ones stand here.
 *
 * G1 A program that was started does not outlive this process, however that ends: a shell beside it holds the other end of a pipe, and ends it
 *    when the pipe closes. Where there is no shell, the next node on the data directory finds the orphan.
 * G2 The shell signals only a process that still runs what was started; it ends with the program.
 */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";

export type ProcessExit = { readonly code: number | null; readonly signal: string | null };

export interface ServerProcess {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<ProcessExit>;
  signal(name: "SIGINT" | "SIGKILL"): void;
}

export interface ProcessInfo {
  readonly parentPid: number;
  /** Program and arguments. */
  readonly command: readonly string[];
}

export interface Processes {
  readonly ownPid: number;
  /** Where programs are looked for: the value of PATH. */
  readonly searchPath: string;
  /** Starts a program without a terminal; its output is thrown away. Rejects when it cannot be started. */
  start(binary: string, args: readonly string[]): Promise<ServerProcess>;
  /** Runs a program to its end. Rejects when it cannot be started or takes longer than the limit. */
  run(
    binary: string,
    args: readonly string[],
    timeoutMs: number,
  ): Promise<{ readonly code: number | null; readonly output: string }>;
  /** Undefined when there is no such process. */
  inspect(pid: number): Promise<ProcessInfo | undefined>;
  signal(pid: number, name: "SIGINT" | "SIGKILL"): void;
}

const outputBytesMax = 65_536;

/** G1 G2. A line on its input says that the program has ended; the end of its input without one that this process has. */
const guardScript = `
read -r word && exit 0
command="$({ tr '\\0' ' ' <"/proc/$GUARDED_PID/cmdline" || ps -ww -o args= -p "$GUARDED_PID"; } 2>/dev/null)"
case "$command" in *"$GUARDED_ARGUMENTS"*) ;; *) exit 0 ;; esac
kill -INT "$GUARDED_PID" 2>/dev/null || exit 0
tries=0
while kill -0 "$GUARDED_PID" 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -gt 50 ] && { kill -KILL "$GUARDED_PID"; exit 0; }
  sleep 0.1
done
`;

const guard = (pid: number, args: readonly string[], exited: Promise<unknown>): void => {
  const shell = spawn("/bin/sh", ["-c", guardScript], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    // Not among its arguments, so that whoever looks for the program by its command finds the program alone.
    env: { PATH: process.env["PATH"] ?? "", GUARDED_PID: String(pid), GUARDED_ARGUMENTS: args.join(" ") },
  });
  shell.on("error", () => undefined); // G1: no shell
  // Where no pipe could be opened there is none, whatever the types say: too many open files.
  const input = shell.stdin as typeof shell.stdin | undefined;
  input?.on("error", () => undefined);
  shell.unref();
  void exited.then(() => input?.end("ended\n"));
};

const start = (binary: string, args: readonly string[]): Promise<ServerProcess> =>
  new Promise((resolve, reject) => {
    // A process group of its own: Ctrl-C at the terminal reaches the node alone, which then stops the server in order.
    const child = spawn(binary, args, { stdio: "ignore", detached: true });
    const exited = new Promise<ProcessExit>((ended) => child.once("exit", (code, signal) => ended({ code, signal })));
    child.once("error", reject);
    child.once("spawn", () => {
      const { pid } = child;
      if (pid === undefined) return reject(new Error(`expected a process id for ${binary}, got none`));
      guard(pid, args, exited);
      resolve({ pid, exited, signal: (name) => void child.kill(name) });
    });
  });

const run: Processes["run"] = (binary, args, timeoutMs) =>
  new Promise((resolve, reject) => {
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs, killSignal: "SIGKILL" });
    let output = "";
    const collect = (chunk: Buffer): void => {
      if (output.length < outputBytesMax) output += chunk.toString("utf8");
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.once("error", reject);
    child.once("close", (code, signal) =>
      signal === "SIGKILL" ? reject(new Error(`expected ${binary} to end within ${timeoutMs} ms`)) : resolve({ code, output }),
    );
  });

const inspectProc = async (pid: number): Promise<ProcessInfo | undefined> => {
  const [stat, cmdline] = await Promise.all([readFile(`/proc/${pid}/stat`, "utf8"), readFile(`/proc/${pid}/cmdline`, "utf8")]);
  // The program's name, in brackets, may hold anything: the fields start after the last bracket (proc(5)).
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || parent === undefined) return undefined;
  return { parentPid: Number(parent), command: cmdline.split("\0").filter((word) => word !== "") };
};

const inspectPs = async (pid: number): Promise<ProcessInfo | undefined> => {
  const { code, output } = await run("ps", ["-o", "ppid=,stat=,args=", "-ww", "-p", String(pid)], 5_000);
  const match = /^\s*(\d+)\s+(\S+)\s+(.*)$/m.exec(output);
  if (code !== 0 || !match?.[1] || !match[3] || match[2]?.startsWith("Z")) return undefined;
  return { parentPid: Number(match[1]), command: match[3].split(/\s+/) };
};

export const systemProcesses: Processes = {
  ownPid: process.pid,
  searchPath: process.env["PATH"] ?? "",
  start,
  run,
  inspect: (pid) =>
    process.platform === "linux" ? inspectProc(pid).catch(() => undefined) : inspectPs(pid).catch(() => undefined),
  signal: (pid, name) => {
    try {
      process.kill(pid, name);
    } catch {
      // Gone already, which is what was wanted.
    }
  },
};
