/** How a state looks on this page: fill, ink and shape from the one table of the program, and a stroke that can be seen on the ground. */
import type { LifecycleState } from "../../contracts/lifecycle.ts";
import { glyphUnits, seedStateStyles, stateStyle } from "../../contracts/state-style.ts";

export { glyphUnits };

export interface StateLook {
  readonly fill: string;
  readonly ink: string;
  /** For lines and text on the page's ground. */
  readonly line: string;
  readonly glyph: string;
  /** SVG path in a square of `glyphUnits`, even-odd. */
  readonly path: string;
}

export const stateNames = Object.keys(seedStateStyles) as readonly LifecycleState[];
const codes = new Map<string, number>(stateNames.map((name, code) => [name, code]));
export const codeOf = (state: LifecycleState): number => codes.get(state) ?? 0;

const channels = (hex: string): readonly number[] => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
/** Relative luminance (WCAG 2). */
const luminance = (hex: string): number => {
  const [red, green, blue] = channels(hex).map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
};
const mixed = (hex: string, towards: number, share: number): string =>
  `#${channels(hex)
    .map((value) =>
      Math.round(value * (1 - share) + towards * share)
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;

/** At least 3 : 1 on the ground of the theme (WCAG 1.4.11). */
const visible = (hex: string, dark: boolean): string => {
  const ground = dark ? 0.009 : 1;
  let color = hex;
  for (let step = 0; step < 12; step += 1) {
    const own = luminance(color);
    const contrast = (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
    if (contrast >= 3) return color;
    color = mixed(color, dark ? 255 : 0, 0.1);
  }
  return color;
};

const looks = new Map<string, StateLook>();

/** Of any machine's state; seeds unless told otherwise. */
export const styleOf = (state: string, dark: boolean, machine = "seed"): StateLook => {
  const key = `${machine}/${state}/${dark}`;
  const known = looks.get(key);
  if (known !== undefined) return known;
  const { color, ink, glyph, path } = stateStyle(machine, state);
  const theme = dark ? "dark" : "light";
  const look = { fill: color[theme], ink: ink[theme], line: visible(color[theme], dark), glyph, path };
  looks.set(key, look);
  return look;
};
