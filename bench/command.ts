/**
 * A command while training runs: request on the bus to receipt, written to disk in between, from a second connection.
 * `node --import tsx bench/command.ts [--json]`
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectOperator } from "../src/bus/create.ts";
import { EsperConfig } from "../src/contracts/config.ts";
import { delay, silentLog } from "../src/contracts/ports.ts";
import { runNode } from "../src/node/node.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import { isMain, print, quantile, table } from "./support.ts";

export interface CommandBench {
  readonly commands: number;
  /** A command that is committed to the database and answered. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** A query. */
  readonly statusP50Ms: number;
  readonly statusP99Ms: number;
}

export const benchCommand = async ({ commands = 1_000 } = {}): Promise<CommandBench> => {
  const dataDir = await mkdtemp(join(tmpdir(), "esper-bench-command-"));
  const clock = createSystemClock();
  const entropy = createSystemEntropy();
  const controller = new AbortController();
  const control = { commandsPerMinuteMax: { operator: 1_000_000 } };
  const config = EsperConfig.parse({ arms: ["grown"], optimization: { epochs: 1_000 }, control, services: { dataDir } });
  let running: () => void = () => undefined;
  const trains = new Promise<void>((resolve) => {
    running = resolve;
  });
  const view = {
    onMessage: ({ subject }: { subject: string }) => {
      if (subject === "system.events.epoch") running();
    },
    note: () => undefined,
  };
  const node = runNode({ config, ports: { clock, entropy, log: silentLog }, view, signal: controller.signal });
  try {
    await Promise.race([trains, node]);
    const bus = await connectOperator(dataDir, { clock, entropy, log: silentLog });
    const ask = async (kind: "resume" | "status", requestId: string): Promise<number> => {
      const startMs = clock.monotonicMs();
      const outcome = await bus.request("control.kasmina.commands", { kind, requestId });
      if (outcome.kind !== "reply") throw new Error(`expected a receipt, got ${outcome.kind}: ${outcome.reason}`);
      return clock.monotonicMs() - startMs;
    };
    const times = { resume: [] as number[], status: [] as number[] };
    for (let i = 0; i < commands; i += 1) {
      for (const kind of ["resume", "status"] as const) {
        const tookMs = await ask(kind, `bench-${kind}-${i}`);
        if (i >= commands / 10) times[kind].push(tookMs);
      }
      await delay(clock, 3);
    }
    await bus.close();
    return {
      commands: times.resume.length,
      p50Ms: quantile(times.resume, 0.5),
      p99Ms: quantile(times.resume, 0.99),
      statusP50Ms: quantile(times.status, 0.5),
      statusP99Ms: quantile(times.status, 0.99),
    };
  } finally {
    controller.abort(new Error("the bench is done"));
    await node;
    await rm(dataDir, { recursive: true, force: true });
  }
};

export const commandTable = (bench: CommandBench): string =>
  table(
    [`while training runs (${bench.commands} each)`, "p50", "p99"],
    [
      ["command → receipt, committed", `${bench.p50Ms.toFixed(2)} ms`, `${bench.p99Ms.toFixed(2)} ms`],
      ["status", `${bench.statusP50Ms.toFixed(2)} ms`, `${bench.statusP99Ms.toFixed(2)} ms`],
    ],
  );

if (isMain(import.meta.url)) {
  const bench = await benchCommand();
  print(bench, commandTable(bench));
}
