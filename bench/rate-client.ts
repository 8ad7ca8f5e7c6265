/**
 * Commands at a fixed rate, half of them over NATS and half over HTTP, half reads and half changes, in a process of its own.
 * Started by `fork`: it gets {target} once, then {perSecond, seconds}, and answers each with what came of it.
 */
import { Agent, request } from "node:http";
import { connectOperator } from "../src/bus/create.ts";
import { delay, silentLog } from "../src/contracts/ports.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { quantile } from "./support.ts";

export interface RateTarget {
  /** Where the operator's login lies. */
  readonly dataDir: string;
  readonly url: string;
  readonly token: string;
}

/** `max`: as many as `atOnceMax` askers get through, one after the other. */
export type Rate = number | "max";

export interface RateCount {
  readonly sent: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** Of this process, over the stretch. */
  readonly cpuMs: number;
}

export type RateOrder = { readonly target: RateTarget } | { readonly rate: Rate; readonly seconds: number };

const atOnceMax = 16;
const clock = createSystemClock();
const entropy = createSystemEntropy();

const open = async ({ dataDir, url, token }: RateTarget) => {
  const bus = await connectOperator(dataDir, { clock, entropy, log: silentLog }, { requestTimeoutMs: 60_000 });
  const agent = new Agent({ keepAlive: true, maxSockets: atOnceMax });
  const { hostname, port } = new URL(url);
  const prefix = entropy.token(6);
  let count = 0;

  const overHttp = (command: object): Promise<string> =>
    new Promise((resolve) => {
      const body = JSON.stringify(command);
      const headers = {
        host: "localhost",
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      };
      const sent = request({ hostname, port, path: "/commands", method: "POST", headers, agent }, (response) => {
        response.resume();
        response.on("end", () => resolve(`http ${response.statusCode}`));
      });
      sent.on("error", (error) => resolve(`http ${error.message}`));
      sent.end(body);
    });

  const ask = async (): Promise<{ readonly status: string; readonly tookMs: number }> => {
    const i = count++;
    const requestId = `${prefix}-${i}`;
    const change = { kind: "limit", requestId, resource: "seconds", max: 1_000_000 + i, reason: "bench" } as const;
    const command = i % 4 < 2 ? ({ kind: "status", requestId } as const) : change;
    const startMs = clock.monotonicMs();
    if (i % 2 === 1) return { status: await overHttp(command), tookMs: clock.monotonicMs() - startMs };
    const outcome = await bus.request("control.kasmina.commands", command);
    const status = outcome.kind === "reply" ? outcome.value.kind : outcome.kind;
    return { status: `nats ${status}`, tookMs: clock.monotonicMs() - startMs };
  };

  return async (rate: Rate, seconds: number): Promise<RateCount> => {
    const statuses: Record<string, number> = {};
    const timesMs: number[] = [];
    const before = process.cpuUsage();
    const startMs = clock.monotonicMs();
    const endMs = startMs + seconds * 1_000;
    const one = async (): Promise<void> => {
      const { status, tookMs } = await ask();
      statuses[status] = (statuses[status] ?? 0) + 1;
      timesMs.push(tookMs);
    };
    if (rate === "max") {
      const lane = async (): Promise<void> => {
        while (clock.monotonicMs() < endMs) await one();
      };
      await Promise.all(Array.from({ length: atOnceMax }, lane));
    } else {
      // Each at its time, whatever became of the one before it.
      const under = new Set<Promise<void>>();
      for (let i = 0; ; i += 1) {
        const dueMs = startMs + (i * 1_000) / rate;
        if (dueMs >= endMs) break;
        const waitMs = dueMs - clock.monotonicMs();
        if (waitMs > 0) await delay(clock, waitMs);
        const asked = one().finally(() => under.delete(asked));
        under.add(asked);
      }
      await Promise.all(under);
    }
    const spent = process.cpuUsage(before);
    return {
      sent: timesMs.length,
      seconds: (clock.monotonicMs() - startMs) / 1_000,
      p50Ms: quantile(timesMs, 0.5),
      p99Ms: quantile(timesMs, 0.99),
      statuses,
      cpuMs: (spent.user + spent.system) / 1_000,
    };
  };
};

let send: Awaited<ReturnType<typeof open>> | undefined;
process.on("message", (order: RateOrder) => {
  if ("target" in order)
    void open(order.target).then((opened) => {
      send = opened;
      process.send?.({ ready: true });
    });
  else void send?.(order.rate, order.seconds).then((count) => process.send?.(count));
});
process.on("disconnect", () => process.exit(0));
