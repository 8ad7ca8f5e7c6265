/** Every view in a real browser, over a run made up for it: what it shows, what it refuses, what the keyboard does. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandRules } from "../../src/contracts/roles.ts";
import type { ViewState } from "../../src/contracts/view.ts";
import { type BuiltPage, buildPage, launchBrowser, openPage, tokenOf, type Watched } from "./browser.ts";
import { type PageServer, startPageServer } from "./page-server.ts";
import { scene, sceneChanges, sceneRecorded, sceneRunId } from "./scene.ts";

let built: BuiltPage;
let browser: Browser;
let server: PageServer;

const commandRoles: ViewState["commandRoles"] = Object.fromEntries(
  Object.entries(commandRules).map(([kind, { roles }]) => [kind, roles]),
);
const withRoles = (state: ViewState): ViewState => ({ ...state, commandRoles });

const letter = (id: number) => ({
  id,
  state: "waiting",
  principal: "tezzeret",
  subject: "compilation.blueprint.submitted",
  messageId: `m-${id}`,
  reason: "expected a blueprint of this host, got another",
  deliveries: 5,
  occurrences: 1,
  retries: 0,
  firstAtMs: 1,
  lastAtMs: 2,
});

beforeAll(async () => {
  [built, browser] = await Promise.all([buildPage(), launchBrowser()]);
  server = await startPageServer({
    folder: built.folder,
    state: withRoles(scene()),
    runs: [sceneRecorded()],
    offers: {
      "/configs": { configs: [] },
      "/dead-letters": { kind: "letters", letters: [letter(3), { ...letter(4), stuck: "its message is gone" }], kept: 2 },
      "/dead-letters/3": { kind: "letter", letter: letter(3), raw: "what was in it" },
    },
    receipt: (command) => {
      const { kind, requestId } = command as { readonly kind: string; readonly requestId: string };
      if (kind === "limit")
        return { status: 409, body: { kind: "refused", requestId, code: "budget", reason: "less than is used" } };
      return {
        status: 202,
        body: { kind: "accepted", requestId, runId: sceneRunId, appliesAtEpoch: 41, detail: "at the next boundary" },
      };
    },
  });
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  built?.remove();
});

const at = async (hash: string, then: (watched: Watched) => Promise<void>): Promise<void> => {
  const watched = await openPage(browser, `${server.url}${hash}`);
  try {
    await watched.page.getByText("live", { exact: true }).waitFor();
    await then(watched);
    expect(watched.faults).toEqual([]);
    expect(watched.outside).toEqual([]);
  } finally {
    await watched.context.close();
  }
};

/** What is seen of it, line by line. */
const textOf = async (locator: Locator): Promise<string> => (await locator.allInnerTexts()).join("\n");

const enterToken = async ({ page }: Watched, role: string): Promise<void> => {
  await page.goto(`${server.url}#/control`);
  await page.getByRole("textbox", { name: "Token" }).fill(tokenOf(role));
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("as operator").waitFor();
};

describe("views", () => {
  test("overview: header, charts, the host with its arcs, an alert", async () => {
    await at("#/overview", async ({ page }) => {
      expect(await page.locator(".figure").count()).toBe(8);
      expect(await textOf(page.locator(".figures"))).toMatch(/fashion-mnist[\s\S]*34 %[\s\S]*94\.\d+ %/);
      expect(await page.locator(".uplot canvas").count()).toBe(3);
      expect(await page.locator(".host-graph .layer").count()).toBe(6);
      expect(await page.locator(".host-graph .layer.worst").count()).toBe(1);
      await page.locator('.host-graph a[aria-label*="bypass that was kept"]').waitFor();
      expect(await textOf(page.getByLabel("Alerts"))).toContain("the jury is split");
    });
  });

  test("overview: changes that arrive are drawn", async () => {
    await at("#/overview", async ({ page }) => {
      const state = scene();
      server.push([{ k: "header", r: sceneRunId, atMs: state.atMs + 1, set: { epoch: 41, work: "evaluate" } }]);
      await page.locator(".figure", { hasText: "evaluating" }).waitFor();
      expect(await textOf(page.locator(".figure", { hasText: "Window" }))).toContain("41");
    });
  });

  test("seeds: filter, order, and a seed with its statechart, way, gates and forecast", async () => {
    await at("#/seeds", async ({ page }) => {
      const rows = page.locator(".seed-table tbody tr[id]");
      expect(await rows.count()).toBe(10);
      await page.getByRole("button", { name: /grafting/ }).click();
      expect(await rows.count()).toBe(1);
      await page.getByRole("link", { name: "h3", exact: true }).click();
      const detail = page.getByLabel("Seed seed:h3");
      await detail.locator('[data-state="GRAFTING"].lit').waitFor();
      expect(await detail.locator(".machine-state").count()).toBe(11);
      expect(await detail.locator(".machine-edge.taken").count()).toBe(3);
      expect(await textOf(detail)).toMatch(/steady windows[\s\S]*≥ 3[\s\S]*Forecast and outcome[\s\S]*The way it took/);
      expect(await detail.locator(".step").count()).toBe(3);
      await detail.getByRole("button", { name: "1 measured" }).first().click();
      expect(await textOf(detail)).toContain("flops left");
      await detail.getByRole("button", { name: "Whole statechart" }).click();
      await page.locator('.whole [data-state="GRAFTING"].lit').waitFor();
      await page.keyboard.press("Escape");
      await page.getByPlaceholder("Seed or layer").fill("nothing is named so");
      await page.getByText("No seed is like that").waitFor();
    });
  });

  test("seeds: a step that arrives is drawn in the grid's count, the table and the open statechart alike", async () => {
    await at("#/seeds/seed%3Ah1", async ({ page }) => {
      await page.locator('[data-state="DORMANT"].lit').waitFor();
      const way = sceneChanges({ layers: 2, seedsPerLayer: 2 }).filter(({ k }) => k === "step");
      server.push(way.slice(0, 1).map((change) => (change.k === "step" ? { ...change, seedId: "seed:h1" } : change)));
      await page.locator('[data-state="GERMINATED"].lit').waitFor();
      await page.locator("tr", { hasText: /^h1germinated/ }).waitFor();
      await page.getByRole("button", { name: "germinated 2" }).waitFor();
    });
  });

  test("seeds: the grid is walked by keys and opened by Enter", async () => {
    await at("#/seeds", async ({ page }) => {
      await page.locator("canvas").focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
      expect(await textOf(page.locator(".grid-hint"))).toContain("seed:h1.1");
      await page.keyboard.press("Enter");
      await page.getByLabel("Seed seed:h1.1").waitFor();
      expect(page.url()).toMatch(/#\/seeds\/seed%3Ah1\.1$/);
    });
  });

  test("actors: the tree, breakers, dead letters; statecharts and their four forms", async () => {
    await at("#/actors", async ({ page }) => {
      const tree = page.getByLabel("Supervision tree");
      expect(await tree.locator("tbody tr").count()).toBe(7);
      expect(await textOf(tree.locator("tr", { hasText: "tamiyo" }))).toMatch(/running\s+2/);
      expect(await textOf(page.getByLabel("Dead letters"))).toContain("compilation.blueprint.submitted");
      await page.getByRole("button", { name: "Statecharts" }).click();
      await page.locator('.whole [data-state="DORMANT"]').waitFor();
      for (const [name, start] of [
        ["SVG", "<svg"],
        ["Mermaid", "stateDiagram"],
        ["SCXML", "<?xml"],
        ["Stately", "{"],
      ] as const) {
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByTitle(`Save as ${name}`).click()]);
        expect(
          readFileSync(await download.path(), "utf8")
            .trimStart()
            .slice(0, 200),
          name,
        ).toContain(start);
      }
      await page.getByRole("button", { name: "breaker" }).click();
      await page.locator('.whole [data-state="HALF_OPEN"]').waitFor();
    });
  });

  test("decisions: considered, chosen and refused, with the grounds and the gate's answer", async () => {
    await at("#/decisions", async ({ page }) => {
      expect(await page.locator(".decision").count()).toBe(5);
      await page.getByRole("button", { name: /^refused/ }).click();
      expect(await page.locator(".decision").count()).toBe(1);
      await page.getByRole("button", { name: /^refused/ }).click();
      await page.locator(".decision", { hasText: "germinate" }).getByRole("link", { name: "Why" }).click();
      const more = page.locator(".decision-more");
      expect(await textOf(more)).toMatch(/Gate's answer[\s\S]*accepted for window/);
      expect(await textOf(more)).toContain("lower bound 0.0810");
      expect(await page.getByLabel("Waiting for a person").locator("li").count()).toBe(2);
    });
  });

  test("time: open, step by window, mark, compare, branch, and back to the node", async () => {
    await at("#/time", async ({ page }) => {
      await page.getByRole("link", { name: `Open ${sceneRunId}` }).click();
      await page.getByText("recorded", { exact: true }).waitFor();
      const bar = page.getByRole("region", { name: "Recorded run", exact: true });
      expect(await textOf(bar)).toContain("window 40 of 40");
      await page.getByRole("button", { name: "Mark this moment" }).click();
      for (const _ of [1, 2, 3]) await page.keyboard.press(",");
      expect(await textOf(bar)).toContain("window 37 of 40");
      await bar.getByLabel("Moment", { exact: true }).fill("0");
      await page.getByText("No checkpoint at or before this moment").waitFor();
      await page.keyboard.press("Escape");
      await bar.getByRole("button", { name: "A window on" }).click();
      await bar.getByRole("button", { name: "A window on" }).click();
      expect(await textOf(page.getByLabel("Two moments"))).toMatch(/Loss, training[\s\S]*germinated/);
      for (const _ of Array.from({ length: 9 })) await bar.getByRole("button", { name: "A window on" }).click();
      await page.getByText("By command line").click();
      expect(await textOf(page.getByLabel("Branch"))).toContain("esper train --resume checkpoints/scene/10");
      await page.keyboard.press("2");
      await page.locator(".seed-table tbody tr[id]").first().waitFor();
      await page.keyboard.press("6");
      await page.getByText("A recorded run takes no commands").waitFor();
      await bar.getByRole("button", { name: "Back to live" }).click();
      await page.getByText("live", { exact: true }).waitFor();
    });
  });

  test("time: play goes on by itself and ends at the end", async () => {
    await at("#/time", async ({ page }) => {
      await page.getByRole("link", { name: `Open ${sceneRunId}` }).click();
      const bar = page.getByRole("region", { name: "Recorded run", exact: true });
      await bar.getByLabel("Windows a second").selectOption("64");
      await bar.getByRole("button", { name: "Play" }).click();
      await bar.getByRole("button", { name: "Pause" }).waitFor();
      await bar.getByRole("button", { name: "Play" }).waitFor();
      expect(await textOf(bar)).toContain("window 40 of 40");
    });
  });
});

describe("control", () => {
  test("read-only without a token: every command is refused on the page with its reason, and none is sent", async () => {
    await at("#/control", async ({ page }) => {
      const before = server.posted.length;
      const commands = page.locator("[data-command]");
      expect(await commands.count()).toBeGreaterThan(10);
      for (const each of await commands.all()) {
        expect(await each.getAttribute("aria-disabled")).toBe("true");
        await each.dispatchEvent("click");
      }
      expect(await textOf(page.locator(".why").first())).toContain("enter an operator's token");
      expect(server.posted.length).toBe(before);
    });
  });

  test("a token that is none is not taken", async () => {
    await at("#/control", async ({ page }) => {
      await page.getByRole("textbox", { name: "Token" }).fill("not a token");
      await page.getByRole("button", { name: "Enter" }).click();
      await page.getByText(/Expected a token of three parts/).waitFor();
    });
  });

  test("with a token: pause, its receipt; a refusal with its code; the irreversible asks first", async () => {
    await at("#/control", async (watched) => {
      const { page } = watched;
      await enterToken(watched, "operator");
      await page.getByRole("button", { name: "Pause the run" }).click();
      await page.locator(".notice", { hasText: "accepted" }).waitFor();
      const pause = server.posted.at(-1);
      expect(pause?.command).toMatchObject({ kind: "pause", runId: sceneRunId, requestId: expect.stringMatching(/^page-/) });
      expect(pause?.authorization).toBe(`Bearer ${tokenOf("operator")}`);

      await page.getByLabel("At most").fill("1e9");
      await page.getByRole("button", { name: "Set the limit" }).click();
      await page.locator(".notice", { hasText: "less than is used (budget)" }).waitFor();

      const cull = page.locator('.commands [data-command="cull"]');
      await page.getByLabel("Seed", { exact: true }).fill("seed:h3");
      await page.getByLabel("Seed", { exact: true }).press("Enter");
      await cull.click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Reason, for the ledger").fill("it drifts");
      const before = server.posted.length;
      await dialog.getByRole("button", { name: "Leave it" }).click();
      expect(server.posted.length).toBe(before);
      await cull.click();
      await dialog.getByLabel("Reason, for the ledger").fill("it drifts");
      await dialog.getByRole("button", { name: "Cull seed:h3" }).click();
      await page.locator(".notice", { hasText: "Cull seed:h3: accepted" }).waitFor();
      expect(server.posted.at(-1)?.command).toMatchObject({ kind: "cull", seedId: "seed:h3", reason: "it drifts" });

      const germinate = page.locator('.commands [data-command="germinate"]');
      expect(await germinate.getAttribute("aria-disabled")).toBe("true");
      await germinate.dispatchEvent("click");
      await page
        .getByText(/GERMINATE is legal in DORMANT; seed:h3 is GRAFTING/)
        .first()
        .waitFor();
    });
  });

  test("what waits for a person is approved with its request id", async () => {
    await at("#/control", async (watched) => {
      const { page } = watched;
      await enterToken(watched, "operator");
      await page.getByRole("button", { name: "Approve" }).click();
      await page.locator(".notice", { hasText: "accepted" }).waitFor();
      expect(server.posted.at(-1)?.command).toMatchObject({ kind: "approve", target: "tamiyo-9" });
    });
  });

  test("dead letters are shown, sent again, and dropped when confirmed; one that is stuck says why not", async () => {
    await at("#/control", async (watched) => {
      const { page } = watched;
      await enterToken(watched, "operator");
      const desk = page.getByLabel("Dead letters");
      await desk.getByRole("button", { name: "Show dead letter 3" }).click();
      await desk.getByText("what was in it").waitFor();
      await desk.getByRole("button", { name: "Send again" }).first().click();
      await page.locator(".notice", { hasText: "Send dead letter 3 again: accepted" }).waitFor();
      expect(server.posted.at(-1)?.command).toMatchObject({ kind: "dead_letter", action: "retry", id: 3 });
      const before = server.posted.length;
      await desk.getByRole("button", { name: "Drop" }).first().click();
      expect(server.posted.length).toBe(before);
      await page.getByRole("dialog").getByRole("button", { name: "Drop dead letter 3" }).click();
      await page.locator(".notice", { hasText: "Drop dead letter 3: accepted" }).waitFor();
      expect(server.posted.at(-1)?.command).toMatchObject({ kind: "dead_letter", action: "drop", id: 3 });
      const stuck = desk.getByRole("button", { name: "Send again" }).nth(1);
      expect(await stuck.getAttribute("aria-disabled")).toBe("true");
      await stuck.dispatchEvent("click");
      await desk.getByText("it cannot be sent again: its message is gone").first().waitFor();
    });
  });

  test("a checkpoint is loaded, and the node ends only when confirmed", async () => {
    await at("#/control", async (watched) => {
      const { page } = watched;
      await enterToken(watched, "operator");
      await page.getByRole("button", { name: "Load this checkpoint" }).click();
      await page.locator(".notice", { hasText: "Load the checkpoint of window 10" }).waitFor();
      expect(server.posted.at(-1)?.command).toMatchObject({ kind: "start", resume: `checkpoints/${sceneRunId}/10`, config: {} });
      const before = server.posted.length;
      await page.getByRole("button", { name: "End the node" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Leave it" }).click();
      expect(server.posted.length).toBe(before);
      await page.getByRole("button", { name: "End the node" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "End the node" }).click();
      await page.locator(".notice", { hasText: "End the node: accepted" }).waitFor();
      expect(server.posted.at(-1)?.command).toMatchObject({ kind: "shutdown" });
    });
  });

  test("a token that is forgotten makes the page read-only again, and stands in no address", async () => {
    await at("#/control", async (watched) => {
      const { page } = watched;
      await enterToken(watched, "operator");
      expect(page.url()).not.toContain("eyJ");
      await page.getByRole("button", { name: "Forget it" }).click();
      expect(await page.locator('[data-command="pause"]').first().getAttribute("aria-disabled")).toBe("true");
    });
  });
});

describe("frame", () => {
  test("keys: 1 to 6 go to the views, ? shows the keys, t changes the theme", async () => {
    await at("#/overview", async ({ page }) => {
      for (const [key, title] of [
        ["2", "Seeds"],
        ["3", "Actors"],
        ["4", "Decisions"],
        ["5", "Time"],
        ["6", "Control"],
        ["1", "Overview"],
      ] as const) {
        await page.keyboard.press(key);
        await page.getByRole("heading", { level: 1, name: title }).waitFor();
      }
      await page.keyboard.press("?");
      await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
      await page.keyboard.press("Escape");
      await page.keyboard.press("t");
      await page.keyboard.press("t");
      expect(await page.locator("html").getAttribute("data-theme")).toBe("dark");
      await page.reload();
      expect(await page.locator("html").getAttribute("data-theme")).toBe("dark");
    });
  });

  test("every button and field has a name", async () => {
    for (const hash of ["#/overview", "#/seeds/seed%3Ah3", "#/actors", "#/decisions", "#/time", "#/control"]) {
      await at(hash, async ({ page }) => {
        const nameless = await page.evaluate<string[]>(
          `[...document.querySelectorAll("button, a, input, select")].filter((e) => !(e.innerText?.trim() || e.getAttribute("aria-label") || e.textContent?.trim() || e.labels?.length)).map((e) => e.outerHTML)`,
        );
        expect(nameless).toEqual([]);
      });
    }
  });

  test("by keyboard alone: Tab comes to every control of every view, and one sees where it is", async () => {
    for (const hash of ["#/overview", "#/seeds/seed%3Ah3", "#/actors", "#/decisions", "#/time", "#/control"]) {
      await at(hash, async ({ page }) => {
        const count = await page.evaluate<number>(`(() => {
          const all = [...document.querySelectorAll("a[href], button, input, select, summary, canvas, [tabindex]")];
          const there = all.filter((e) => e.tabIndex >= 0 && !e.disabled && e.getClientRects().length > 0);
          window.__wanted = new Set(there);
          document.activeElement?.blur();
          return there.length;
        })()`);
        const unseen: string[] = [];
        for (let presses = 0; presses < count + 5; presses += 1) {
          await page.keyboard.press("Tab");
          const hidden = await page.evaluate<string>(`(() => {
            const e = document.activeElement;
            window.__wanted.delete(e);
            if (e === document.body) return "";
            const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(e);
            return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none" ? "" : e.outerHTML.slice(0, 120);
          })()`);
          if (hidden !== "") unseen.push(hidden);
        }
        expect(unseen, hash).toEqual([]);
        const left = await page.evaluate<string[]>(
          `[...window.__wanted].filter((e) => e.isConnected).map((e) => e.outerHTML.slice(0, 120))`,
        );
        expect(left, hash).toEqual([]);
      });
    }
  });

  test("no view is wider than the window, at both sizes", async () => {
    for (const [width, height] of [
      [1280, 720],
      [390, 844],
    ] as const) {
      const { page, context } = await openPage(browser, `${server.url}#/overview`, { width, height });
      for (const hash of ["overview", "seeds", "seeds/seed%3Ah3", "actors", "actors/seed", "decisions", "time", "control"]) {
        await page.goto(`${server.url}#/${hash}`);
        await page.getByText("live", { exact: true }).waitFor();
        const [inner, scrolled] = await page.evaluate<[number, number]>(
          `[document.querySelector("main").clientWidth, document.querySelector("main").scrollWidth]`,
        );
        expect(scrolled, `${hash} at ${width}`).toBeLessThanOrEqual(inner);
      }
      await context.close();
    }
  });

  test("the node goes away and comes back: the page says so, keeps what it knew, and connects again", async () => {
    const own = await startPageServer({ folder: built.folder, state: scene() });
    const { page, context } = await openPage(browser, `${own.url}#/overview`);
    await page.getByText("live", { exact: true }).waitFor();
    await own.close();
    await page.getByRole("alert").waitFor();
    expect(await textOf(page.getByRole("alert"))).toContain("Disconnected");
    expect(await page.locator(".host-graph .layer").count()).toBe(6);
    const again = await startPageServer({ folder: built.folder, state: scene({ layers: 4 }), port: own.port });
    await page.getByText("live", { exact: true }).waitFor({ timeout: 30_000 });
    expect(await page.locator(".host-graph .layer").count()).toBe(4);
    await context.close();
    await again.close();
  });

  test("recorded runs without a node: the only one is opened by itself", async () => {
    const own = await startPageServer({ folder: built.folder, runs: [sceneRecorded()] });
    const { page, context } = await openPage(browser, `${own.url}#/overview`);
    await page.getByText("Recorded runs only").waitFor();
    await page.keyboard.press("5");
    await page.getByRole("region", { name: "Recorded run", exact: true }).waitFor();
    await page.keyboard.press("1");
    expect(await page.locator(".host-graph .layer").count()).toBe(6);
    await context.close();
    await own.close();
  });

  test("the page weighs less than 200 kB, zipped, and has nothing inline", () => {
    const names = readdirSync(built.folder, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && /\.(html|js|css|svg)$/.test(entry.name),
    );
    const zipped = names.map((entry) => gzipSync(readFileSync(join(entry.parentPath, entry.name))).length);
    expect(names.length).toBeGreaterThan(3);
    expect(zipped.reduce((sum, size) => sum + size, 0)).toBeLessThan(200_000);
    const html = readFileSync(join(built.folder, "index.html"), "utf8");
    expect(html).not.toMatch(/<style|style=|<script(?![^>]*\bsrc=)|\son\w+=|https?:/);
  });
});
