/** Steering on a whole node by the page: a germination with its span and blueprint, held, approved by another, and followed to its effect. */
import { join } from "node:path";
import { expect, test } from "vitest";
import type { PersonRole } from "../../src/contracts/roles.ts";
import { readTokenKey, tokenKeyFile } from "../../src/http/token-key.ts";
import { mintToken } from "../../src/http/tokens.ts";
import { patientForge, smallConfig, startNode } from "../e2e/support.ts";
import { openPage } from "./browser.ts";
import { actionMsMax, pageOnNode, testMsMax } from "./page-on-node.ts";

const started = pageOnNode();

test(
  "a germination with a span and a blueprint waits for another's word, and its receipt goes on to its effect",
  async () => {
    const { browser, folder } = started();
    const dataDir = join(folder.path, "data");
    const node = startNode(
      smallConfig(dataDir, {
        damage: undefined,
        optimization: { epochs: 400, epochSteps: 47 },
        morphogenetic: {
          signal: { samples: 512, warmupSteps: 47 },
          // Nobody but the page grows anything here.
          trigger: { confidenceMin: 1 },
          training: { steps: 9400 },
          ...patientForge,
          budget: { flopsFractionMax: 0.9 },
        },
        control: { approvals: { rules: [{ commands: ["germinate"], from: ["operator"], by: ["admin"] }] } },
        services: { dataDir, http: { port: 0 } },
      }),
    );
    await node.until("system.events.epoch", ({ result }) => result.signal !== undefined);
    const url = node.notes.find((note) => note.startsWith("http: "))?.slice("http: ".length) ?? "";
    const key = await readTokenKey(tokenKeyFile(dataDir));
    const enter = async (principal: string, role: PersonRole) => {
      const watched = await openPage(browser, `${url}/#/control`);
      watched.page.setDefaultTimeout(actionMsMax);
      const token = await mintToken(key, { principal, role, lifetimeMs: 600_000, nowMs: Date.now() });
      await watched.page.getByRole("textbox", { name: "Token" }).fill(token);
      await watched.page.getByRole("button", { name: "Enter" }).click();
      await watched.page.getByText(`${principal} as ${role}`).waitFor();
      return watched;
    };
    const ada = await enter("ada", "operator");
    await ada.page.goto(`${url}/#/seeds/${encodeURIComponent("seed:h1")}`);
    await ada.page.getByRole("button", { name: "Germinate as" }).click();
    const form = ada.page.getByRole("dialog");
    const targets = form.getByLabel("The bypass ends at");
    await targets.waitFor();
    // The host's own words: a bypass of h1 may end behind it, never at it.
    const offered = await targets.locator("option").allTextContents();
    expect(offered).toContain("h3");
    expect(offered).not.toContain("h1");
    await targets.selectOption("h3");
    await form.getByLabel("Blueprint").selectOption("low-rank");
    await form.getByLabel("Width").fill("none");
    expect(await form.getByRole("button", { name: "Germinate", exact: true }).isDisabled()).toBe(true);
    await form.getByLabel("Width").fill("4");
    await form.getByText("Severity of the layer").waitFor();
    await form.getByLabel("Reason, for the ledger").fill("to see it grow");
    await form.getByRole("button", { name: "Germinate", exact: true }).click();
    await ada.page.goto(`${url}/#/control`);
    const asked = await node.until("system.events.command", ({ command }) => command.kind === "germinate");
    expect(asked).toMatchObject({
      sender: "ada",
      receipt: { kind: "held" },
      command: { toSite: "h3", blueprint: { kind: "low-rank", hiddenWidth: 4 }, reason: "to see it grow" },
    });
    const fate = ada.page.locator(`.receipts [data-request="${asked.command.requestId}"]`);
    await fate.getByText("held", { exact: true }).waitFor();

    const lin = await enter("lin", "admin");
    await lin.page.goto(`${url}/#/decisions`);
    const waiting = lin.page.getByLabel("Waiting for a person");
    await waiting.getByRole("link", { name: "seed:h1" }).waitFor();
    await waiting.getByRole("button", { name: "Approve" }).click();
    await node.until("system.events.seed", ({ seedId, to }) => seedId === "seed:h1" && to === "GERMINATED");
    await fate.getByText("in effect", { exact: true }).waitFor();
    expect((await fate.locator("li").allTextContents()).map((text) => text.replace("→", ""))).toEqual([
      "held",
      "approved by lin",
      expect.stringMatching(/^accepted for window \d+$/),
      "in effect",
    ]);
    await fate.getByRole("link").click();
    await ada.page.getByLabel("Seed seed:h1").getByText("low-rank, hiddenWidth 4").waitFor();
    for (const { faults, outside, context } of [ada, lin]) {
      expect(faults).toEqual([]);
      expect(outside).toEqual([]);
      await context.close();
    }
    node.interrupt();
    await node.done;
  },
  testMsMax,
);
