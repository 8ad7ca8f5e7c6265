/**
 * The page in a real browser: weight, first paint, a grid of a hundred thousand seeds that is panned, and ten thousand seeds that change
 * fifty thousand times a second. `node --import tsx bench/page.ts`
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import type { SeedStep, ViewChange } from "../src/contracts/view.ts";
import { buildPage, launchBrowser, openPage } from "../test/visualizer/browser.ts";
import { startPageServer } from "../test/visualizer/page-server.ts";
import { scene, sceneRunId } from "../test/visualizer/scene.ts";
import { isMain, print, table } from "./support.ts";

interface Frames {
  readonly perSecond: number;
  readonly p95Ms: number;
}

const measureMs = 4000;

/** Counts frames for a while; `during` runs meanwhile. */
const framesOf = async (page: Page, during: () => Promise<void>): Promise<Frames> => {
  const counted = page.evaluate<number[]>(
    `new Promise((done) => { const gaps = []; const from = performance.now(); let last = from; const next = (now) => { gaps.push(now - last); last = now; if (now - from < ${measureMs}) requestAnimationFrame(next); else done(gaps); }; requestAnimationFrame(next); })`,
  );
  await during();
  const gaps = (await counted).slice(1).toSorted((a, b) => a - b);
  const total = gaps.reduce((sum, gap) => sum + gap, 0);
  return { perSecond: (1000 * gaps.length) / total, p95Ms: gaps[Math.floor(gaps.length * 0.95)] ?? Number.NaN };
};

const weightOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(html|js|css|svg)$/.test(entry.name))
    .reduce((sum, entry) => sum + gzipSync(readFileSync(join(entry.parentPath, entry.name))).length, 0);

const firstPaintMs = async (browser: Browser, folder: string): Promise<number> => {
  const server = await startPageServer({ folder, state: scene() });
  const { page, context } = await openPage(browser, server.url);
  await page.getByText("live", { exact: true }).waitFor();
  const ms = await page.evaluate<number>(`performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN`);
  await context.close();
  await server.close();
  return ms;
};

const panned = async (browser: Browser, folder: string): Promise<Frames> => {
  const server = await startPageServer({ folder, state: scene({ layers: 1001, seedsPerLayer: 100 }) });
  const { page, context } = await openPage(browser, `${server.url}#/seeds`);
  page.setDefaultTimeout(120_000);
  const grid = page.locator("canvas");
  await grid.waitFor();
  const box = await grid.boundingBox();
  if (box === null) throw new Error("expected a grid with a place on the page, found none");
  await page.mouse.move(box.x + 200, box.y + 200);
  await page.mouse.wheel(0, -1500);
  const frames = await framesOf(page, async () => {
    await page.mouse.down();
    for (let step = 0; step < 200; step += 1) await page.mouse.move(box.x + 200 + (step % 60) * 4, box.y + 200 + (step % 45) * 4);
    await page.mouse.up();
  });
  await context.close();
  await server.close();
  return frames;
};

const changing = async (browser: Browser, folder: string): Promise<Frames & { readonly sentPerSecond: number }> => {
  const state = scene({ layers: 101, seedsPerLayer: 100 });
  const server = await startPageServer({ folder, state });
  const { page, context } = await openPage(browser, `${server.url}#/seeds`);
  page.setDefaultTimeout(120_000);
  await page.locator("canvas").waitFor();
  const seeds = state.runs[0]?.seeds ?? [];
  let sent = 0;
  const frames = await framesOf(page, async () => {
    // Twenty batches a second of 2,500 changes each.
    for (let batch = 0; batch < (20 * measureMs) / 1000; batch += 1) {
      const changes = Array.from({ length: 2500 }, (_, index): ViewChange => {
        const seed = seeds[(batch * 2500 + index) % seeds.length]!;
        const step: SeedStep = {
          sequence: seed.sequence + 1 + Math.floor((batch * 2500 + index) / seeds.length),
          from: "DORMANT",
          to: batch % 2 === 0 ? "GERMINATED" : "LOADING",
          epoch: batch,
          atMs: batch,
          reason: "measured",
          gates: [],
        };
        return { k: "step", r: sceneRunId, seedId: seed.seedId, step, trial: null };
      });
      server.push(changes);
      sent += changes.length;
      await page.waitForTimeout(50);
    }
  });
  await context.close();
  await server.close();
  return { ...frames, sentPerSecond: (1000 * sent) / measureMs };
};

export const measurePage = async (): Promise<void> => {
  const built = await buildPage();
  const browser = await launchBrowser();
  try {
    const paint = await firstPaintMs(browser, built.folder);
    const pan = await panned(browser, built.folder);
    const change = await changing(browser, built.folder);
    const frames = ({ perSecond, p95Ms }: Frames): string => `${perSecond.toFixed(1)} frames/s, p95 ${p95Ms.toFixed(1)} ms`;
    const weight = weightOf(built.folder);
    print(
      { weightBytes: weight, firstPaintMs: paint, panning: pan, changing: change },
      table(
        ["page", "measured", "to reach"],
        [
          ["weight, zipped", `${(weight / 1000).toFixed(1)} kB`, "< 200 kB"],
          ["first contentful paint on loopback", `${paint.toFixed(0)} ms`, "< 300 ms"],
          ["100,000 seeds, panning", frames(pan), "≥ 30 frames/s"],
          [`10,000 seeds, ${Math.round(change.sentPerSecond / 1000)} k changes/s`, frames(change), "60 frames/s"],
        ],
      ),
    );
  } finally {
    await browser.close();
    built.remove();
  }
};

if (isMain(import.meta.url)) await measurePage();
