/** The pieces of a drawing as text. */
import { describe, expect, test } from "vitest";
import { bandPath, drawings, headPath, roundedPath, toSvg } from "../../../src/machines/drawing/index.ts";
import { escapeXml } from "../../../src/machines/drawing/xml.ts";
import { hostileText } from "./fixtures.ts";

describe("paths", () => {
  test("a way of two points is straight, a corner is rounded, a short piece only to its middle", () => {
    expect(
      roundedPath([
        { x: 0, y: 0 },
        { x: 9, y: 0 },
      ]),
    ).toBe("M0 0L9 0");
    expect(
      roundedPath(
        [
          { x: 0, y: 0 },
          { x: 20, y: 0 },
          { x: 20, y: 6 },
        ],
        5,
      ),
    ).toBe("M0 0L15 0Q20 0 20 3L20 6");
    expect(roundedPath([])).toBe("");
  });

  test("an arrow's head points where the way ends; without a way there is none", () => {
    expect(
      headPath([
        { x: 0, y: 0 },
        { x: 0, y: 20 },
      ]),
    ).toBe("M0 20L-4 12L4 12z");
    expect(headPath([{ x: 1, y: 1 }])).toBe("");
    expect(
      headPath([
        { x: 1, y: 1 },
        { x: 1, y: 1 },
      ]),
    ).not.toContain("NaN");
  });

  test("a band is rounded on its box's outer side", () => {
    const { states } = drawings["seed"]!.layout;
    const [culled, rolledBack] = ["CULLED", "ROLLED_BACK"].map((name) => states.find(({ id }) => id === name)!);
    expect([culled!.band.x === culled!.x, rolledBack!.band.x > rolledBack!.x]).toEqual([true, true]);
    expect(bandPath(culled!)).toMatch(/H[\d.]+q-6 0 -6 6v/);
    expect(bandPath(rolledBack!)).toMatch(/H[\d.]+q6 0 6 6v/);
  });
});

describe("text", () => {
  test("every character with a meaning in XML is escaped, what XML cannot hold is replaced", () => {
    expect(escapeXml(`<a b="c">&'`)).toBe("&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
    expect(escapeXml("a\u0000b\u{1F600}\uD800")).toBe("a\u{FFFD}b\u{1F600}\u{FFFD}");
  });

  test("a hostile text leaves no mark-up in a drawing", () => {
    const { description, layout } = drawings["run"]!;
    const states = description.states.map((state) => ({ ...state, description: hostileText }));
    const svg = toSvg({ ...description, description: hostileText, states }, layout, { theme: "dark" });
    expect(svg).not.toMatch(/<(img|script|style)|on\w+="|javascript:|url\(|href/);
    expect(svg).toContain("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
  });
});
