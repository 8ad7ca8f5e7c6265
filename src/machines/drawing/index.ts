/** Every machine of the program as it is drawn, and the forms in which it is written. Pure: a page bundles it as it is. */
import type { MachineDrawing } from "./layout.ts";
import layouts from "./layouts.json" with { type: "json" };

export type { Box, LaidEdge, LaidState, MachineDrawing, MachineLayout, Point } from "./layout.ts";
export { toMermaid } from "./mermaid.ts";
export { headPath, roundedPath } from "./pieces.ts";
export { toScxml } from "./scxml.ts";
export { toStately } from "./stately.ts";
export { bandPath, toSvg } from "./svg.ts";

/** By name. Written by `scripts/machine-layout.mjs`; a test holds them to the machines' definitions. */
export const drawings = layouts as Readonly<Record<string, MachineDrawing>>;
