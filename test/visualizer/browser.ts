/** The page built from the sources, and a browser to look at it with. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";

const actionMsMax = 12_000;
const programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Debian's Chromium; `apt-get install chromium` where it is not there. */
export const launchBrowser = async (): Promise<Browser> => {
  const executablePath = programs.find((path) => existsSync(path));
  if (executablePath === undefined)
    throw new Error(`expected Chromium at ${programs.join(" or ")}, found none; install the package chromium`);
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
};

export interface BuiltPage {
  readonly folder: string;
  remove(): void;
}

/** Bundles the page into a folder of its own, as the build does. */
export const buildPage = async (): Promise<BuiltPage> => {
  const folder = mkdtempSync(join(tmpdir(), "esper-page-"));
  const root = fileURLToPath(new URL("../../src/visualizer/", import.meta.url));
  await build({ root, build: { outDir: folder, emptyOutDir: true } });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
};

/** What a page did that it should not have. */
export interface Watched {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Uncaught errors, console errors and reports of the content policy. */
  readonly faults: string[];
  /** Requests to anywhere but this address. */
  readonly outside: string[];
}

export interface Sight {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

/** Opens a page and keeps a record of its faults. */
export const openPage = async (
  browser: Browser,
  url: string,
  { width = 1280, height = 720, dark = false }: Sight = {},
): Promise<Watched> => {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
    serviceWorkers: "block",
  });
  context.setDefaultTimeout(actionMsMax);
  const page = await context.newPage();
  const faults: string[] = [];
  const outside: string[] = [];
  const { origin } = new URL(url);
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A refusal is an answer with a status of its own, which the browser reports as well.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("blob:")) outside.push(request.url());
  });
  await page.addInitScript(
    `document.addEventListener("securitypolicyviolation", (e) => console.error("csp " + e.violatedDirective + " " + e.blockedURI));`,
  );
  await page.goto(url);
  return { page, context, faults, outside };
};

/** A token as the page reads it; only a node would take it. */
export const tokenOf = (role: string): string => {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "EdDSA" })}.${part({ sub: "ada", role, exp: 4_102_444_800 })}.c2ln`;
};
