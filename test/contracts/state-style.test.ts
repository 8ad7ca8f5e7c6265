/** Every state can be told from every other: by its glyph, and by its colour also where colours are seen differently. */
import { describe, expect, test } from "vitest";
import { lifecycleStates } from "../../src/contracts/lifecycle.ts";
import { seedStateStyles, stateStyle, type Theme } from "../../src/contracts/state-style.ts";

type Rgb = readonly [number, number, number];
const themes: readonly Theme[] = ["light", "dark"];

const linear = (hex: string): Rgb => {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return [r!, g!, b!];
};
const times = (matrix: readonly Rgb[], [r, g, b]: Rgb): Rgb => {
  const [x, y, z] = matrix.map((row) => row[0] * r + row[1] * g + row[2] * b);
  return [x!, y!, z!];
};
const lab = (rgb: Rgb): Rgb => {
  const xyz = times(
    [
      [0.4124, 0.3576, 0.1805],
      [0.2126, 0.7152, 0.0722],
      [0.0193, 0.1192, 0.9505],
    ],
    rgb,
  );
  const [x, y, z] = [xyz[0] / 0.9505, xyz[1], xyz[2] / 1.089].map((t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116));
  return [116 * y! - 16, 500 * (x! - y!), 200 * (y! - z!)];
};
const contrast = (a: string, b: string): number => {
  const [high, low] = [a, b]
    .map((hex) => linear(hex))
    .map(([r, g, blue]) => 0.2126 * r + 0.7152 * g + 0.0722 * blue + 0.05)
    .sort((first, second) => second - first);
  return high! / low!;
};

/** G. Machado, M. Oliveira, L. Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009; severity 1. */
const seen: Readonly<Record<string, readonly Rgb[]>> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

describe("state styles", () => {
  test("all eleven states have one, each with a glyph and a shape of its own", () => {
    expect(Object.keys(seedStateStyles)).toEqual([...lifecycleStates]);
    const styles = Object.values(seedStateStyles);
    expect(new Set(styles.map(({ glyph }) => glyph)).size).toBe(11);
    expect(new Set(styles.map(({ path }) => path)).size).toBe(11);
    for (const { glyph } of styles) expect([...glyph]).toHaveLength(1);
  });

  test("no glyph is one that systems may show as an emoji", () => {
    for (const { glyph } of Object.values(seedStateStyles)) expect(glyph).not.toMatch(/\p{Emoji}/u);
  });

  test.each(Object.entries(seen))("two states differ in colour: %s", (_name, matrix) => {
    for (const theme of themes) {
      const colors = Object.entries(seedStateStyles).map(([name, { color }]) => ({
        name,
        lab: lab(times(matrix, linear(color[theme]))),
      }));
      const distances = colors.flatMap((a, index) =>
        colors
          .slice(index + 1)
          .map((b) => ({ pair: `${a.name} ${b.name}`, by: Math.hypot(...a.lab.map((value, axis) => value - b.lab[axis]!)) })),
      );
      const nearest = distances.reduce((least, each) => (each.by < least.by ? each : least));
      expect(nearest.by, nearest.pair).toBeGreaterThan(10);
    }
  });

  test.each(themes)("the glyph can be read on its colour: %s", (theme) => {
    for (const { color, ink } of Object.values(seedStateStyles)) expect(contrast(color[theme], ink[theme])).toBeGreaterThan(4.5);
  });

  test("a state of another machine looks like one of a seed's; an unknown one, and a name of Object's own, like a dormant one", () => {
    expect(stateStyle("breaker", "OPEN")).toBe(seedStateStyles.CULLED);
    expect(stateStyle("seed", "FOSSILIZED")).toBe(seedStateStyles.FOSSILIZED);
    for (const [machine, state] of [
      ["seed", "constructor"],
      ["nobody", "x"],
      ["run", "toString"],
      ["constructor", "name"],
    ] as const)
      expect(stateStyle(machine, state)).toBe(seedStateStyles.DORMANT);
  });
});
