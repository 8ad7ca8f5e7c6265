/**
 * Where a cell of the seeds' grid lies, and which cell lies under a point. Pure; the canvas only draws what this says.
 *
 * G1 Every index has one place and every place at most one index: cellAt(middle of placeOf(i)) = i.
 * G2 Whatever is done, at least one cell stays in sight.
 * G3 Zooming leaves the point under the pointer where it is, as far as G2 lets it.
 */

export interface Box {
  readonly width: number;
  readonly height: number;
}

/** What part of the grid is looked at: the size of a cell in pixels and the pixel of the grid's origin. */
export interface Sight {
  readonly cellPx: number;
  readonly left: number;
  readonly top: number;
}

export const cellPxMax = 112;
export const cellPxMin = 1;

/** Columns of a grid of `count` cells in a box of this shape: as square as the box. */
export const columnsFor = (count: number, box: Box): number => {
  if (count <= 0) return 1;
  // Few seeds get large cells in as few rows as the box is wide.
  const atMost = Math.max(1, Math.floor(box.width / cellPxMax));
  if (count <= atMost * Math.max(1, Math.floor(box.height / cellPxMax))) return Math.min(count, atMost);
  const aspect = box.height > 0 ? box.width / box.height : 1;
  return Math.max(1, Math.min(count, Math.ceil(Math.sqrt(count * aspect))));
};

export const rowsFor = (count: number, columns: number): number => Math.max(1, Math.ceil(count / columns));

/** The sight that shows all cells. */
export const wholeSight = (count: number, columns: number, box: Box): Sight => {
  const rows = rowsFor(count, columns);
  const fitting = Math.min(box.width / columns, box.height / rows);
  const cellPx = Math.max(cellPxMin, Math.min(cellPxMax, fitting >= 4 ? Math.floor(fitting) : fitting));
  return { cellPx, left: 0, top: 0 };
};

const within = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** G2 */
export const keepInSight = (sight: Sight, count: number, columns: number, box: Box): Sight => {
  const width = columns * sight.cellPx;
  const height = rowsFor(count, columns) * sight.cellPx;
  const margin = Math.min(sight.cellPx, box.width / 2, box.height / 2);
  return {
    cellPx: sight.cellPx,
    left: width <= box.width ? within(sight.left, 0, box.width - width) : within(sight.left, margin - width, box.width - margin),
    top:
      height <= box.height ? within(sight.top, 0, box.height - height) : within(sight.top, margin - height, box.height - margin),
  };
};

/** G3: zooms by a factor around a point of the box. */
export const zoomAround = (sight: Sight, factor: number, x: number, y: number): Sight => {
  const cellPx = within(sight.cellPx * factor, cellPxMin, cellPxMax);
  const actual = cellPx / sight.cellPx;
  return { cellPx, left: x - (x - sight.left) * actual, top: y - (y - sight.top) * actual };
};

export const placeOf = (index: number, columns: number, sight: Sight): { readonly x: number; readonly y: number } => ({
  x: sight.left + (index % columns) * sight.cellPx,
  y: sight.top + Math.floor(index / columns) * sight.cellPx,
});

/** G1; undefined beside the grid. */
export const cellAt = (x: number, y: number, count: number, columns: number, sight: Sight): number | undefined => {
  const column = Math.floor((x - sight.left) / sight.cellPx);
  const row = Math.floor((y - sight.top) / sight.cellPx);
  if (column < 0 || column >= columns || row < 0) return undefined;
  const index = row * columns + column;
  return index < count ? index : undefined;
};

/** Moves the sight by as little as shows the whole cell. */
export const reveal = (index: number, count: number, columns: number, sight: Sight, box: Box): Sight => {
  const { x, y } = placeOf(index, columns, sight);
  const shift = (at: number, size: number): number => (at < 0 ? -at : at + sight.cellPx > size ? size - at - sight.cellPx : 0);
  return keepInSight(
    { ...sight, left: sight.left + shift(x, box.width), top: sight.top + shift(y, box.height) },
    count,
    columns,
    box,
  );
};

/** The cell that a key moves to. */
export const stepBy = (key: string, index: number, count: number, columns: number, pageRows: number): number | undefined => {
  const moves: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    PageUp: -columns * pageRows,
    PageDown: columns * pageRows,
    Home: -count,
    End: count,
  };
  const move = moves[key];
  if (move === undefined || count === 0) return undefined;
  const next = index + move;
  if (Math.abs(move) === columns && (next < 0 || next >= count)) return index;
  return within(next, 0, count - 1);
};
