/**
 * What a rate client asks in place of a node: a nats-server and a process that gives the same answer to all, over NATS and HTTP, and does
 * nothing else. What training loses beside it, it loses to the asker and the servers, not to the node.
 * Started by `fork` with a folder as its argument; tells {url} once it is up.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { defaultServerFolders } from "../src/bus/create.ts";
import { findNatsServer } from "../src/bus/find-server.ts";
import { openConnection } from "../src/bus/nats-client.ts";
import { writeLoginFiles } from "../src/bus/operator-file.ts";
import { systemProcesses } from "../src/bus/server-process.ts";
import { schemaVersion } from "../src/contracts/envelope.ts";
import { delay } from "../src/contracts/ports.ts";
import { createSystemClock } from "../src/ports/system.ts";

const [dataDir = ""] = process.argv.slice(2);
const clock = createSystemClock();
const subject = "control.kasmina.commands";

const freePort = async (): Promise<number> => {
  const probe = createTcpServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
};

const { path } = await findNatsServer({ binary: undefined, folders: defaultServerFolders(), processes: systemProcesses });
const port = await freePort();
const server = spawn(path, ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", dataDir], { stdio: "ignore" });
process.on("exit", () => server.kill("SIGKILL"));
process.on("disconnect", () => process.exit(0));

const url = `nats://127.0.0.1:${port}`;
const connect = () =>
  openConnection({
    url,
    name: "echo",
    inboxPrefix: "_INBOX.echo",
    connectMsMax: 1_000,
    reconnectAttemptsMax: 1,
    reconnectWaitMs: 50,
  });
const open = async (attempts: number): ReturnType<typeof connect> => {
  try {
    return await connect();
  } catch (error) {
    if (attempts === 0) throw error;
    await delay(clock, 50);
    return open(attempts - 1);
  }
};
const connection = await open(100);
const receipt = { kind: "done", requestId: "echo", detail: "nothing was done" };
const fields = { id: "e-1", subject, sender: "gate", sentAtMs: 0, traceId: "0".repeat(32), schemaVersion, payload: receipt };
const answer = new TextEncoder().encode(JSON.stringify(fields));
connection.subscribe(subject, { callback: (_error, message) => void message.respond(answer) });
await connection.flush();
await writeLoginFiles({ url, dataDir, pid: process.pid, startedAtMs: clock.nowMs() }, "operator");

const text = JSON.stringify(receipt);
const http = createServer((asked, response) => {
  asked.resume();
  asked.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(text));
}).listen(0, "127.0.0.1");
await once(http, "listening");
process.send?.({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` });
