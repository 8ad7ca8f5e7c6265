/**
 * From a change in a node that trains to the frame that shows it: one seed changes its state among all others, and the page's canvas is looked at
 * in every frame. A colour that is found is timed in the frame after, when the one that drew it is done. Both processes' clocks are mapped to this
 * one's.
 */
import type { Page } from "playwright-core";
import { columnsFor, wholeSight } from "../src/visualizer/views/seeds/grid-geometry.ts";
import { type Frames, framesOf, gridOf, mapClock, openAt, startBrowser, startPageServer } from "./page-browser.ts";
import { quantile } from "./support.ts";

export interface PixelBench {
  readonly marks: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly clockErrorMs: number;
  readonly frames: Frames;
}

const shape = { layers: 100, perLayer: 100 };
const updatesPerSecond = 50_000;
const seenMsMax = 20_000;
const pollMs = 40;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Notes the time after each change of colour of the first seed. */
const watchFirst = async (page: Page): Promise<void> => {
  const box = await page.evaluate<{ width: number; height: number }>(
    `(({ clientWidth: width, clientHeight: height }) => ({ width, height }))(document.querySelector("canvas").parentElement)`,
  );
  const count = shape.layers * shape.perLayer;
  const { cellPx } = wholeSight(count, columnsFor(count, box), box);
  const at = Math.floor(cellPx / 2);
  await page.evaluate(`{
    window.seen = [];
    const context = document.querySelector("canvas").getContext("2d");
    let last;
    const look = () => {
      const [red, green, blue] = context.getImageData(${at}, ${at}, 1, 1).data;
      const color = red * 65536 + green * 256 + blue;
      if (last !== undefined && color !== last) requestAnimationFrame(() => window.seen.push(performance.now()));
      last = color;
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }`);
};

export const benchPixel = async (folder: string, { marks = 300 } = {}): Promise<PixelBench> => {
  const node = await startPageServer("node", folder);
  const { browser, close } = await startBrowser();
  try {
    await node.ask({ k: "plant", ...shape });
    const opened = await openAt(browser, `${node.url}/#/seeds`);
    const { page } = opened;
    await gridOf(page);
    await watchFirst(page);
    const nodeClock = await mapClock(async () => (await node.ask({ k: "clock" })).nowMs);
    const pageClock = await mapClock(() => page.evaluate<number>("performance.now()"));
    await node.ask({ k: "load", perSecond: updatesPerSecond });
    await wait(2_000);
    const tookMs: number[] = [];
    for (let mark = 0; mark < marks; mark += 1) {
      const { nowMs } = await node.ask({ k: "mark" });
      const untilMs = performance.now() + seenMsMax;
      let seenMs: number | undefined;
      while (seenMs === undefined) {
        await wait(pollMs);
        seenMs = (await page.evaluate<number | null>(`window.seen[${mark}] ?? null`)) ?? undefined;
        if (performance.now() > untilMs) throw new Error(`expected change ${mark} on the page within ${seenMsMax} ms`);
      }
      tookMs.push(seenMs + pageClock.offsetMs - (nowMs + nodeClock.offsetMs));
      // Not in step with the batches.
      await wait((mark * 37) % 113);
    }
    const frames = await framesOf(opened, 2_000, async () => undefined);
    await opened.context.close();
    return {
      marks,
      p50Ms: quantile(tookMs, 0.5),
      p99Ms: quantile(tookMs, 0.99),
      maxMs: Math.max(...tookMs),
      clockErrorMs: nodeClock.errorMs + pageClock.errorMs,
      frames,
    };
  } finally {
    await close();
    await node.close();
  }
};
