/**
 * A hundred thousand messages and requests that make no sense, sent by another process to a node that runs here: whether each is answered,
 * whether anything changes, and whether the node's heap stays as it is.
 * `node --import tsx bench/fuzz.ts [--quick] [--json]`
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { FuzzOrder } from "./fuzz-client.ts";
import { startFuzzNode } from "./fuzz-node.ts";
import { addCounts, type FuzzCount, type FuzzKind, type FuzzTarget, fuzzKinds } from "./fuzz-send.ts";
import { isMain, mean, print, table } from "./support.ts";

export interface HeapSample {
  /** Messages and requests sent before it. */
  readonly sent: number;
  /** After a collection of the garbage. */
  readonly heapBytes: number;
  /** Buffers outside of the heap. */
  readonly outsideBytes: number;
}

export interface FuzzBench {
  readonly counts: Readonly<Record<FuzzKind, FuzzCount>>;
  readonly changes: number;
  readonly stateKept: boolean;
  readonly trouble: readonly string[];
  readonly samples: readonly HeapSample[];
  /** Bytes of heap for every 10,000 sent, with the 95 % interval of a straight line through the samples. */
  readonly slope: { readonly bytes: number; readonly low: number; readonly high: number };
}

/** 97.5 % quantile of Student's t by its expansion around the normal (Cornish–Fisher, four terms); within 1 % from 4 degrees on. */
const studentT = (degrees: number): number => {
  const z = 1.959964;
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92_160,
  ];
  return terms.reduce((sum, term, i) => sum + term / degrees ** (i + 1), z);
};

/** Least squares, and the 95 % interval of the slope. */
export const slopeOf = (points: readonly { readonly x: number; readonly y: number }[]) => {
  const centre = { x: mean(points.map(({ x }) => x)), y: mean(points.map(({ y }) => y)) };
  const spread = points.reduce((sum, { x }) => sum + (x - centre.x) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - centre.x) * (y - centre.y), 0) / spread;
  const rest = points.reduce((sum, { x, y }) => sum + (y - centre.y - slope * (x - centre.x)) ** 2, 0);
  const degrees = points.length - 2;
  const half = studentT(degrees) * Math.sqrt(rest / degrees / spread);
  return { slope, low: slope - half, high: slope + half };
};

const collector = (): (() => Promise<void>) => {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("expected a garbage collector to call");
  return async () => {
    // What finalizers let go of goes with the second one.
    for (let i = 0; i < 2; i += 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
};

interface Asker {
  send(kind: FuzzKind, seed: number, count: number): Promise<FuzzCount>;
  end(): Promise<void>;
}

const startAsker = async (target: FuzzTarget): Promise<Asker> => {
  const child = fork(fileURLToPath(new URL("fuzz-client.ts", import.meta.url)), [], { execArgv: ["--import", "tsx"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const order = <T>(given: FuzzOrder): Promise<T> =>
    new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`expected the asker to answer, it ended with ${code}`));
      child.once("exit", onExit);
      child.once("message", (answer) => {
        child.off("exit", onExit);
        resolve(answer as T);
      });
      child.send(given);
    });
  await order({ target });
  return {
    send: (kind, seed, count) => order({ kind, seed, count }),
    end: async () => {
      child.disconnect();
      await exited;
    },
  };
};

export interface FuzzSizes {
  /** Messages and requests of each kind, over all slices. */
  readonly sizes?: Readonly<Record<FuzzKind, number>>;
  /** The heap is looked at after each. */
  readonly slices?: number;
  /** Slices that only warm the node up: they count as sent, not as samples. */
  readonly warmUp?: number;
  readonly seed?: number;
}

const full: Readonly<Record<FuzzKind, number>> = { nats: 60_000, http: 55_000, anonymous: 15_000, broken: 5_000 };

/** To see that it works: too short for the heap. */
export const quickFuzz: FuzzSizes = { sizes: { nats: 1_000, http: 1_000, anonymous: 300, broken: 100 }, slices: 4, warmUp: 1 };

export const benchFuzz = async ({ sizes = full, slices = 25, warmUp = 8, seed = 1 }: FuzzSizes = {}): Promise<FuzzBench> => {
  const collect = collector();
  const node = await startFuzzNode();
  try {
    const asker = await startAsker(node.target);
    const told = async (): Promise<string> => JSON.stringify(await node.state());
    const before = { changes: node.changes(), state: await told() };
    const counts: Record<FuzzKind, FuzzCount[]> = { nats: [], http: [], anonymous: [], broken: [] };
    const samples: HeapSample[] = [];
    let sent = 0;
    for (let slice = 0; slice < slices + warmUp; slice += 1) {
      for (const kind of fuzzKinds) {
        const count = Math.ceil(sizes[kind] / (slices + warmUp));
        const counted = await asker.send(kind, seed * 1_000 + slice, count);
        counts[kind].push(counted);
        sent += counted.sent;
      }
      await collect();
      const { heapUsed, external } = process.memoryUsage();
      if (slice >= warmUp) samples.push({ sent, heapBytes: heapUsed, outsideBytes: external });
      console.error(`  ${sent} sent, heap ${(heapUsed / 1e6).toFixed(2)} MB`);
    }
    await asker.end();
    const { slope, low, high } = slopeOf(samples.map((sample) => ({ x: sample.sent / 10_000, y: sample.heapBytes })));
    return {
      counts: {
        nats: addCounts(counts.nats),
        http: addCounts(counts.http),
        anonymous: addCounts(counts.anonymous),
        broken: addCounts(counts.broken),
      },
      changes: node.changes() - before.changes,
      stateKept: (await told()) === before.state,
      trouble: [...node.trouble],
      samples,
      slope: { bytes: slope, low, high },
    };
  } finally {
    await node.stop();
  }
};

const about: Readonly<Record<FuzzKind, string>> = {
  nats: "messages over NATS, every role's login on every subject",
  http: "requests over HTTP, every route, with a token of each role and without",
  anonymous: "requests over HTTP without a token",
  broken: "bytes over HTTP that are no request",
};

export const fuzzTable = ({ counts, changes, stateKept, trouble, samples, slope }: FuzzBench): string => {
  const first = samples[0];
  const last = samples.at(-1);
  const kilobytes = (bytes: number): string => (bytes / 1e3).toFixed(1);
  const megabytes = (bytes = Number.NaN): string => (bytes / 1e6).toFixed(2);
  return [
    table(
      ["what makes no sense", "sent", "no answer, or none of a known form", "answers"],
      fuzzKinds.map((kind) => {
        const { sent, failed, outcomes } = counts[kind];
        const common = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
        return [about[kind], String(sent), String(failed), common.map(([name, times]) => `${name}: ${times}`).join(", ")];
      }),
    ),
    "",
    `Changes: ${changes}; the run is told as before: ${stateKept ? "yes" : "no"}; actors that ended, handlers that failed and errors in the log: ${trouble.length}.`,
    `The node's heap after a forced collection, ${samples.length} times: ${megabytes(first?.heapBytes)} MB at first, ${megabytes(last?.heapBytes)} MB at last; ${kilobytes(slope.bytes)} kB for every 10,000 (95 %: ${kilobytes(slope.low)} to ${kilobytes(slope.high)}). Buffers outside of it: ${megabytes(first?.outsideBytes)} MB, then ${megabytes(last?.outsideBytes)} MB.`,
    ...Object.values(counts)
      .flatMap(({ failures }) => failures.slice(0, 3))
      .map((failure) => `- ${failure}`),
  ].join("\n");
};

if (isMain(import.meta.url)) {
  const bench = await benchFuzz(process.argv.includes("--quick") ? quickFuzz : {});
  print(bench, fuzzTable(bench));
}
