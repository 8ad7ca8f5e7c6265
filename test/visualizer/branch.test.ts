/** Time travel on a whole node: a recorded run is opened by its address and run again from a checkpoint with another decision. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTokenKey, tokenKeyFile } from "../../src/http/token-key.ts";
import { mintToken } from "../../src/http/tokens.ts";
import { payloadsOf, readLog, smallConfig, startNode } from "../e2e/support.ts";
import { openPage } from "./browser.ts";
import { actionMsMax, pageOnNode, testMsMax } from "./page-on-node.ts";

const started = pageOnNode();

test(
  "a run is opened by its address, branched with the seed spared, watched; then the node is ended from the page",
  async () => {
    const { browser, folder } = started();
    const dataDir = join(folder.path, "data");
    const config = smallConfig(dataDir, {
      checkpoint: { everyEpochs: 1, keep: 60 },
      optimization: { epochs: 8, epochSteps: 47 },
      services: { dataDir, http: { port: 0 } },
    });
    const node = startNode(config, { stay: true });
    const first = await node.until("system.events.seed", ({ to }) => to === "GERMINATED");
    const { runId } = await node.until("system.events.run", ({ kind }) => kind === "finished");
    const url = node.notes.find((note) => note.startsWith("http: "))?.slice("http: ".length) ?? "";
    const { page, context, faults, outside } = await openPage(browser, `${url}/#/control`);
    page.setDefaultTimeout(actionMsMax);
    const key = await readTokenKey(tokenKeyFile(dataDir));
    const token = await mintToken(key, { principal: "ada", role: "operator", lifetimeMs: 600_000, nowMs: Date.now() });
    await page.getByRole("textbox", { name: "Token" }).fill(token);
    await page.getByRole("button", { name: "Enter" }).click();
    await page.getByText("ada as operator").waitFor();

    await page.goto(`${url}/#/time/${encodeURIComponent(runId)}`);
    await page.getByText("recorded", { exact: true }).waitFor();
    const bar = page.getByRole("region", { name: "Recorded run", exact: true });
    // To the window before the decision.
    while (!((await bar.textContent()) ?? "").includes(`window ${first.epoch - 2} of`))
      await bar.getByRole("button", { name: "A window back" }).click();
    const branch = page.getByLabel("Branch", { exact: true });
    expect(await branch.getByLabel("Seed", { exact: true }).inputValue()).toBe(first.seedId);
    await branch.getByLabel("Instead").selectOption("spare");
    await branch.getByRole("button", { name: "Run again from here" }).click();

    const pinned = await node.until("system.events.command", ({ command }) => command.kind === "pin");
    expect(pinned).toMatchObject({
      command: { target: first.seedId },
      sender: "ada",
      role: "operator",
      transport: "http",
      receipt: { kind: "accepted" },
    });
    const branchId = pinned.command.runId ?? "";
    expect(branchId).not.toBe(runId);
    await branch.getByText("in effect").waitFor();
    await branch.getByRole("link", { name: `Watch ${branchId}` }).click();
    await page.getByText("live", { exact: true }).waitFor();
    expect(await page.locator(".head").textContent()).toContain(branchId);
    await node.until("system.events.run", (event) => event.kind === "finished" && event.runId === branchId);
    const log = await readLog(join(dataDir, "runs", branchId, "events.jsonl"));
    const ways = payloadsOf(log, "system.events.seed").filter(({ seedId }) => seedId === first.seedId);
    expect(ways.map(({ to }) => to)).not.toContain("GERMINATED");

    await page.goto(`${url}/#/control`);
    await page.getByLabel("Configuration", { exact: true }).selectOption("this node's");
    expect(await page.getByLabel("Configuration", { exact: true }).locator("option").count()).toBeGreaterThan(5);
    await page.getByLabel("Dead letters").getByText("No dead letter").waitFor();
    await page.getByRole("button", { name: "Start a run" }).click();
    const next = await node.until(
      "system.events.run",
      (event) => event.kind === "started" && ![runId, branchId].includes(event.runId),
    );
    await page.getByLabel("Receipts").getByText(`${next.runId} is running`).waitFor();
    await page.getByRole("button", { name: "End the node" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End the node" }).click();
    await node.done;
    expect(faults).toEqual([]);
    expect(outside).toEqual([]);
    await context.close();
  },
  testMsMax,
);
