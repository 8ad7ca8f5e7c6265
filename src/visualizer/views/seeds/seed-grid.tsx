/** The grid of all seeds: drag to pan, wheel or two fingers to zoom, keys to move, click or Enter to open. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ViewRun } from "../../../contracts/view.ts";
import { bounded, fixed, short } from "../../lib/format.ts";
import { isDark, palette } from "../../lib/theme.ts";
import { codeOf, stateNames, styleOf } from "../../parts/state-look.ts";
import { GridCanvas, type GridCells, type GridLook } from "./grid-canvas.ts";
import {
  type Box,
  cellAt,
  columnsFor,
  keepInSight,
  reveal,
  rowsFor,
  type Sight,
  stepBy,
  wholeSight,
  zoomAround,
} from "./grid-geometry.ts";
import { healthOf } from "./seed-order.ts";

interface SeedGridProps {
  readonly run: ViewRun;
  readonly order: Uint32Array;
  /** Place in `order` of the seed that is looked at. */
  readonly cursor: number | undefined;
  readonly onMove: (place: number) => void;
  readonly onOpen: (place: number) => void;
  /** Changes whenever a seed did. */
  readonly version: number;
}

const dragFromPx = 4;

interface Pointers {
  readonly at: Map<number, { readonly x: number; readonly y: number }>;
  movedPx: number;
}

export const SeedGrid = ({ run, order, cursor, onMove, onOpen, version }: SeedGridProps) => {
  const element = useRef<HTMLCanvasElement>(null);
  const canvas = useRef<GridCanvas | undefined>(undefined);
  const [box, setBox] = useState<Box>({ width: 0, height: 0 });
  const sight = useRef<Sight | undefined>(undefined);
  const pointers = useRef<Pointers>({ at: new Map(), movedPx: 0 });
  const frame = useRef(0);
  const hovered = useRef<number | undefined>(undefined);
  const [hint, setHint] = useState<number | undefined>(undefined);
  const count = order.length;
  const columns = columnsFor(count, box);
  const dark = isDark.value;
  const colors = palette.value;

  const cells = useRef<{ readonly key: string; readonly cells: GridCells } | undefined>(undefined);
  const key = `${version}`;
  if (cells.current?.key !== key || cells.current.cells.count !== count || cells.current.cells.order !== order) {
    const codes = new Uint8Array(count);
    for (let place = 0; place < count; place += 1) codes[place] = codeOf(run.seeds[order[place]!]!.state);
    cells.current = {
      key,
      cells: {
        order,
        count,
        codes,
        title: (place) => run.seeds[order[place]!]?.seedId.replace(/^seed:/, "") ?? "",
        note: (place) => run.seeds[order[place]!]?.state.toLowerCase().replaceAll("_", " ") ?? "",
      },
    };
  }

  const look = useRef<{ readonly dark: boolean; readonly look: GridLook } | undefined>(undefined);
  if (look.current?.dark !== dark) {
    const styles = stateNames.map((state) => styleOf(state, dark));
    look.current = {
      dark,
      look: {
        colors: styles.map(({ fill }) => fill),
        inks: styles.map(({ ink }) => ink),
        shapes: styles.map(({ path }) => new Path2D(path)),
        ground: colors.surface,
        ink: colors.ink,
        accent: colors.accent,
      },
    };
  }

  const drawNow = useRef<() => void>(() => {});
  drawNow.current = () => {
    frame.current = 0;
    const now = cells.current?.cells;
    const { current: drawn } = canvas;
    if (drawn === undefined || now === undefined || look.current === undefined || box.width === 0) return;
    const seen = keepInSight(sight.current ?? wholeSight(count, columns, box), count, columns, box);
    if (sight.current !== undefined) sight.current = seen;
    drawn.draw(now, columns, seen, look.current.look, cursor, hovered.current);
  };
  const redraw = (): void => {
    if (frame.current === 0) frame.current = requestAnimationFrame(() => drawNow.current());
  };
  const seen = (): Sight => sight.current ?? wholeSight(count, columns, box);

  useLayoutEffect(() => {
    const { current } = element;
    if (current === null) return;
    canvas.current = new GridCanvas(current);
    const parent = current.parentElement ?? current;
    const watch = new ResizeObserver(() => setBox({ width: parent.clientWidth, height: parent.clientHeight }));
    watch.observe(parent);
    setBox({ width: parent.clientWidth, height: parent.clientHeight });
    return () => {
      watch.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, []);

  useLayoutEffect(() => {
    canvas.current?.resize(box);
    sight.current = undefined;
  }, [box.width, box.height, columns]);
  useEffect(redraw);
  useEffect(() => {
    if (cursor === undefined || sight.current === undefined) return;
    sight.current = reveal(cursor, count, columns, sight.current, box);
    redraw();
  }, [cursor]);

  useEffect(() => {
    const { current } = element;
    if (current === null) return;
    const turned = (event: WheelEvent): void => {
      event.preventDefault();
      const { left, top } = current.getBoundingClientRect();
      sight.current = zoomAround(seen(), Math.exp(-event.deltaY * 0.0016), event.clientX - left, event.clientY - top);
      redraw();
    };
    current.addEventListener("wheel", turned, { passive: false });
    return () => current.removeEventListener("wheel", turned);
  });

  const placeUnder = (event: PointerEvent): number | undefined => {
    const { left, top } = element.current?.getBoundingClientRect() ?? { left: 0, top: 0 };
    return cellAt(event.clientX - left, event.clientY - top, count, columns, seen());
  };
  const pointerMoved = (event: PointerEvent): void => {
    const known = pointers.current.at;
    const before = known.get(event.pointerId);
    if (before === undefined) {
      const place = placeUnder(event);
      if (place === hovered.current) return;
      hovered.current = place;
      setHint(place);
      redraw();
      return;
    }
    const now = { x: event.clientX, y: event.clientY };
    const other = [...known].find(([id]) => id !== event.pointerId)?.[1];
    const { left, top } = element.current?.getBoundingClientRect() ?? { left: 0, top: 0 };
    let next = seen();
    if (other === undefined) next = { ...next, left: next.left + now.x - before.x, top: next.top + now.y - before.y };
    else {
      const apart = (point: { readonly x: number; readonly y: number }): number =>
        Math.max(8, Math.hypot(point.x - other.x, point.y - other.y));
      next = zoomAround(next, apart(now) / apart(before), (now.x + other.x) / 2 - left, (now.y + other.y) / 2 - top);
    }
    pointers.current.movedPx += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    known.set(event.pointerId, now);
    if (pointers.current.movedPx < dragFromPx) return;
    sight.current = next;
    redraw();
  };
  const pointerDown = (event: PointerEvent): void => {
    element.current?.setPointerCapture(event.pointerId);
    if (pointers.current.at.size === 0) pointers.current.movedPx = 0;
    pointers.current.at.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };
  const pointerUp = (event: PointerEvent): void => {
    const clicked = pointers.current.at.size === 1 && pointers.current.movedPx < dragFromPx;
    pointers.current.at.delete(event.pointerId);
    const place = clicked ? placeUnder(event) : undefined;
    if (place !== undefined) onOpen(place);
  };
  const zoomBy = (factor: number): void => {
    sight.current = zoomAround(seen(), factor, box.width / 2, box.height / 2);
    redraw();
  };
  const showAll = (): void => {
    sight.current = undefined;
    redraw();
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pageRows = Math.max(1, Math.floor(box.height / seen().cellPx));
    const next = stepBy(event.key, cursor ?? 0, count, columns, pageRows);
    if (next !== undefined) onMove(cursor === undefined ? 0 : next);
    else if (event.key === "Enter" && cursor !== undefined) onOpen(cursor);
    else if (event.key === "+" || event.key === "=") zoomBy(1.4);
    else if (event.key === "-") zoomBy(1 / 1.4);
    else if (event.key === "0") showAll();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const at = hint ?? cursor;
  const named = at === undefined ? undefined : run.seeds[order[at] ?? -1];
  return (
    <div class="grid">
      <div class="grid-box">
        <canvas
          ref={element}
          tabIndex={0}
          aria-label={`Grid of ${count} seeds in ${rowsFor(count, columns)} rows. Arrow keys move, Enter opens, plus and minus zoom.`}
          onPointerMove={pointerMoved}
          onPointerDown={pointerDown}
          onPointerUp={pointerUp}
          onPointerCancel={(event) => pointers.current.at.delete(event.pointerId)}
          onPointerLeave={() => {
            hovered.current = undefined;
            setHint(undefined);
            redraw();
          }}
          onKeyDown={pressed}
        />
        <div class="grid-tools">
          <button type="button" class="button tight" aria-label="Nearer" onClick={() => zoomBy(1.5)}>
            +
          </button>
          <button type="button" class="button tight" aria-label="Further" onClick={() => zoomBy(1 / 1.5)}>
            −
          </button>
          <button type="button" class="button tight" onClick={showAll}>
            All
          </button>
        </div>
      </div>
      <p class="grid-hint small clip" aria-live="polite">
        {named === undefined ? (
          <span class="quiet">{short(count)} shown</span>
        ) : (
          <>
            <b class="wrap">{bounded(named.seedId, 60)}</b> {named.state.toLowerCase().replaceAll("_", " ")} since window{" "}
            {named.sinceEpoch}
            <span class="quiet"> · health {fixed(healthOf(run, named), 2)}</span>
          </>
        )}
      </p>
    </div>
  );
};
