/**
 * The page in a real browser, drawn in software by headless Chromium on this machine's own cores, beside whatever serves it.
 * `node --import tsx bench/page.ts [--only weight,paint,opening,panning,changing,step,pixel,memory] [--quick] [--json]`
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { buildPage } from "../test/visualizer/browser.ts";
import type { Frames } from "./page-browser.ts";
import { framesOf, gridOf, openAt, type PageServer, startBrowser, startPageServer } from "./page-browser.ts";
import { benchMemory, type MemoryBench } from "./page-memory.ts";
import { benchPixel, type PixelBench } from "./page-pixel.ts";
import { benchStep, type StepBench } from "./page-step.ts";
import { isMain, print, quantile, table } from "./support.ts";

export const pageStages = ["weight", "paint", "opening", "panning", "changing", "step", "pixel", "memory"] as const;
export type PageStage = (typeof pageStages)[number];

/** From asking for the page to all seeds drawn. */
interface Opening {
  readonly seeds: number;
  readonly openMs: number;
  /** Of it, the answer to the stream: from its first to its last byte. */
  readonly snapshotBytes: number;
}

export interface PageBench {
  readonly weightBytes?: number;
  readonly paintMs?: readonly number[];
  readonly opening?: readonly Opening[];
  readonly panning?: Frames;
  readonly changing?: Frames & { readonly toldPerSecond: number };
  readonly step?: StepBench;
  readonly pixel?: PixelBench;
  readonly memory?: readonly MemoryBench[];
}

/** Longest that a stage may take. */
const stageMsMax = 900_000;
const manySeeds = { layers: 1000, perLayer: 100 };
const someSeeds = { layers: 100, perLayer: 100 };

const weightOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(html|js|css|svg)$/.test(entry.name))
    .reduce((sum, entry) => sum + gzipSync(readFileSync(join(entry.parentPath, entry.name))).length, 0);

const withHub = async <T>(folder: string, work: (server: PageServer) => Promise<T>): Promise<T> => {
  const server = await startPageServer("hub", folder);
  try {
    return await work(server);
  } finally {
    await server.close();
  }
};

const withBrowser = async <T>(work: (browser: Awaited<ReturnType<typeof startBrowser>>["browser"]) => Promise<T>): Promise<T> => {
  const { browser, close } = await startBrowser();
  try {
    return await work(browser);
  } finally {
    await close();
  }
};

/** Each in a context of its own, so that nothing is in a cache; the first warms the server and is left out. */
const benchPaint = (folder: string, times: number): Promise<number[]> =>
  withHub(folder, async (server) => {
    await server.ask({ k: "plant", layers: 6, perLayer: 2 });
    return withBrowser(async (browser) => {
      const tookMs: number[] = [];
      for (let time = 0; time <= times; time += 1) {
        const { page, context } = await openAt(browser, server.url);
        await page.getByText("live", { exact: true }).waitFor();
        tookMs.push(await page.evaluate<number>(`performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN`));
        await context.close();
      }
      return tookMs.slice(1);
    });
  });

/** A hundred thousand seeds, a part of them with a history, from asking for the page to the grid that shows them. */
const benchOpening = (folder: string, times: number): Promise<Opening[]> =>
  withHub(folder, async (server) => {
    const seeds = manySeeds.layers * manySeeds.perLayer;
    await server.ask({ k: "plant", ...manySeeds });
    const openings: Opening[] = [];
    for (const updates of [0, 3 * seeds]) {
      await server.ask({ k: "live", updates });
      await withBrowser(async (browser) => {
        for (let time = 0; time < times; time += 1) {
          const startMs = performance.now();
          const { page, context, session } = await openAt(browser, `${server.url}/#/seeds`);
          await gridOf(page);
          await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
          const openMs = performance.now() - startMs;
          await session.detach();
          await context.close();
          const answer = await fetch(`${server.url}/view/snapshot`);
          openings.push({ seeds, openMs, snapshotBytes: (await answer.arrayBuffer()).byteLength });
        }
      });
    }
    return openings;
  });

const benchPanning = (folder: string, measureMs: number): Promise<Frames> =>
  withHub(folder, async (server) => {
    await server.ask({ k: "plant", ...manySeeds });
    await server.ask({ k: "live", updates: 100_000 });
    return withBrowser(async (browser) => {
      const opened = await openAt(browser, `${server.url}/#/seeds`);
      const { page } = opened;
      const box = await gridOf(page);
      await page.mouse.move(box.x + 200, box.y + 200);
      await page.mouse.wheel(0, -1500);
      const frames = await framesOf(opened, measureMs, async () => {
        const endMs = performance.now() + measureMs;
        await page.mouse.down();
        for (let step = 0; performance.now() < endMs; step += 1)
          await page.mouse.move(box.x + 200 + (step % 60) * 4, box.y + 200 + (step % 45) * 4);
        await page.mouse.up();
      });
      await opened.context.close();
      return frames;
    });
  });

const changesPerSecond = 50_000;

const benchChanging = (folder: string, measureMs: number): Promise<NonNullable<PageBench["changing"]>> =>
  withHub(folder, async (server) => {
    await server.ask({ k: "plant", ...someSeeds });
    return withBrowser(async (browser) => {
      const opened = await openAt(browser, `${server.url}/#/seeds`);
      await gridOf(opened.page);
      await server.ask({ k: "load", perSecond: changesPerSecond });
      const [startMs, { told: before }] = [performance.now(), await server.ask({ k: "clock" })];
      const frames = await framesOf(opened, measureMs, async () => undefined);
      const { told } = await server.ask({ k: "clock" });
      const toldPerSecond = (1000 * (told - before)) / (performance.now() - startMs);
      await opened.context.close();
      return { ...frames, toldPerSecond };
    });
  });

/** Ends a stage that takes too long, with its name. */
const bounded = async <T>(stage: PageStage, work: Promise<T>): Promise<T> => {
  let late: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`expected ${stage} to end within ${stageMsMax / 1000} s`)), stageMsMax);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(late);
  }
};

export interface PageOptions {
  readonly only?: readonly PageStage[];
  readonly quick?: boolean;
}

export const benchPage = async ({ only = pageStages, quick = false }: PageOptions = {}): Promise<PageBench> => {
  const { folder, remove } = await buildPage();
  const run = async <T>(stage: PageStage, work: () => Promise<T> | T): Promise<T | undefined> => {
    if (!only.includes(stage)) return undefined;
    const startMs = performance.now();
    const result = await bounded(stage, Promise.resolve(work()));
    console.error(`  ${stage}: ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
    return result;
  };
  const measureMs = quick ? 2_000 : 10_000;
  try {
    const results = {
      weightBytes: await run("weight", () => weightOf(folder)),
      paintMs: await run("paint", () => benchPaint(folder, quick ? 2 : 9)),
      opening: await run("opening", () => benchOpening(folder, quick ? 1 : 5)),
      panning: await run("panning", () => benchPanning(folder, measureMs)),
      changing: await run("changing", () => benchChanging(folder, measureMs)),
      step: await run("step", () => benchStep(folder, quick ? { rounds: 1, stretchMs: 6_000 } : {})),
      pixel: await run("pixel", () => benchPixel(folder, quick ? { marks: 20 } : {})),
      memory: await run("memory", () => benchMemory(folder, quick ? { samples: 6, seconds: 12 } : {})),
    };
    return Object.fromEntries(Object.entries(results).filter(([, value]) => value !== undefined));
  } finally {
    remove();
  }
};

const frameRow = (name: string, frames: Frames | undefined, target: string): readonly (readonly string[])[] =>
  frames === undefined
    ? []
    : [
        [name, `${frames.perSecond.toFixed(1)} frames/s, p95 ${frames.p95Ms.toFixed(1)} ms`, target],
        [
          `${name}: the page's main thread`,
          `${frames.mainThreadMsPerFrame.toFixed(1)} ms a frame (script ${frames.scriptMsPerFrame.toFixed(1)}), busy ${(100 * frames.mainThreadShare).toFixed(0)} %`,
          "16.7 ms",
        ],
      ];

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
const percent = (ratio: number): string => `${(100 * (ratio - 1)).toFixed(2)} %`;

export const pageTable = ({ weightBytes, paintMs, opening, panning, changing, step, pixel, memory }: PageBench): string => {
  const rows: (readonly string[])[] = [];
  if (weightBytes !== undefined) rows.push(["weight, zipped", `${(weightBytes / 1000).toFixed(1)} kB`, "< 200 kB"]);
  if (paintMs !== undefined)
    rows.push([
      `first contentful paint on loopback, cold, median of ${paintMs.length}`,
      `${quantile(paintMs, 0.5).toFixed(0)} ms (${Math.min(...paintMs).toFixed(0)} to ${Math.max(...paintMs).toFixed(0)})`,
      "< 300 ms",
    ]);
  for (const bytes of new Set(opening?.map(({ snapshotBytes }) => snapshotBytes) ?? [])) {
    const same = opening?.filter(({ snapshotBytes }) => snapshotBytes === bytes) ?? [];
    const openMs = same.map((each) => each.openMs);
    rows.push([
      `100,000 seeds, from asking for the page to all drawn, state of ${megabytes(bytes)}`,
      `${quantile(openMs, 0.5).toFixed(0)} ms (${Math.min(...openMs).toFixed(0)} to ${Math.max(...openMs).toFixed(0)})`,
      "< 1500 ms",
    ]);
  }
  rows.push(...frameRow("100,000 seeds, panning", panning, "≥ 30 frames/s"));
  if (changing !== undefined)
    rows.push(...frameRow(`10,000 seeds, ${Math.round(changing.toldPerSecond / 1000)} k updates/s`, changing, "60 frames/s"));
  if (step !== undefined)
    rows.push(
      [
        `training step, page of 10,000 seeds and ${changesPerSecond / 1000} k updates/s open against none`,
        `${percent(step.open.ratio)} (${percent(step.open.lower)} to ${percent(step.open.upper)}; ${step.open.pairs} pairs)`,
        "within 2 %",
      ],
      [
        "the same page open on another process against none: what two cores cost",
        `${percent(step.elsewhere.ratio)} (${percent(step.elsewhere.lower)} to ${percent(step.elsewhere.upper)})`,
        "–",
      ],
      [
        "open on the node against open on another process: the node's own part",
        `${percent(step.own.ratio)} (${percent(step.own.lower)} to ${percent(step.own.upper)})`,
        "within 2 %",
      ],
    );
  if (pixel !== undefined)
    rows.push([
      `change in a training node → frame with its pixel, ${pixel.marks} changes among ${changesPerSecond / 1000} k/s`,
      `p50 ${pixel.p50Ms.toFixed(0)} ms, p99 ${pixel.p99Ms.toFixed(0)} ms (clocks within ${pixel.clockErrorMs.toFixed(2)} ms)`,
      "p99 < 150 ms",
    ]);
  for (const { name, page, node, samples } of memory ?? []) {
    const slope = ({ perHour, lower, upper, first, last }: MemoryBench["page"]): string =>
      `${megabytes(perHour)} an hour (${megabytes(lower)} to ${megabytes(upper)}; ${samples} samples, ${megabytes(first)} → ${megabytes(last)})`;
    rows.push([`memory, ${name}: page`, slope(page), "flat"], [`memory, ${name}: node`, slope(node), "flat"]);
  }
  return table(["page", "measured", "to reach"], rows);
};

const isStage = (name: string): name is PageStage => (pageStages as readonly string[]).includes(name);

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: { only: { type: "string" }, quick: { type: "boolean", default: false }, json: { type: "boolean", default: false } },
  });
  const only = values.only?.split(",") ?? [...pageStages];
  const unknown = only.find((name) => !isStage(name));
  if (unknown !== undefined) throw new Error(`expected stages of ${pageStages.join(", ")}, got ${unknown}`);
  const bench = await benchPage({ only: only.filter(isStage), quick: values.quick });
  print(bench, pageTable(bench));
}
