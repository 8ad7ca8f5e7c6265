/** The outbox against kill -9 of the process that sends it, in the moment between storing a message and marking it as sent. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { fieldReport, startTestServer, until } from "../bus/support.ts";
import { temporaryDatabase, temporaryFolder, testKey, testLedger } from "../store/support.ts";

it("R6 whenever it is killed, every message arrives, once and in order", async () => {
  const server = await startTestServer();
  onTestFinished(() => server.stop());
  const file = join(temporaryFolder(), "esper.db");
  const database = temporaryDatabase(file);
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 1_000, outboxMessagesMax: 1_000, boundariesMax: 4 });
  const reasons = Array.from({ length: 60 }, (_, n) => `report ${n}`);
  runs.enqueue(reasons.map((reason) => ({ subject: "innovation.field_reports", payload: fieldReport(reason) })));

  const config = await readFile(join(server.dataDir, "nats", "nats-server.conf"), "utf8");
  const password = /user: "kasmina", password: "([^"]+)"/.exec(config)?.[1] ?? "";
  const script = fileURLToPath(new URL("./send-outbox.ts", import.meta.url));
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const send = async (dieAt: number): Promise<unknown> => {
    const args = ["--import", tsx, script, file, testKey, server.oona.url, password, String(dieAt)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
    const [code, signal] = await once(child, "exit");
    return signal ?? code;
  };
  const left: number[] = [];
  for (const dieAt of [1, 20]) {
    expect(await send(dieAt)).toBe("SIGKILL");
    left.push(runs.pendingOutbox(1_000).length);
  }
  expect(left).toEqual([60, 41]);
  expect(await send(0)).toBe(0);
  expect(runs.pendingOutbox(1)).toEqual([]);

  const nissa = await server.oona.connect("nissa");
  onTestFinished(() => nissa.close());
  const heard: string[] = [];
  await nissa.subscribe("innovation.field_reports", ({ reason }) => void heard.push(reason));
  await until(() => heard.length >= reasons.length, "all arrived");
  expect(heard).toEqual(reasons);
}, 120_000);
