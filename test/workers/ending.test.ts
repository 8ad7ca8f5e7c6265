/** However a process with a native engine at work ends, the engine does not abort it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const file = fileURLToPath(new URL("./busy-process.ts", import.meta.url));

const endBusyProcess = (way: string) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--import", "tsx", file], { stdio: "pipe" });
    let out = "";
    let err = "";
    child.stdout.on("data", (text) => {
      out += text;
      if (out === "busy\n") child.stdin.write(`${way}\n`);
    });
    child.stderr.on("data", (text) => {
      err += text;
    });
    child.once("close", (code, signal) => resolve({ code, signal, err, out: out.replace("busy\n", "") }));
  });

it.each([
  { way: "halt", told: "the step is finished, then the process ends with its code", ended: { code: 130, signal: null, out: "" } },
  { way: "late", told: "E2 a thread that does not finish is not waited for", ended: { code: null, signal: "SIGINT", out: "" } },
  {
    way: "destroy",
    told: "P2 P3 a lane is closed after the step, and takes no more work",
    ended: { code: 0, signal: null, out: "lost lost false" },
  },
])("$way: $told", async ({ way, ended }) => {
  expect(await endBusyProcess(way)).toEqual({ ...ended, err: "" });
});
