/** Sizes of everything that is drawn, in pixels: the layout leaves room by them, the drawing keeps to them. */
export const sizes = {
  titleFont: 13,
  textFont: 11,
  titleLine: 19,
  textLine: 15,
  /** The coloured edge of a state, with its glyph. */
  band: 30,
  glyph: 16,
  pad: 10,
  labelPad: 4,
  /** Between what a state is for and the events that it takes without being left. */
  staysGap: 5,
  corner: 6,
  /** Radius of an arrow's bends. */
  bend: 7,
  /** Length and half the width of an arrow's head. */
  head: 8,
  headHalf: 4,
  startRadius: 5,
  margin: 24,
} as const;
