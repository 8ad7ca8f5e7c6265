/** The drawings in a browser: texts stay in their boxes, states apart, nothing runs, nothing is asked for. */
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layOut } from "../../../scripts/machines/layout.ts";
import { describeMachine } from "../../../src/machines/catalogue.ts";
import { drawings, type MachineDrawing, toScxml, toSvg } from "../../../src/machines/drawing/index.ts";
import { hostileMachine, nestedMachine } from "./fixtures.ts";

let browser: Browser;
let page: Page;
const asked: string[] = [];
const ours = Object.keys(drawings);
const all: Record<string, MachineDrawing> = { ...drawings };

beforeAll(async () => {
  for (const [name, machine] of Object.entries({ oven: nestedMachine, hostile: hostileMachine })) {
    const description = describeMachine(name, machine);
    all[name] = { description, layout: await layOut(description) };
  }
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  page = await browser.newPage();
  page.on("request", ({ url }) => asked.push(url()));
  page.on("dialog", (dialog) => {
    asked.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
});
afterAll(() => browser?.close());

const svgOf = (name: string, theme: "light" | "dark" = "light"): string => {
  const { description, layout } = all[name]!;
  return toSvg(description, layout, { theme });
};

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

interface Rendered {
  readonly states: readonly {
    readonly id: string;
    readonly box: Rectangle;
    readonly texts: readonly (Rectangle & { readonly text: string })[];
  }[];
  /** What lies outside the drawing. */
  readonly outside: readonly string[];
}

/** Runs in the page. */
const measured = `(() => {
  const root = document.querySelector("svg");
  const { width, height } = root.viewBox.baseVal;
  const boxOf = (element) => (({ x, y, width, height }) => ({ x, y, width, height }))(element.getBBox());
  return {
    states: [...root.querySelectorAll("[data-state]")].map((group) => ({
      id: group.getAttribute("data-state"),
      box: boxOf(group.querySelector("rect")),
      texts: [...group.querySelectorAll("text")].map((text) => ({ ...boxOf(text), text: text.textContent })),
    })),
    outside: [...root.querySelectorAll("text, rect, path, circle")]
      .map((element) => ({ element, box: boxOf(element) }))
      .filter(({ box }) => box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height)
      .map(({ element }) => element.outerHTML),
  };
})()`;

/** Sizes as the browser's fonts make them. */
const render = async (svg: string): Promise<Rendered> => {
  await page.setContent(`<body style="margin:0">${svg}`);
  return page.evaluate<Rendered>(measured);
};

describe("svg in a browser", () => {
  test.each([...ours, "oven", "hostile"])("%s: every text lies in its state's box, nothing outside the drawing", async (name) => {
    const { states, outside } = await render(svgOf(name));
    expect(states.map(({ id }) => id)).toEqual(all[name]!.layout.states.map(({ id }) => id));
    for (const { box, texts } of states)
      for (const text of texts) {
        expect(text.x, text.text).toBeGreaterThanOrEqual(box.x);
        expect(text.x + text.width, text.text).toBeLessThanOrEqual(box.x + box.width);
        expect(text.y, text.text).toBeGreaterThanOrEqual(box.y);
        expect(text.y + text.height, text.text).toBeLessThanOrEqual(box.y + box.height);
      }
    expect(outside).toEqual([]);
  });

  test.each(ours)("%s: no two states overlap, and a label covers no state", async (name) => {
    const { states } = await render(svgOf(name));
    states.forEach(({ id, box: a }, index) => {
      for (const { id: other, box: b } of states.slice(index + 1)) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
        expect(apart, `${id} ${other}`).toBe(true);
      }
    });
  });

  test("it has a name and a description for those who hear it, and looks different in the dark", async () => {
    await render(svgOf("seed"));
    const named = await page.evaluate<(string | null)[]>(`(() => {
      const svg = document.querySelector("svg");
      const texts = svg.getAttribute("aria-labelledby").split(" ").map((id) => document.getElementById(id).textContent);
      return [svg.getAttribute("role"), ...texts];
    })()`);
    expect(named).toEqual([
      "img",
      "State machine: seed",
      expect.stringContaining("takes effect at an epoch boundary. States: DORMANT, GERMINATED"),
    ]);
    expect(svgOf("seed", "dark")).not.toBe(svgOf("seed"));
  });

  test("hostile names and texts are shown, not run; nothing is asked for", async () => {
    asked.length = 0;
    const { states } = await render(svgOf("hostile"));
    expect(states.map(({ id }) => id)).toContain('a"<b>');
    expect(states[0]!.texts[0]!.text).toBe('a"<b>');
    await page.goto(`data:image/svg+xml,${encodeURIComponent(svgOf("hostile"))}`);
    expect(await page.evaluate<number>('document.querySelectorAll("script, img, style, [onerror]").length')).toBe(0);
    await page.goto("about:blank");
    expect(asked.filter((each) => !/^(data|about):/.test(each))).toEqual([]);
  });

  test("a page that allows no style and no script of its own shows it whole", async () => {
    const policy = "default-src 'none'";
    const reports: string[] = [];
    const heard = (message: { text(): string }) => reports.push(message.text());
    page.on("console", heard);
    await page.setContent(`<meta http-equiv="Content-Security-Policy" content="${policy}">${svgOf("run")}`);
    page.off("console", heard);
    expect(reports.filter((each) => each.includes("Content Security Policy"))).toEqual([]);
  });
});

describe("xml in a browser", () => {
  test.each([...ours, "oven", "hostile"])("%s: SVG and SCXML are well-formed", async (name) => {
    for (const [text, root] of [
      [svgOf(name), "svg"],
      [toScxml(all[name]!.description), "scxml"],
    ] as const)
      expect(
        await page.evaluate<string>(`(() => {
          const parsed = new DOMParser().parseFromString(${JSON.stringify(text)}, "application/xml");
          return parsed.querySelector("parsererror")?.textContent ?? parsed.documentElement.localName;
        })()`),
      ).toBe(root);
  });
});
