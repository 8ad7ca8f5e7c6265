/** A real browser for the page's bench, what it costs, and the process that serves the page. */
import { type ChildProcess, fork } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from "playwright-core";
import type { PageAnswer, PageOrder } from "./page-server.ts";
import { quantile } from "./support.ts";

const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const pageMsMax = 120_000;

/** `nice`: it takes only what nobody else wants of the processor. */
export const startBrowser = async ({ nice = false } = {}): Promise<{ readonly browser: Browser; close(): Promise<void> }> => {
  const chosen = program.find((path) => existsSync(path));
  if (chosen === undefined)
    throw new Error(`expected Chromium at ${program.join(" or ")}, found none; install the package chromium`);
  const folder = mkdtempSync(join(tmpdir(), "esper-browser-"));
  const polite = join(folder, "browser");
  writeFileSync(polite, `#!/bin/sh\nexec nice -n 19 ${chosen} "$@"\n`);
  chmodSync(polite, 0o700);
  const args = ["--no-sandbox", "--disable-dev-shm-usage"];
  const browser = await chromium.launch({ executablePath: nice ? polite : chosen, args });
  return {
    browser,
    close: async () => {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

export interface Opened {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly session: CDPSession;
}

export const openAt = async (browser: Browser, url: string): Promise<Opened> => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(pageMsMax);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  await page.goto(url);
  return { context, page, session };
};

/** The grid, drawn. */
export const gridOf = async (page: Page): Promise<{ readonly x: number; readonly y: number }> => {
  const grid = page.locator("canvas").first();
  await grid.waitFor();
  const box = await grid.boundingBox();
  if (box === null) throw new Error("expected a grid with a place on the page, found none");
  return box;
};

const metricsOf = async (session: CDPSession): Promise<ReadonlyMap<string, number>> => {
  const { metrics } = await session.send("Performance.getMetrics");
  return new Map(metrics.map(({ name, value }) => [name, value]));
};

export interface Frames {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** The page's main thread: what a frame costs it, and the part of it that is script. */
  readonly mainThreadMsPerFrame: number;
  readonly scriptMsPerFrame: number;
  /** Share of the time in which the main thread works. */
  readonly mainThreadShare: number;
}

/** Counts frames for a while; `during` runs meanwhile. */
export const framesOf = async ({ page, session }: Opened, measureMs: number, during: () => Promise<void>): Promise<Frames> => {
  const before = await metricsOf(session);
  const counted = page.evaluate<number[]>(
    `new Promise((done) => { const gaps = []; const from = performance.now(); let last = from; const next = (now) => { gaps.push(now - last); last = now; if (now - from < ${measureMs}) requestAnimationFrame(next); else done(gaps); }; requestAnimationFrame(next); })`,
  );
  await during();
  const gaps = (await counted).slice(1);
  const after = await metricsOf(session);
  const seconds = (name: string): number => (after.get(name) ?? Number.NaN) - (before.get(name) ?? Number.NaN);
  const totalMs = gaps.reduce((sum, gap) => sum + gap, 0);
  return {
    perSecond: (1000 * gaps.length) / totalMs,
    p50Ms: quantile(gaps, 0.5),
    p95Ms: quantile(gaps, 0.95),
    mainThreadMsPerFrame: (1000 * seconds("TaskDuration")) / gaps.length,
    scriptMsPerFrame: (1000 * seconds("ScriptDuration")) / gaps.length,
    mainThreadShare: seconds("TaskDuration") / seconds("Timestamp"),
  };
};

/** JavaScript heap after a full collection, in bytes, and nodes of documents. */
export const heapOf = async ({ session }: Opened): Promise<{ readonly heapBytes: number; readonly nodes: number }> => {
  await session.send("HeapProfiler.collectGarbage");
  const metrics = await metricsOf(session);
  return { heapBytes: metrics.get("JSHeapUsedSize") ?? Number.NaN, nodes: metrics.get("Nodes") ?? Number.NaN };
};

/** Milliseconds to add to another clock to get this process's `performance.now()`; from the quickest of several askings. */
export interface ClockMap {
  readonly offsetMs: number;
  /** The map is wrong by no more than this. */
  readonly errorMs: number;
}

export const mapClock = async (ask: () => Promise<number>, askings = 40): Promise<ClockMap> => {
  let best: ClockMap = { offsetMs: Number.NaN, errorMs: Number.POSITIVE_INFINITY };
  for (let asking = 0; asking < askings; asking += 1) {
    const sentMs = performance.now();
    const otherMs = await ask();
    const cameMs = performance.now();
    const errorMs = (cameMs - sentMs) / 2;
    if (errorMs < best.errorMs) best = { offsetMs: sentMs + errorMs - otherMs, errorMs };
  }
  return best;
};

export interface PageServer {
  readonly url: string;
  ask(order: PageOrder): Promise<PageAnswer>;
  close(): Promise<void>;
}

const endMsMax = 20_000;

/** The process that serves the page: with `node` one that trains. */
export const startPageServer = async (mode: "hub" | "node", folder: string): Promise<PageServer> => {
  const file = fileURLToPath(new URL("page-server.ts", import.meta.url));
  const child: ChildProcess = fork(file, [mode, folder], { execArgv: [...process.execArgv, "--expose-gc"] });
  const waiting = new Map<number, (answer: PageAnswer) => void>();
  let failed: (error: Error) => void = () => undefined;
  const broken = new Promise<never>((_, reject) => {
    failed = reject;
  });
  broken.catch(() => undefined);
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code) => {
      failed(new Error(`the process that serves the page ended with ${code}`));
      resolve();
    });
  });
  const ready = new Promise<void>((resolve) => {
    child.on("message", ({ id, answer }: { readonly id: number; readonly answer: PageAnswer }) => {
      if (id === 0) resolve();
      waiting.get(id)?.(answer);
      waiting.delete(id);
    });
  });
  let asked = 0;
  const ask = (order: PageOrder): Promise<PageAnswer> => {
    asked += 1;
    const id = asked;
    const answered = new Promise<PageAnswer>((resolve) => waiting.set(id, resolve));
    child.send({ id, order });
    return Promise.race([answered, broken]);
  };
  await Promise.race([ready, broken]);
  const { url } = await ask({ k: "clock" });
  return {
    url,
    ask,
    close: async () => {
      const tooLate = setTimeout(() => child.kill("SIGKILL"), endMsMax);
      await ask({ k: "end" }).catch(() => undefined);
      await exited;
      clearTimeout(tooLate);
    },
  };
};
