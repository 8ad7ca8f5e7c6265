/** Where everything of a drawn machine lies, in pixels from the top left corner. Plain data: written once, drawn anywhere. */
import type { MachineDescription } from "../catalogue.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

/** Lines of text in a box that they fit in. */
export interface TextBox extends Box {
  readonly lines: readonly string[];
  readonly align: "start" | "middle" | "end";
}

export interface LaidState extends Box {
  /** As in the description. */
  readonly id: string;
  /** Its coloured edge, with the glyph. */
  readonly band: Box;
  /** Goes on from the band where arrows meet it beyond the box. */
  readonly spine?: Box;
  /** What it is for, broken into lines. */
  readonly details: readonly string[];
  /** Events that it takes without being left, broken into lines. */
  readonly stays: readonly string[];
  readonly final: boolean;
  /** It holds the states that name it as their parent; its own text stands in its head. */
  readonly headHeight?: number;
}

export interface LaidTransition {
  readonly event: string;
  readonly guard?: string;
  readonly otherwise?: true;
}

/** All transitions from one state to another as one arrow. */
export interface LaidEdge {
  /** `edgeId(from, to)`. */
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly transitions: readonly LaidTransition[];
  /** The arrow's corners, from one box to the other; each piece is horizontal or vertical. */
  readonly points: readonly Point[];
  readonly label: TextBox;
}

export interface MachineLayout extends Box {
  readonly states: readonly LaidState[];
  readonly edges: readonly LaidEdge[];
  /** One arrow from a dot into each state that the machine begins in. */
  readonly starts: readonly { readonly to: string; readonly points: readonly Point[] }[];
  /** What is taken in any state, said once. */
  readonly note?: TextBox;
}

export interface MachineDrawing {
  readonly description: MachineDescription;
  readonly layout: MachineLayout;
}
