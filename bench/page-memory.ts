/**
 * A page left open: an hour's worth of a busy run's events, and fifty thousand updates a second, both in minutes. The heaps of the page and of the
 * process that serves it are looked at after full collections. The bounded lists fill first; the slope is that of the second half of the samples.
 */
import { heapOf, openAt, startBrowser, startPageServer } from "./page-browser.ts";
import { mean } from "./support.ts";

/** Bytes. */
interface Slope {
  readonly perHour: number;
  /** Its 95 % interval. */
  readonly lower: number;
  readonly upper: number;
  /** The first and the last of the samples that count. */
  readonly first: number;
  readonly last: number;
}

export interface MemoryBench {
  readonly name: string;
  readonly samples: number;
  readonly updates: number;
  readonly seconds: number;
  readonly page: Slope;
  readonly node: Slope;
  /** Of the page's documents, the first and the last that count. */
  readonly nodes: readonly [number, number];
  readonly raw: readonly {
    readonly hours: number;
    readonly pageBytes: number;
    readonly nodeBytes: number;
    readonly nodes: number;
  }[];
}

/** Windows a second of a small host on a quick machine: an hour of it is played. */
const busyWindowsPerSecond = 10;
const updatesPerSecond = 50_000;
/** Two-sided 95 % of Student's t; beyond these degrees of freedom the normal's is near enough. */
const t95 = [
  Number.NaN,
  12.71,
  4.3,
  3.18,
  2.78,
  2.57,
  2.45,
  2.36,
  2.31,
  2.26,
  2.23,
  2.2,
  2.18,
  2.16,
  2.14,
  2.13,
  2.12,
  2.11,
  2.1,
  2.09,
  2.09,
];

/** Least squares. */
export const slopeOf = (points: readonly { readonly hours: number; readonly bytes: number }[]): Slope => {
  const [x, y] = [mean(points.map(({ hours }) => hours)), mean(points.map(({ bytes }) => bytes))];
  const sxx = points.reduce((sum, { hours }) => sum + (hours - x) ** 2, 0);
  const perHour = points.reduce((sum, { hours, bytes }) => sum + (hours - x) * (bytes - y), 0) / sxx;
  const residual = points.reduce((sum, { hours, bytes }) => sum + (bytes - y - perHour * (hours - x)) ** 2, 0);
  const freedom = points.length - 2;
  const error = (t95[freedom] ?? 2.04) * Math.sqrt(residual / Math.max(1, freedom) / sxx);
  const [first, last] = [points[0]?.bytes ?? Number.NaN, points.at(-1)?.bytes ?? Number.NaN];
  return { perHour, lower: perHour - error, upper: perHour + error, first, last };
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface MemoryOptions {
  readonly samples?: number;
  readonly seconds?: number;
}

const benchOne = async (
  folder: string,
  name: string,
  kind: "busy" | "load",
  { samples = 40, seconds = 240 }: MemoryOptions,
): Promise<MemoryBench> => {
  const server = await startPageServer("hub", folder);
  const { browser, close } = await startBrowser();
  try {
    const windowsPerSecond = (3_600 * busyWindowsPerSecond) / seconds;
    if (kind === "load") await server.ask({ k: "plant", layers: 100, perLayer: 100 });
    else await server.ask({ k: "busy", windowsPerSecond });
    const opened = await openAt(browser, `${server.url}/${kind === "busy" ? "#/" : "#/seeds"}`);
    await opened.page.locator("canvas").first().waitFor();
    if (kind === "load") await server.ask({ k: "load", perSecond: updatesPerSecond });
    const startMs = performance.now();
    const raw: { hours: number; pageBytes: number; nodeBytes: number; nodes: number }[] = [];
    let updates = 0;
    for (let sample = 1; sample <= samples; sample += 1) {
      await wait(Math.max(0, startMs + (1000 * seconds * sample) / samples - performance.now()));
      const { heapBytes: pageBytes, nodes } = await heapOf(opened);
      const { heapBytes: nodeBytes, told } = await server.ask({ k: "heap" });
      updates = told;
      const hours = kind === "busy" ? told / (3_600 * busyWindowsPerSecond) : (performance.now() - startMs) / 3_600_000;
      raw.push({ hours, pageBytes, nodeBytes, nodes });
    }
    await opened.context.close();
    const counted = raw.slice(Math.floor(samples / 2));
    const slope = (bytesOf: (each: (typeof raw)[number]) => number): Slope =>
      slopeOf(counted.map((each) => ({ hours: each.hours, bytes: bytesOf(each) })));
    return {
      name,
      samples: counted.length,
      updates,
      seconds: (performance.now() - startMs) / 1000,
      page: slope(({ pageBytes }) => pageBytes),
      node: slope(({ nodeBytes }) => nodeBytes),
      nodes: [counted[0]?.nodes ?? Number.NaN, counted.at(-1)?.nodes ?? Number.NaN],
      raw,
    };
  } finally {
    await close();
    await server.close();
  }
};

export const benchMemory = async (folder: string, options: MemoryOptions = {}): Promise<readonly MemoryBench[]> => [
  await benchOne(folder, `an hour of a run with ${busyWindowsPerSecond} windows a second`, "busy", options),
  await benchOne(folder, `10,000 seeds, ${updatesPerSecond / 1000} k updates/s`, "load", options),
];
