/** The page on a whole node that trains: what it sees is what happens, and what a person asks on it happens. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTokenKey, tokenKeyFile } from "../../src/http/token-key.ts";
import { mintToken } from "../../src/http/tokens.ts";
import { patientForge, smallConfig, startNode } from "../e2e/support.ts";
import { openPage } from "./browser.ts";
import { actionMsMax, pageOnNode, testMsMax } from "./page-on-node.ts";

const started = pageOnNode();

test(
  "a run is watched, a seed culled, the run paused and resumed, a seed pinned: each with its receipt and its event",
  async () => {
    const { browser, folder } = started();
    const dataDir = join(folder.path, "data");
    const config = smallConfig(dataDir, {
      optimization: { epochs: 400, epochSteps: 47 },
      // The trial trains until somebody ends it.
      morphogenetic: {
        signal: { samples: 2048, warmupSteps: 90 },
        training: { steps: 9400 },
        ...patientForge,
        budget: { flopsFractionMax: 0.9 },
      },
      services: { dataDir, http: { port: 0 } },
    });
    const node = startNode(config);
    await node.handle;
    const url = node.notes.find((note) => note.startsWith("http: "))?.slice("http: ".length) ?? "";
    const { page, context, faults, outside } = await openPage(browser, `${url}/#/overview`);
    page.setDefaultTimeout(actionMsMax);
    await page.getByText("live", { exact: true }).waitFor();
    await page.locator(".host-graph .layer").nth(3).waitFor();
    const key = await readTokenKey(tokenKeyFile(dataDir));
    const token = await mintToken(key, { principal: "ada", role: "operator", lifetimeMs: 600_000, nowMs: Date.now() });
    await page.keyboard.press("6");
    await page.getByRole("textbox", { name: "Token" }).fill(token);
    await page.getByRole("button", { name: "Enter" }).click();
    await page.getByText("ada as operator").waitFor();

    const { seedId } = await node.until("system.events.seed", ({ to }) => to === "GERMINATED");

    await page.goto(`${url}/#/seeds/${encodeURIComponent(seedId)}`);
    const detail = page.getByLabel(`Seed ${seedId}`);
    await detail.locator(".machine-state.lit").waitFor();
    await detail.getByRole("button", { name: "Cull" }).click();
    await page.getByLabel("Reason, for the ledger").fill("seen enough of it");
    await page
      .getByRole("dialog")
      .getByRole("button", { name: `Cull ${seedId}` })
      .click();
    await page.locator(".notice", { hasText: `Cull ${seedId}: accepted` }).waitFor();
    const ended = await node.until(
      "system.events.seed",
      ({ seedId: id, to, reason }) =>
        id === seedId && (to === "CULLED" || to === "DORMANT") && reason.includes("seen enough of it"),
    );
    await detail.locator(`[data-state="${ended.to}"].lit`).waitFor();

    await page.keyboard.press("6");
    await page.getByRole("button", { name: "Pause the run" }).click();
    await node.until("system.events.run", ({ kind }) => kind === "paused");
    await page.getByText("the run is paused").waitFor();
    await page.getByRole("button", { name: "Resume the run" }).click();
    await node.until("system.events.run", ({ kind }) => kind === "resumed");

    await page.getByRole("combobox", { name: "Seed" }).fill("seed:h3");
    await page.getByRole("combobox", { name: "Seed" }).press("Enter");
    await page.locator('.commands [data-command="pin"]').click();
    const pin = await node.until("system.events.command", ({ command }) => command.kind === "pin");
    expect(pin.command).toMatchObject({ target: "seed:h3" });
    expect(pin).toMatchObject({ sender: "ada", role: "operator", transport: "http", receipt: { kind: "accepted" } });
    await page.locator(".chip", { hasText: "seed:h3 is pinned" }).waitFor();
    const receipts = (await page.getByLabel("Receipts").allInnerTexts()).join("\n");
    for (const kind of ["cull", "pause", "resume", "pin"]) expect(receipts).toContain(kind);

    await page.keyboard.press("3");
    await page.locator("tr", { hasText: "kasmina" }).first().waitFor();
    await page.keyboard.press("5");
    await page.getByRole("link", { name: /^Open/ }).first().click();
    await page.getByText("recorded", { exact: true }).waitFor();
    await page.keyboard.press("2");
    await page.locator(".seed-table tr", { hasText: "h2" }).waitFor();
    expect(faults).toEqual([]);
    expect(outside).toEqual([]);

    node.interrupt();
    await node.done;
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await page.getByRole("alert").waitFor();
    await context.close();
  },
  testMsMax,
);
