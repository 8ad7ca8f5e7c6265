/** What tests of the page on a whole node share: the built page, a browser, a folder for the node's data, and patient bounds. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { temporaryFolder } from "../e2e/support.ts";
import { launchBrowser } from "./browser.ts";

// A whole node, a browser and a busy machine.
export const testMsMax = 300_000;
export const actionMsMax = 90_000;

export interface PageOnNode {
  readonly browser: Browser;
  readonly folder: Awaited<ReturnType<typeof temporaryFolder>>;
}

/** For the tests of the file; to be called in them. */
export const pageOnNode = (): (() => PageOnNode) => {
  let started: PageOnNode | undefined;
  beforeAll(async () => {
    const page = fileURLToPath(new URL("../../dist/page/index.html", import.meta.url));
    if (!existsSync(page)) throw new Error("expected the page in dist/page, found none; `npm run build` makes it");
    const [browser, folder] = await Promise.all([launchBrowser(), temporaryFolder()]);
    started = { browser, folder };
  });
  afterAll(async () => {
    await started?.browser.close();
    await started?.folder.remove();
  });
  return () => {
    if (started === undefined) throw new Error("expected to be called in a test");
    return started;
  };
};
