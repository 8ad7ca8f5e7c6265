/**
 * A run that trains while commands come, against the same run left alone, in turns: whole node, real lane, the askers in another process.
 * Askers and servers take processor time too; a control, in which they talk to somebody else, tells how much of the loss is theirs.
 * `node --import tsx bench/command-load.ts [--quick] [--json]`
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EsperConfig } from "../src/contracts/config.ts";
import { delay, silentLog } from "../src/contracts/ports.ts";
import { SystemStatePacket } from "../src/contracts/telemetry.ts";
import { readTokenKey, tokenKeyFile } from "../src/http/token-key.ts";
import { mintToken } from "../src/http/tokens.ts";
import { runNode } from "../src/node/node.ts";
import { createSystemClock, createSystemEntropy } from "../src/ports/system.ts";
import type { Rate, RateCount, RateOrder, RateTarget } from "./rate-client.ts";
import { isMain, median, print, table } from "./support.ts";

const targets = ["node", "control"] as const;
type TargetName = (typeof targets)[number];

interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface LoadRow {
  readonly target: TargetName;
  readonly rate: Rate;
  /** Step time beside the commands over step time without, one for each pair of stretches. */
  readonly ratios: readonly { readonly lane: number; readonly whole: number }[];
  readonly lane: Interval;
  readonly whole: Interval;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the asker, for each second. */
  readonly askerCpuMs: number;
  readonly statuses: Readonly<Record<string, number>>;
}

export interface LoadBench {
  readonly stepMs: number;
  readonly rows: readonly LoadRow[];
}

const clock = createSystemClock();
const entropy = createSystemEntropy();
/** Short windows: what is accepted waits for the end of one, and no more than 64 may. */
const epochSteps = 200;

interface StepTimes {
  /** In the lane: steps and what is measured after them, by the lane's own clock. */
  readonly laneMs: number;
  /** From window to window, the boundary between them with its actors and its database included. */
  readonly wholeMs: number;
}

const createStepMeter = () => {
  let windows: { readonly steps: number; readonly durationMs: number; readonly atMs: number }[] = [];
  return {
    note: (payload: unknown): void => {
      const told = SystemStatePacket.safeParse(payload);
      if (!told.success) return;
      const { steps, durationMs } = told.data.result;
      windows.push({ steps, durationMs, atMs: clock.monotonicMs() });
    },
    begin: (): void => {
      windows = [];
    },
    times: (): StepTimes => {
      // The first one began before the stretch.
      const [first, ...rest] = windows;
      const steps = rest.reduce((sum, each) => sum + each.steps, 0);
      const laneMs = rest.reduce((sum, { durationMs }) => sum + durationMs, 0) / steps;
      return { laneMs, wholeMs: ((rest.at(-1)?.atMs ?? Number.NaN) - (first?.atMs ?? Number.NaN)) / steps };
    },
  };
};

/** The median, and its 95 % interval by the ranks of the binomial distribution. */
const medianInterval = (values: readonly number[]): Interval => {
  const sorted = values.toSorted((a, b) => a - b);
  const n = sorted.length;
  let below = 0.5 ** n;
  let mass = below;
  let rank = 0;
  while (mass + (below * (n - rank)) / (rank + 1) <= 0.025) {
    below = (below * (n - rank)) / (rank + 1);
    mass += below;
    rank += 1;
  }
  return { median: median(sorted), low: sorted[rank] ?? Number.NaN, high: sorted[n - 1 - rank] ?? Number.NaN };
};

const started = (file: string, args: readonly string[] = []): ChildProcess =>
  fork(fileURLToPath(new URL(file, import.meta.url)), [...args], { execArgv: ["--import", "tsx"] });

const nextMessage = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`expected a message of the other process, it ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (told) => {
      child.off("exit", onExit);
      resolve(told as T);
    });
  });

const ended = async (child: ChildProcess): Promise<void> => {
  if (!child.connected) return;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.disconnect();
  await exited;
};

const startAsker = async (target: RateTarget) => {
  const child = started("rate-client.ts");
  const order = <T>(given: RateOrder): Promise<T> => {
    const told = nextMessage<T>(child);
    child.send(given);
    return told;
  };
  await order({ target });
  return { ask: (rate: Rate, seconds: number) => order<RateCount>({ rate, seconds }), end: () => ended(child) };
};

export interface LoadSizes {
  readonly rates?: readonly Rate[];
  readonly pairs?: number;
  /** Of a stretch with commands, and of one without. */
  readonly seconds?: number;
}

export const benchCommandLoad = async ({
  rates = [50, 200, "max"],
  pairs = 8,
  seconds = 3,
}: LoadSizes = {}): Promise<LoadBench> => {
  const folder = await mkdtemp(join(tmpdir(), "esper-bench-load-"));
  const dataDir = join(folder, "node");
  const controlDir = join(folder, "control");
  await mkdir(controlDir, { recursive: true });
  const controller = new AbortController();
  const config = EsperConfig.parse({
    arms: ["no-growth"],
    optimization: { epochs: 10_000, epochSteps },
    control: { commandsPerMinuteMax: { operator: 1_000_000 } },
    services: { dataDir, http: { port: 0 } },
  });
  const meter = createStepMeter();
  let trains: () => void = () => undefined;
  const isTraining = new Promise<void>((resolve) => {
    trains = resolve;
  });
  let url = "";
  const node = runNode({
    config,
    ports: { clock, entropy, log: silentLog },
    view: {
      onMessage: ({ subject, payload }) => {
        if (subject !== "system.events.epoch") return;
        trains();
        meter.note(payload);
      },
      note: () => undefined,
    },
    signal: controller.signal,
    onUp: ({ httpUrl }) => {
      url = httpUrl() ?? "";
    },
  });
  const ends: (() => Promise<void>)[] = [];
  try {
    await Promise.race([isTraining, node]);
    const key = await readTokenKey(tokenKeyFile(dataDir));
    const token = await mintToken(key, { principal: "bench", role: "operator", lifetimeMs: 3_600_000, nowMs: clock.nowMs() });
    const echo = started("echo-server.ts", [controlDir]);
    ends.push(() => ended(echo));
    const control = await nextMessage<{ readonly url: string }>(echo);
    const askers = {
      node: await startAsker({ dataDir, url, token }),
      control: await startAsker({ dataDir: controlDir, url: control.url, token }),
    };
    for (const asker of Object.values(askers)) ends.push(() => asker.end());
    for (const asker of Object.values(askers)) await asker.ask(50, 1);

    const quiet = async (): Promise<StepTimes> => {
      meter.begin();
      await delay(clock, seconds * 1_000);
      return meter.times();
    };
    const busy = async (name: TargetName, rate: Rate) => {
      meter.begin();
      const count = await askers[name].ask(rate, seconds);
      return { times: meter.times(), count };
    };

    const cases = rates.flatMap((rate) =>
      targets.map((target) => ({ rate, target, ratios: [] as { lane: number; whole: number }[], counts: [] as RateCount[] })),
    );
    const quietMs: number[] = [];
    // All cases take turns, so that a slow minute of the machine is everybody's.
    for (let pair = 0; pair < pairs; pair += 1)
      for (const each of cases) {
        const before = pair % 2 === 0 ? await quiet() : undefined;
        const { times, count } = await busy(each.target, each.rate);
        const alone = before ?? (await quiet());
        quietMs.push(alone.laneMs);
        each.counts.push(count);
        const ratio = { lane: times.laneMs / alone.laneMs, whole: times.wholeMs / alone.wholeMs };
        each.ratios.push(ratio);
        console.error(`  ${each.target} ${each.rate}: lane ${ratio.lane.toFixed(3)}, whole ${ratio.whole.toFixed(3)}`);
      }

    const rows = cases.map(({ rate, target, ratios, counts }): LoadRow => {
      const statuses: Record<string, number> = {};
      for (const count of counts)
        for (const [name, times] of Object.entries(count.statuses)) statuses[name] = (statuses[name] ?? 0) + times;
      return {
        target,
        rate,
        ratios,
        lane: medianInterval(ratios.map(({ lane }) => lane)),
        whole: medianInterval(ratios.map(({ whole }) => whole)),
        perSecond: median(counts.map((count) => count.sent / count.seconds)),
        p50Ms: median(counts.map(({ p50Ms }) => p50Ms)),
        p99Ms: median(counts.map(({ p99Ms }) => p99Ms)),
        askerCpuMs: median(counts.map((count) => count.cpuMs / count.seconds)),
        statuses,
      };
    });
    return { stepMs: median(quietMs), rows };
  } finally {
    for (const end of ends.reverse()) await end();
    controller.abort(new Error("the bench is done"));
    await node;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
};

/** To see that it works. */
export const quickLoad: LoadSizes = { rates: [50, "max"], pairs: 2, seconds: 2 };

const shown = ({ median: middle, low, high }: Interval): string =>
  `${middle.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;

export const loadTable = ({ stepMs, rows }: LoadBench): string =>
  [
    table(
      [
        "asked",
        "commands a second",
        "step in the lane, times that without",
        "with the boundaries",
        "p50",
        "p99",
        "the asker's processor",
      ],
      rows.map(({ target, rate, lane, whole, perSecond, p50Ms, p99Ms, askerCpuMs }) => [
        target === "node" ? "the node" : "control: somebody who is not the node",
        rate === "max" ? `as many as go: ${perSecond.toFixed(0)}` : String(rate),
        shown(lane),
        shown(whole),
        `${p50Ms.toFixed(2)} ms`,
        `${p99Ms.toFixed(2)} ms`,
        `${(askerCpuMs / 10).toFixed(1)} %`,
      ]),
    ),
    "",
    `${rows[0]?.ratios.length ?? 0} pairs of stretches each, in turns, median and 95 %; a step alone takes ${stepMs.toFixed(3)} ms. Half of the commands over NATS and half over HTTP, half \`status\` and half \`limit\`, which is accepted and kept. ${availableParallelism()} cores hold the lane, the node, two nats-servers and the asker.`,
  ].join("\n");

if (isMain(import.meta.url)) {
  const bench = await benchCommandLoad(process.argv.includes("--quick") ? quickLoad : {});
  print(bench, loadTable(bench));
}
