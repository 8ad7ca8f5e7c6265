/**
 * Does a page slow training? A real node trains a host; in turn nobody looks, a page looks on another process, and the same page looks on the
 * node. All share the machine's cores, so the second says what the browser alone takes from the training lane, and the third against the second
 * what the node itself gives for its page. The browser runs at the lowest priority: it is no part of the node.
 */
import type { Browser } from "playwright-core";
import { type Frames, framesOf, gridOf, openAt, type PageServer, startBrowser, startPageServer } from "./page-browser.ts";
import { median } from "./support.ts";

export interface PairedRatio {
  /** Median over the rounds. */
  readonly ratio: number;
  /** Its 95 % interval, by order. */
  readonly lower: number;
  readonly upper: number;
  readonly pairs: number;
}

export interface StepBench {
  readonly quietMs: number;
  /** Page on the node against no page. */
  readonly open: PairedRatio;
  /** Page on another process against no page. */
  readonly elsewhere: PairedRatio;
  /** Page on the node against page on another process. */
  readonly own: PairedRatio;
  /** Of the page on the node. */
  readonly framesPerSecond: number;
}

const shape = { layers: 100, perLayer: 100 };
const updatesPerSecond = 50_000;
const settleMs = 2_000;
const arms = ["quiet", "elsewhere", "open"] as const;
type Arm = (typeof arms)[number];

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const ratioOf = (ratios: readonly number[]): PairedRatio => {
  const sorted = ratios.toSorted((a, b) => a - b);
  const [middle, reach] = [sorted.length / 2, 0.98 * Math.sqrt(sorted.length)];
  const at = (place: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(place)))] ?? Number.NaN;
  return { ratio: median(sorted), lower: at(middle - reach - 1), upper: at(middle + reach), pairs: sorted.length };
};

const stretch = async (
  arm: Arm,
  node: PageServer,
  other: PageServer,
  browser: Browser,
  stretchMs: number,
): Promise<{ readonly stepMs: number; readonly frames: Frames | undefined }> => {
  const server = arm === "open" ? node : other;
  const opened = arm === "quiet" ? undefined : await openAt(browser, `${server.url}/#/seeds`);
  if (opened !== undefined) {
    await gridOf(opened.page);
    await server.ask({ k: "load", perSecond: updatesPerSecond });
  }
  await wait(settleMs);
  await node.ask({ k: "windows" });
  const frames = opened === undefined ? undefined : await framesOf(opened, stretchMs, async () => undefined);
  if (opened === undefined) await wait(stretchMs);
  const { stepMs } = await node.ask({ k: "windows" });
  await server.ask({ k: "load", perSecond: 0 });
  await opened?.context.close();
  if (stepMs.length < 3) throw new Error(`expected windows while ${arm}, got ${stepMs.length}`);
  return { stepMs: median(stepMs), frames };
};

export const benchStep = async (folder: string, { rounds = 6, stretchMs = 6_000 } = {}): Promise<StepBench> => {
  const node = await startPageServer("node", folder);
  const other = await startPageServer("hub", folder);
  const { browser, close } = await startBrowser({ nice: true });
  try {
    await node.ask({ k: "plant", ...shape });
    await other.ask({ k: "plant", ...shape });
    const times: Record<Arm, number[]> = { quiet: [], elsewhere: [], open: [] };
    const frames: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      // Each place in a round is each arm's in turn.
      for (let place = 0; place < arms.length; place += 1) {
        const arm = arms[(round + place) % arms.length]!;
        const told = await stretch(arm, node, other, browser, stretchMs);
        times[arm].push(told.stepMs);
        if (arm === "open" && told.frames !== undefined) frames.push(told.frames.perSecond);
      }
      const line = arms.map((arm) => `${arm} ${times[arm].at(-1)?.toFixed(3)}`).join(", ");
      console.error(`    step ${round + 1}/${rounds}: ${line} ms`);
    }
    const against = (arm: Arm, base: Arm): PairedRatio => ratioOf(times[arm].map((ms, round) => ms / times[base][round]!));
    return {
      quietMs: median(times.quiet),
      open: against("open", "quiet"),
      elsewhere: against("elsewhere", "quiet"),
      own: against("open", "elsewhere"),
      framesPerSecond: median(frames),
    };
  } finally {
    await close();
    await other.close();
    await node.close();
  }
};
