/**
 * Makes docs/screenshots: every view of the page, light and dark, on a screen and on a phone, of a node that trains.
 *
 *   npm run screenshots
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decode, encode } from "fast-png";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "docs", "screenshots");
const main = join(root, "dist", "main.js");
const programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const pngBytesMax = 150_000;
const waitMsMax = 300_000;

/** Five hidden layers, one of them nearly dead: it is found, a bypass is grown, and proves itself. */
const config = `
randomSeed: 3
arms: [grown]
model: {name: mlp, widths: [48, 48, 48, 48, 48]}
dataset: {name: mnist, batchSize: 64, validationSamples: 1000, trainSamplesMax: 12000}
damage: {site: h3, kind: dead, live: 2}
optimization: {epochs: 400, epochSteps: 47}
morphogenetic:
  signal: {samples: 2048, warmupSteps: 90, everyEpochs: 2}
  training: {steps: 141}
  grafting: {steps: 235}
  fineTuning: {steps: 94}
checkpoint: {everyEpochs: 10, keep: 5}
services: {http: {port: 0}}
`;

const sizes = [
  { name: "screen", width: 1280, height: 720, scale: 1 },
  { name: "phone", width: 390, height: 844, scale: 1 },
];
const themes = ["light", "dark"];

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs the command line to its end; what it printed. */
const call = (args) =>
  new Promise((resolve, reject) => {
    let text = "";
    const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.on("data", (part) => {
      text += part;
    });
    child.on("close", (code) =>
      code === 0 ? resolve(text.trim()) : reject(new Error(`expected esper ${args.join(" ")} to succeed, it ended with ${code}`)),
    );
  });

const addressOf = async (dataDir) => {
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += 200) {
    try {
      const { http } = JSON.parse(readFileSync(join(dataDir, "operator.json"), "utf8"));
      if (typeof http === "string") return http;
    } catch {
      // The node has not come up yet.
    }
    await wait(200);
  }
  throw new Error("expected a node that tells its address in operator.json, none came up");
};

const distance = (a, b) =>
  ((a >> 16) - (b >> 16)) ** 2 + (((a >> 8) & 255) - ((b >> 8) & 255)) ** 2 + ((a & 255) - (b & 255)) ** 2;

/** The same picture in its 256 most frequent colours: smoothed letters need thousands that nobody tells apart. */
const reduced = (bytes) => {
  const { width, height, channels, data } = decode(bytes);
  const colorAt = (pixel) => (data[pixel * channels] << 16) | (data[pixel * channels + 1] << 8) | data[pixel * channels + 2];
  const counts = new Map();
  for (let pixel = 0; pixel < width * height; pixel += 1) counts.set(colorAt(pixel), (counts.get(colorAt(pixel)) ?? 0) + 1);
  const kept = [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 256)
    .map(([color]) => color);
  const nearest = new Map(
    [...counts.keys()].map((color) => [
      color,
      kept.reduce((best, each) => (distance(each, color) < distance(best, color) ? each : best)),
    ]),
  );
  const drawn = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const color = nearest.get(colorAt(pixel));
    drawn.set([color >> 16, (color >> 8) & 255, color & 255], pixel * 3);
  }
  return encode({ width, height, channels: 3, depth: 8, data: drawn }, { zlib: { level: 9 } });
};

const shoot = async (page, view, theme, size) => {
  const file = join(target, `${view}-${theme}-${size.name}.png`);
  const bytes = reduced(await page.screenshot({ animations: "disabled", caret: "hide" }));
  if (bytes.length > pngBytesMax) throw new Error(`expected at most ${pngBytesMax} bytes for ${file}, got ${bytes.length}`);
  writeFileSync(file, bytes);
  console.log(`${file.slice(root.length)} ${(bytes.length / 1000).toFixed(0)} kB`);
};

/** Goes to each view, brings it to where there is something to see, and hands it over. */
const visit = async (page, url, token, seen) => {
  const go = async (hash) => {
    await page.goto(`${url}/#/${hash}`);
    await page.locator("main > *").first().waitFor();
    await wait(700);
  };
  await go("overview");
  await page.locator(".host-graph .arc").first().waitFor();
  await seen("overview");
  await go("seeds/seed%3Ah3");
  await page.locator(".machine-state.lit").waitFor();
  await seen("seeds");
  await go("actors");
  await page.locator(".view-actors tbody tr").nth(5).waitFor();
  await seen("actors");
  await go("actors/seed");
  await page.locator(".whole svg").waitFor();
  await seen("statechart");
  await go("decisions");
  await page.locator(".decision.good").first().getByRole("link", { name: "Why" }).click();
  await page.locator(".decision-more").waitFor();
  await seen("decisions");
  await go("control");
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("as operator").waitFor();
  await seen("control");
  await go("time");
  await page.getByRole("link", { name: /^Open/ }).first().click();
  const bar = page.getByRole("region", { name: "Recorded run", exact: true });
  await bar.waitFor();
  await page.getByRole("button", { name: "Mark this moment" }).click();
  const scrub = bar.getByLabel("Moment", { exact: true });
  await scrub.fill(String(Math.round(Number(await scrub.getAttribute("max")) * 0.2)));
  await page.locator(".time .table tbody tr").nth(3).waitFor();
  await wait(300);
  await seen("time");
};

const dataDir = mkdtempSync(join(tmpdir(), "esper-screenshots-"));
const executablePath = programs.find((path) => existsSync(path));
if (executablePath === undefined) throw new Error(`expected Chromium at ${programs.join(" or ")}, found none; install it`);
mkdirSync(target, { recursive: true });
writeFileSync(join(dataDir, "run.yaml"), config);
const node = spawn(process.execPath, [main, "start", "--config", join(dataDir, "run.yaml"), "--data-dir", dataDir], {
  stdio: ["ignore", "ignore", "inherit"],
});
const ended = new Promise((resolve) => node.on("close", resolve));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const url = await addressOf(dataDir);
  const token = await call(["--data-dir", dataDir, "token", "--role", "operator"]);
  const first = await browser.newPage();
  first.setDefaultTimeout(waitMsMax);
  await first.goto(`${url}/#/overview`);
  // From its germination on the bypass is drawn; the run goes on through its trial while the pictures are taken.
  await first.locator('.host-graph a[aria-label*="bypass"]').first().waitFor();
  for (const size of sizes) {
    for (const theme of themes) {
      const { width, height, scale: deviceScaleFactor } = size;
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, deviceScaleFactor });
      const page = await context.newPage();
      await visit(page, url, token, (view) => shoot(page, view, theme, size));
      await context.close();
    }
  }
} finally {
  await browser.close();
  node.kill("SIGINT");
  await ended;
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
}
