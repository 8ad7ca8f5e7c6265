/** Names and texts that a page must only ever show: in every field of every view nothing of them runs, is fetched, or breaks the page. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BuiltPage, buildPage, launchBrowser, openPage, tokenOf } from "./browser.ts";
import { startPageServer } from "./page-server.ts";
import { scene, sceneChanges, sceneRunId } from "./scene.ts";

let built: BuiltPage;
let browser: Browser;

beforeAll(async () => {
  [built, browser] = await Promise.all([buildPage(), launchBrowser()]);
});

afterAll(async () => {
  await browser?.close();
  built?.remove();
});

const hostile: Readonly<Record<string, (text: string) => string>> = {
  "an image with a handler": () => `<img src=x onerror="window.__ran=1">`,
  "a script that closes what is open": () => `"'></title></script><script>window.__ran=1</script><svg onload=window.__ran=1>`,
  "an address that runs, and one elsewhere": () => `javascript:window.__ran=1//" href="https://example.org/`,
  "text from right to left": (text) => `\u202e${text}\u2066\u202d`,
  "ten thousand characters without a blank": (text) => `${text}${"W".repeat(10_000)}`,
  "names of a prototype": () => "__proto__",
};

const views = [
  "#/overview",
  "#/seeds",
  "#/seeds/seed%3Ah3",
  "#/seeds/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
  "#/actors",
  "#/actors/%3Cscript%3E",
  "#/decisions/decision-1",
  "#/control",
  "#/time",
  "#/%E0%A4%A/nowhere",
];

describe("hostile texts", () => {
  test.each(Object.entries(hostile))("%s", async (_name, say) => {
    const runId = sceneRunId;
    const changes = sceneChanges({ say });
    const server = await startPageServer({
      folder: built.folder,
      state: scene({ say }),
      runs: [
        {
          runId,
          bytes: 1,
          live: false,
          chunk: { runId, from: 0, next: null, total: 1, epochs: [1], at: [1], changes: [changes] },
          checkpoints: [{ epoch: 1, file: say("checkpoints/1"), bytes: 1 }],
        },
      ],
      receipt: () => ({ status: 409, body: { kind: "refused", requestId: "x", code: say("budget"), reason: say("no") } }),
    });
    const { page, context, faults, outside } = await openPage(browser, server.url);
    try {
      await page.getByText("live", { exact: true }).waitFor();
      for (const hash of views) {
        await page.goto(`${server.url}${hash}`);
        await page.locator("main > *").first().waitFor();
        // What is drawn later, and what a batch changes, is looked at too.
        server.push(changes.filter(({ k }) => k === "decision" || k === "alert" || k === "command" || k === "actors"));
        await page.waitForFunction("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
        const [inner, scrolled] = await page.evaluate<[number, number]>(
          `[document.documentElement.clientWidth, document.documentElement.scrollWidth]`,
        );
        expect(scrolled, hash).toBeLessThanOrEqual(inner);
      }
      await page.goto(`${server.url}#/control`);
      await page.getByRole("textbox", { name: "Token" }).fill(tokenOf("operator"));
      await page.getByRole("button", { name: "Enter" }).click();
      await page.goto(`${server.url}#/time`);
      await page.getByRole("link", { name: `Open ${runId}` }).click();
      await page.getByText("recorded", { exact: true }).waitFor();
      expect(await page.evaluate("window.__ran")).toBeUndefined();
      expect(await page.locator("img:not([src*='icon']), iframe, object, script:not([src*='assets/index'])").count()).toBe(0);
      expect(faults).toEqual([]);
      expect(outside).toEqual([]);
    } finally {
      await context.close();
      await server.close();
    }
  });
});
