/** Small pieces of SVG: escaped text, scales, axes. Pure text. */

/** Text that HTML and SVG take as text, in an element or in a quoted attribute. */
export const escapeText = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

export interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** 1, 2 or 5 times a power of ten. */
const niceStep = (span: number, count: number): number => {
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
};

/** Values on a length of pixels. A span of nothing is widened, so that a single value stands in the middle. */
export const linearScale = (low: number, high: number, start: number, end: number, count = 5): Scale => {
  const [from, to] = high > low ? [low, high] : [low - 0.5, low + 0.5];
  const step = niceStep(to - from, count);
  const first = Math.ceil(from / step - 1e-9);
  const ticks: number[] = [];
  for (let index = first; index * step <= to + 1e-9 * step && ticks.length < 50; index++)
    ticks.push(Number((index * step).toPrecision(12)));
  return { at: (value) => start + ((value - from) / (to - from)) * (end - start), ticks, from, to };
};

/** The same by powers of ten; values below `low` stand at it. */
export const logScale = (low: number, high: number, start: number, end: number): Scale => {
  const [from, to] = [Math.log10(low), Math.log10(Math.max(high, low * 1.01))];
  const ticks: number[] = [];
  for (let power = Math.ceil(from); power <= Math.floor(to); power++) ticks.push(10 ** power);
  const at = (value: number): number => start + ((Math.log10(Math.max(value, low)) - from) / (to - from)) * (end - start);
  return { at, ticks, from: low, to: 10 ** to };
};

export const px = (value: number): string => (Number.isFinite(value) ? Number(value.toFixed(1)).toString() : "0");

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export const frame: Frame = { width: 640, height: 340, left: 58, right: 16, top: 14, bottom: 46 };

export interface AxisText {
  readonly label: string;
  readonly format: (value: number) => string;
}

/** Grid lines, tick labels and axis titles. */
export const axes = (
  { width, height, left, right, top, bottom }: Frame,
  x: Scale,
  y: Scale,
  xText: AxisText,
  yText: AxisText,
): string => {
  const [floor, end] = [height - bottom, width - right];
  const vertical = x.ticks.map(
    (tick) =>
      `<line class="grid" x1="${px(x.at(tick))}" x2="${px(x.at(tick))}" y1="${top}" y2="${floor}"/><text class="tick" x="${px(x.at(tick))}" y="${floor + 16}" text-anchor="middle">${escapeText(xText.format(tick))}</text>`,
  );
  const horizontal = y.ticks.map(
    (tick) =>
      `<line class="grid" x1="${left}" x2="${end}" y1="${px(y.at(tick))}" y2="${px(y.at(tick))}"/><text class="tick" x="${left - 7}" y="${px(y.at(tick) + 4)}" text-anchor="end">${escapeText(yText.format(tick))}</text>`,
  );
  const middle = (top + floor) / 2;
  return [
    ...vertical,
    ...horizontal,
    `<line class="axis" x1="${left}" x2="${end}" y1="${floor}" y2="${floor}"/>`,
    `<text class="label" x="${(left + end) / 2}" y="${height - 8}" text-anchor="middle">${escapeText(xText.label)}</text>`,
    `<text class="label" transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">${escapeText(yText.label)}</text>`,
  ].join("");
};

/** A drawing that a screen reader can name. */
export const drawing = ({ width, height }: Pick<Frame, "width" | "height">, title: string, content: string): string =>
  `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}">${content}</svg>`;

export const polyline = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y]) => `${px(x)},${px(y)}`).join(" ");
