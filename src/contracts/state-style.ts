/**
 * How a state looks wherever it is shown: a colour and a glyph each, so that no state is told by colour alone.
 *
 * The hues are those of M. Okabe and K. Ito, Color Universal Design, 2008; where eleven states need more than eight, a lighter or darker one of
 * the same hue stands for the state before it on the way. ROLLED_BACK has the palette's black, DORMANT a grey.
 */
import type { LifecycleState } from "./lifecycle.ts";

export type Theme = "light" | "dark";

export interface StateStyle {
  /** Fill of a state's mark, as #rrggbb. */
  readonly color: Readonly<Record<Theme, string>>;
  /** What is drawn on that fill. */
  readonly ink: Readonly<Record<Theme, string>>;
  /** One character that common system fonts have and none shows as an emoji. */
  readonly glyph: string;
  /** The same shape as an SVG path in a square of `glyphUnits`, to be filled by the even-odd rule. */
  readonly path: string;
}

export const glyphUnits = 16;

const black = "#000000";
const white = "#ffffff";

const shape = (color: string, ink: string, glyph: string, path: string): StateStyle => ({
  color: { light: color, dark: color },
  ink: { light: ink, dark: ink },
  glyph,
  path,
});

const ring = "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM8 4a4 4 0 1 1 0 8a4 4 0 1 1 0-8z";

export const seedStateStyles: Readonly<Record<LifecycleState, StateStyle>> = {
  DORMANT: shape("#7a7a7a", black, "○", ring),
  GERMINATED: shape("#f0e442", black, "◔", `${ring}M8 8V4a4 4 0 0 1 4 4z`),
  LOADING: shape("#e69f00", black, "◑", `${ring}M8 4a4 4 0 0 1 0 8z`),
  TRAINING: shape("#56b4e9", black, "●", "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12z"),
  GRAFTING: shape("#0072b2", white, "◢", "M14 2V14H2z"),
  STABILIZATION: shape("#8f4a73", white, "▬", "M2 6h12v4H2z"),
  EVALUATING: shape("#cc79a7", black, "◎", `${ring}M8 6a2 2 0 1 0 0 4a2 2 0 1 0 0-4z`),
  FINE_TUNING: shape("#86d9c1", black, "◆", "M8 1l7 7l-7 7l-7-7z"),
  FOSSILIZED: shape("#009e73", black, "■", "M3 3h10v10H3z"),
  CULLED: shape("#d55e00", black, "×", "M3 4.5L4.5 3L8 6.5L11.5 3L13 4.5L9.5 8L13 11.5L11.5 13L8 9.5L4.5 13L3 11.5L6.5 8z"),
  ROLLED_BACK: {
    color: { light: black, dark: white },
    ink: { light: white, dark: black },
    glyph: "↶",
    path: "M6 2L1 6.5L6 11V8h4a2.5 2.5 0 0 1 0 5H6v2h4a4.5 4.5 0 0 0 0-9H6z",
  },
};

/** States of the other machines, each shown like the seed's state that it resembles. */
const likeness: Readonly<Record<string, Readonly<Record<string, LifecycleState>>>> = {
  run: {
    starting: "LOADING",
    training: "TRAINING",
    paused: "STABILIZATION",
    rolling_back: "ROLLED_BACK",
    stopping: "FINE_TUNING",
    done: "FOSSILIZED",
    stopped: "DORMANT",
    failed: "CULLED",
  },
  "compile-job": { queued: "GERMINATED", compiling: "TRAINING", storing: "FINE_TUNING", ready: "FOSSILIZED", failed: "CULLED" },
  breaker: { CLOSED: "FOSSILIZED", OPEN: "CULLED", HALF_OPEN: "LOADING" },
  supervisor: {
    starting: "LOADING",
    running: "TRAINING",
    restarting: "ROLLED_BACK",
    stopping: "FINE_TUNING",
    stopped: "DORMANT",
    escalated: "CULLED",
  },
};

const styles: Readonly<Record<string, StateStyle>> = seedStateStyles;

/** A machine or a state that has no style of its own looks dormant: grey, with a ring. */
export const stateStyle = (machine: string, state: string): StateStyle => {
  const alike = machine === "seed" ? state : likeness[machine]?.[state];
  return (alike !== undefined && Object.hasOwn(styles, alike) ? styles[alike] : undefined) ?? seedStateStyles.DORMANT;
};
