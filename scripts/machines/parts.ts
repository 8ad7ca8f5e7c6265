/** What a state's box and an arrow's label hold, and the room they need. */
import type { MachineDescription, StateDescription, TransitionDescription } from "../../src/machines/catalogue.ts";
import type { LaidTransition } from "../../src/machines/drawing/layout.ts";
import { sizes } from "../../src/machines/drawing/sizes.ts";
import { anywhereOf, labelsOf, staysOf, wrapped } from "../../src/machines/drawing/words.ts";
import { measureText, measureTitle } from "./text.ts";

const title = measureTitle(sizes.titleFont);
const text = measureText(sizes.textFont);

const detailWidthMax = 216;
const noteWidthMax = 470;
const finalMarkWidth = 22;

export interface StateParts {
  readonly details: readonly string[];
  readonly stays: readonly string[];
  readonly width: number;
  readonly height: number;
}

const widest = (lines: readonly string[], measure = text): number => Math.max(0, ...lines.map(measure));

const keyOf = (id: string): string => id.slice(id.lastIndexOf(".") + 1);

export const statePartsOf = (state: StateDescription): StateParts => {
  const details = wrapped(state.description, detailWidthMax, text);
  const stays = labelsOf(staysOf(state)).flatMap((line) => wrapped(`↻ ${line}`, detailWidthMax, text));
  const held = [
    ...(state.entry ?? []).map((action) => `entry: ${action}`),
    ...(state.exit ?? []).map((action) => `exit: ${action}`),
    ...(state.invokes ?? []).map(({ source }) => `runs: ${source}`),
  ].flatMap((line) => wrapped(line, detailWidthMax, text));
  const inner = [...held, ...stays];
  const lines = details.length + inner.length;
  return {
    details,
    stays: inner,
    width:
      sizes.band +
      2 * sizes.pad +
      Math.max(widest([keyOf(state.name)], title) + (state.final ? finalMarkWidth : 0), widest([...details, ...inner])),
    height:
      2 * sizes.pad + sizes.titleLine + lines * sizes.textLine + (details.length > 0 && inner.length > 0 ? sizes.staysGap : 0),
  };
};

export interface TextParts {
  readonly lines: readonly string[];
  readonly width: number;
  readonly height: number;
}

export const labelPartsOf = (transitions: readonly TransitionDescription[], widthMax: number): TextParts => {
  const lines = labelsOf(transitions).flatMap((line) => wrapped(line, widthMax, text));
  return { lines, width: widest(lines) + 2 * sizes.labelPad, height: lines.length * sizes.textLine + 2 };
};

export const notePartsOf = (description: MachineDescription): TextParts | undefined => {
  const lines = anywhereOf(description).flatMap((line) => wrapped(line, noteWidthMax, text));
  return lines.length === 0
    ? undefined
    : { lines, width: widest(lines) + 2 * sizes.pad, height: lines.length * sizes.textLine + 2 * sizes.pad };
};

export const laidTransitions = (transitions: readonly TransitionDescription[]): LaidTransition[] =>
  transitions.map(({ event, guard, otherwise }) => ({
    event,
    ...(guard === undefined ? {} : { guard }),
    ...(otherwise ? { otherwise } : {}),
  }));
