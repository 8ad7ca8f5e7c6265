/**
 * Draws the seeds' grid on a canvas. One pixel of a hidden picture is one seed; the sight is that picture, scaled. So panning over
 * a hundred thousand seeds costs one copy, and a change of state costs one pixel.
 */
import { glyphUnits } from "../../parts/state-look.ts";
import { type Box, cellAt, placeOf, rowsFor, type Sight } from "./grid-geometry.ts";

export interface GridLook {
  /** Colour of each state code, as `#rrggbb`. */
  readonly colors: readonly string[];
  /** Shape of each state in a square of `glyphUnits`, even-odd. */
  readonly shapes: readonly Path2D[];
  /** What is written on each colour. */
  readonly inks: readonly string[];
  readonly ground: string;
  readonly ink: string;
  readonly accent: string;
}

export interface GridCells {
  readonly order: Uint32Array;
  readonly count: number;
  /** State code of each cell. */
  readonly codes: Uint8Array;
  readonly title: (index: number) => string;
  readonly note: (index: number) => string;
}

const glyphFromPx = 13;
const textFromPx = 72;
const gapFromPx = 5;

const rgba = (hex: string): number => {
  const value = Number.parseInt(hex.slice(1, 7), 16);
  // Little endian: alpha, blue, green, red.
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
};

export class GridCanvas {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #picture = document.createElement("canvas");
  #pixels: Uint32Array = new Uint32Array(0);
  #image: ImageData | undefined;
  #painted: GridCells | undefined;
  #paintedLook: GridLook | undefined;
  #columns = 1;
  #box: Box = { width: 0, height: 0 };

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("expected a canvas that can be drawn on, this browser gave none");
    this.#context = context;
  }

  resize(box: Box): void {
    this.#box = box;
    this.#canvas.width = Math.max(1, Math.round(box.width * devicePixelRatio));
    this.#canvas.height = Math.max(1, Math.round(box.height * devicePixelRatio));
  }

  /** Writes the cells that changed into the hidden picture. */
  #paint(cells: GridCells, columns: number, look: GridLook): void {
    const rows = rowsFor(cells.count, columns);
    const colors = look.colors.map(rgba);
    let changed = this.#painted !== cells || this.#paintedLook !== look;
    if (
      this.#image === undefined ||
      this.#picture.width !== columns ||
      this.#picture.height !== rows ||
      this.#columns !== columns
    ) {
      this.#picture.width = columns;
      this.#picture.height = rows;
      this.#image = new ImageData(columns, rows);
      this.#pixels = new Uint32Array(this.#image.data.buffer);
      this.#columns = columns;
      changed = true;
    }
    if (!changed) return;
    const pixels = this.#pixels;
    let first = -1;
    let last = -1;
    for (let index = 0; index < pixels.length; index += 1) {
      const color = index < cells.count ? (colors[cells.codes[index]!] ?? 0) : 0;
      if (pixels[index] === color) continue;
      pixels[index] = color;
      if (first < 0) first = index;
      last = index;
    }
    this.#painted = cells;
    this.#paintedLook = look;
    if (first < 0) return;
    const top = Math.floor(first / columns);
    const height = Math.floor(last / columns) - top + 1;
    this.#picture.getContext("2d")?.putImageData(this.#image, 0, 0, 0, top, columns, height);
  }

  draw(
    cells: GridCells,
    columns: number,
    sight: Sight,
    look: GridLook,
    selected: number | undefined,
    hovered: number | undefined,
  ): void {
    const context = this.#context;
    const { width, height } = this.#box;
    this.#paint(cells, columns, look);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.fillStyle = look.ground;
    context.fillRect(0, 0, width, height);
    if (cells.count === 0) return;
    context.imageSmoothingEnabled = false;
    const { cellPx } = sight;
    context.drawImage(this.#picture, sight.left, sight.top, columns * cellPx, this.#picture.height * cellPx);
    if (cellPx >= gapFromPx) this.#drawGaps(cells.count, columns, sight, look);
    if (cellPx >= glyphFromPx) this.#drawMarks(cells, columns, sight, look);
    if (hovered !== undefined && hovered < cells.count) this.#drawFrame(hovered, columns, sight, look.ink, 1.5);
    if (selected !== undefined && selected < cells.count) this.#drawFrame(selected, columns, sight, look.accent, 3);
  }

  #drawGaps(count: number, columns: number, sight: Sight, look: GridLook): void {
    const context = this.#context;
    const { cellPx, left, top } = sight;
    const gap = cellPx >= 40 ? 4 : cellPx >= 12 ? 2 : 1;
    const rows = rowsFor(count, columns);
    context.fillStyle = look.ground;
    const firstColumn = Math.max(0, Math.floor(-left / cellPx));
    const lastColumn = Math.min(columns, Math.ceil((this.#box.width - left) / cellPx));
    const firstRow = Math.max(0, Math.floor(-top / cellPx));
    const lastRow = Math.min(rows, Math.ceil((this.#box.height - top) / cellPx));
    for (let column = firstColumn; column <= lastColumn; column += 1) {
      context.fillRect(left + column * cellPx - gap / 2, 0, gap, this.#box.height);
    }
    for (let row = firstRow; row <= lastRow; row += 1) context.fillRect(0, top + row * cellPx - gap / 2, this.#box.width, gap);
  }

  #drawMarks(cells: GridCells, columns: number, sight: Sight, look: GridLook): void {
    const context = this.#context;
    const { cellPx } = sight;
    const detailed = cellPx >= textFromPx;
    const glyphPx = Math.round(detailed ? 22 : cellPx * 0.6);
    const firstColumn = Math.max(0, Math.floor(-sight.left / cellPx));
    const lastColumn = Math.min(columns - 1, Math.floor((this.#box.width - sight.left) / cellPx));
    const firstRow = Math.max(0, Math.floor(-sight.top / cellPx));
    const lastRow = Math.floor((this.#box.height - sight.top) / cellPx);
    context.textBaseline = "middle";
    context.textAlign = "center";
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let column = firstColumn; column <= lastColumn; column += 1) {
        const index = row * columns + column;
        if (index >= cells.count) break;
        const { x, y } = placeOf(index, columns, sight);
        const code = cells.codes[index]!;
        const shape = look.shapes[code];
        context.fillStyle = look.inks[code] ?? look.ink;
        if (shape !== undefined) {
          context.save();
          context.translate(x + (cellPx - glyphPx) / 2, y + cellPx * (detailed ? 0.34 : 0.5) - glyphPx / 2);
          context.scale(glyphPx / glyphUnits, glyphPx / glyphUnits);
          context.fill(shape, "evenodd");
          context.restore();
        }
        if (!detailed) continue;
        const room = cellPx - 12;
        context.font = "600 12px system-ui, sans-serif";
        context.fillText(this.#fit(cells.title(index), room), x + cellPx / 2, y + cellPx * 0.63);
        context.font = "10.5px system-ui, sans-serif";
        context.fillText(this.#fit(cells.note(index), room), x + cellPx / 2, y + cellPx * 0.8);
      }
    }
  }

  /** Shortens a text to so many pixels. */
  #fit(text: string, widthPx: number): string {
    const short = text.length > 40 ? `${text.slice(0, 39)}…` : text;
    if (this.#context.measureText(short).width <= widthPx) return short;
    let length = short.length - 1;
    while (length > 1 && this.#context.measureText(`${short.slice(0, length)}…`).width > widthPx) length -= 1;
    return `${short.slice(0, length)}…`;
  }

  #drawFrame(index: number, columns: number, sight: Sight, color: string, thickness: number): void {
    const { x, y } = placeOf(index, columns, sight);
    const size = Math.max(sight.cellPx, 7);
    const shift = (sight.cellPx - size) / 2;
    this.#context.strokeStyle = color;
    this.#context.lineWidth = thickness;
    this.#context.strokeRect(x + shift + 1, y + shift + 1, size - 2, size - 2);
  }

  cellAt(x: number, y: number, count: number, columns: number, sight: Sight): number | undefined {
    return cellAt(x, y, count, columns, sight);
  }
}
