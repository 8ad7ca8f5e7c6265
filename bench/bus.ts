/** Oona under load on one machine: the round trip of a command, and the rate of durable messages. `tsx bench/bus.ts [--json]` */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { startOona } from "../src/bus/create.ts";
import type { Log } from "../src/contracts/ports.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";

export interface BusBench {
  readonly requests: number;
  /** Command to receipt over nats-server, one at a time. */
  readonly roundTripMsP50: number;
  readonly roundTripMsP99: number;
  readonly publishes: number;
  /** Stored messages a second: one after the other, and with `inFlight` at once. */
  readonly durablePerSecond: number;
  readonly durablePerSecondInFlight: number;
  readonly inFlight: number;
  /** Durable messages a second through a consumer that acknowledges each. */
  readonly consumedPerSecond: number;
}

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => quiet };

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;

export const benchBus = async ({ requests = 2_000, publishes = 2_000, inFlight = 32 } = {}): Promise<BusBench> => {
  const clock = createSystemClock();
  const dataDir = await mkdtemp(join(tmpdir(), "esper-bench-bus-"));
  const config = {
    mode: "embedded",
    host: "127.0.0.1",
    port: -1,
    memoryBytesMax: 16_777_216,
    storageBytesMax: 268_435_456,
  } as const;
  const oona = await startOona({ config, dataDir, payloadBytesMax: 65_536, clock, entropy: createSystemEntropy(), log: quiet });
  try {
    const [gate, operator, supervisor, nissa] = [
      await oona.connect("gate"),
      await oona.connect("operator"),
      await oona.connect("supervisor"),
      await oona.connect("nissa"),
    ];
    await gate.respond(
      "control.kasmina.commands",
      async ({ requestId }) => ({ kind: "refused", requestId, code: "no_run", reason: "bench" }) as const,
    );
    const ask = async (): Promise<number> => {
      const startMs = clock.monotonicMs();
      const outcome = await operator.request("control.kasmina.commands", { kind: "status", requestId: "bench" });
      if (outcome.kind !== "reply") throw new Error(`expected a reply, got ${outcome.kind}: ${outcome.reason}`);
      return clock.monotonicMs() - startMs;
    };
    for (let i = 0; i < requests / 10; i++) await ask();
    const times: number[] = [];
    for (let i = 0; i < requests; i++) times.push(await ask());
    times.sort((a, b) => a - b);

    const publish = async (): Promise<void> => {
      const outcome = await supervisor.publish("system.events.supervision", {
        kind: "started",
        child: "bench",
        detail: "x".repeat(200),
      });
      if (outcome.kind !== "sent") throw new Error(`expected a stored message: ${outcome.reason}`);
    };
    const rate = async (work: () => Promise<unknown>): Promise<number> => {
      const startMs = clock.monotonicMs();
      await work();
      return (1_000 * publishes) / (clock.monotonicMs() - startMs);
    };
    const durablePerSecond = await rate(async () => {
      for (let i = 0; i < publishes; i++) await publish();
    });
    const durablePerSecondInFlight = await rate(() => {
      const chain = async (): Promise<void> => {
        for (let i = 0; i < publishes / inFlight; i++) await publish();
      };
      return Promise.all(Array.from({ length: inFlight }, chain));
    });
    const consumedPerSecond = await rate(
      () =>
        new Promise<void>((resolve, reject) => {
          let count = 0;
          const handler = (): void => {
            if (++count === publishes) resolve();
          };
          nissa.subscribe("system.events.supervision", handler).catch(reject);
        }),
    );
    await Promise.all([gate, operator, supervisor, nissa].map((bus) => bus.close()));
    return {
      requests,
      roundTripMsP50: quantile(times, 0.5),
      roundTripMsP99: quantile(times, 0.99),
      publishes,
      durablePerSecond,
      durablePerSecondInFlight,
      inFlight,
      consumedPerSecond,
    };
  } finally {
    await oona.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
};

export const busTable = (bench: BusBench): string =>
  [
    "| bus | measured |",
    "|---|---|",
    `| command → receipt, p50 of ${bench.requests} | ${bench.roundTripMsP50.toFixed(2)} ms |`,
    `| command → receipt, p99 | ${bench.roundTripMsP99.toFixed(2)} ms |`,
    `| durable messages stored, one at a time | ${Math.round(bench.durablePerSecond)}/s |`,
    `| durable messages stored, ${bench.inFlight} at once | ${Math.round(bench.durablePerSecondInFlight)}/s |`,
    `| durable messages handled and acknowledged | ${Math.round(bench.consumedPerSecond)}/s |`,
  ].join("\n");

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const bench = await benchBus();
  process.stdout.write(`${process.argv.includes("--json") ? JSON.stringify(bench) : busTable(bench)}\n`);
}
