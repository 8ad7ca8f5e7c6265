/**
 * Commands one after the other on each of many connections, in a process of its own, so that the asker does not slow who answers.
 * Prints {seconds, timesMs: [p50, p99], statuses}. `tsx bench/load-client.ts nats|http TARGET TOKEN read|change COUNT CONCURRENCY PREFIX`
 */
import { Agent, request } from "node:http";
import { connectOperator } from "../src/bus/create.ts";
import { silentLog } from "../src/contracts/ports.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { quantile } from "./support.ts";

const [transport = "", target = "", token = "", kind = "read", counts = "1", concurrencies = "1", prefix = "b"] =
  process.argv.slice(2);
const count = Number(counts);
const concurrency = Number(concurrencies);
const clock = createSystemClock();

/** The outcome in a word. */
type Ask = (requestId: string) => Promise<string>;

const commandOf = (requestId: string) =>
  kind === "read" ? ({ kind: "status", requestId } as const) : ({ kind: "cull", requestId, seedId: "seed:h2" } as const);

const overNats = async (): Promise<{ ask: Ask; end: () => Promise<void> }> => {
  const bus = await connectOperator(
    target,
    { clock, entropy: createSystemEntropy(), log: silentLog },
    { requestTimeoutMs: 60_000 },
  );
  return {
    ask: async (requestId) => {
      const outcome = await bus.request("control.kasmina.commands", commandOf(requestId));
      return outcome.kind === "reply" ? outcome.value.kind : outcome.kind;
    },
    end: () => bus.close(),
  };
};

const overHttp = async (): Promise<{ ask: Ask; end: () => Promise<void> }> => {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const { hostname, port } = new URL(target);
  const authorization = `Bearer ${token}`;
  const ask: Ask = (requestId) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify(commandOf(requestId));
      const headers = { authorization, "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const sent = request({ hostname, port, path: "/commands", method: "POST", headers, agent }, (response) => {
        response.resume();
        response.on("end", () => resolve(String(response.statusCode)));
      });
      sent.on("error", reject);
      sent.end(body);
    });
  return { ask, end: async () => agent.destroy() };
};

const { ask, end } = await (transport === "nats" ? overNats() : overHttp());
const statuses: Record<string, number> = {};
const timesMs: number[] = [];
let next = 0;
const work = async (): Promise<void> => {
  for (;;) {
    const i = next++;
    if (i >= count) return;
    const startMs = clock.monotonicMs();
    const status = await ask(`${prefix}-${i}`);
    timesMs.push(clock.monotonicMs() - startMs);
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
};
const startMs = clock.monotonicMs();
await Promise.all(Array.from({ length: concurrency }, work));
const seconds = (clock.monotonicMs() - startMs) / 1000;
await end();
console.log(JSON.stringify({ seconds, p50Ms: quantile(timesMs, 0.5), p99Ms: quantile(timesMs, 0.99), statuses }));
