/** All shown seeds as a table of which only the rows in sight exist. Arrow keys move, Enter opens. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { ViewRun, ViewSeed } from "../../../contracts/view.ts";
import { absent, bounded, fixed } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";
import { StateMark } from "../../parts/state-mark.tsx";
import { blueprintOf, healthOf } from "./seed-order.ts";

interface SeedTableProps {
  readonly run: ViewRun;
  readonly order: Uint32Array;
  readonly cursor: number | undefined;
  readonly onMove: (place: number) => void;
}

const rowPx = 30;
const spareRows = 6;
const pageRows = 10;

const Spacer = ({ rows }: { readonly rows: number }) =>
  rows <= 0 ? null : (
    <tr>
      <td colSpan={6} class="spacer" style={{ height: `${rows * rowPx}px` }} />
    </tr>
  );

interface RowProps {
  readonly run: ViewRun;
  readonly seed: ViewSeed;
  readonly place: number;
  readonly chosen: boolean;
  /** The one row that the tab key reaches. */
  readonly reached: boolean;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

const Row = ({ run, seed, place, chosen, reached, onKeyDown }: RowProps) => (
  <tr id={`seed-row-${place}`} class={chosen ? "chosen" : ""} aria-rowindex={place + 2}>
    <td class="clip" title={bounded(seed.seedId, 140)}>
      <a
        class="seed-link wrap"
        href={hrefOf("seeds", seed.seedId)}
        tabIndex={reached ? 0 : -1}
        aria-current={chosen ? "true" : undefined}
        onKeyDown={onKeyDown}
      >
        {bounded(seed.seedId.replace(/^seed:/, ""), 60)}
      </a>
    </td>
    <td class="clip">
      <StateMark state={seed.state} />
    </td>
    <td class="right">{seed.sinceEpoch}</td>
    <td class="right">{fixed(healthOf(run, seed), 2)}</td>
    <td class="right">{seed.alpha === 0 || seed.alpha === 1 ? seed.alpha : fixed(seed.alpha, 2)}</td>
    <td class="clip soft">{blueprintOf(seed) || absent}</td>
  </tr>
);

/** How far a key goes in a table of so many rows. */
const stepOf = (key: string, count: number): number | undefined => {
  const steps: Readonly<Record<string, number>> = {
    ArrowUp: -1,
    ArrowDown: 1,
    PageUp: -pageRows,
    PageDown: pageRows,
    Home: -count,
    End: count,
  };
  return steps[key];
};

export const SeedTable = ({ run, order, cursor, onMove }: SeedTableProps) => {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [heightPx, setHeightPx] = useState(300);
  const followed = useRef(false);
  const count = order.length;

  useEffect(() => {
    const { current } = box;
    if (current === null) return;
    const watch = new ResizeObserver(() => setHeightPx(current.clientHeight));
    watch.observe(current);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    const { current } = box;
    if (current === null || cursor === undefined) return;
    const at = cursor * rowPx;
    const room = current.clientHeight - rowPx;
    if (at < current.scrollTop) current.scrollTop = at;
    else if (at + rowPx > current.scrollTop + room) current.scrollTop = at + rowPx - room;
  }, [cursor]);
  // The row that a key moved to may exist only after the scrolling.
  useEffect(() => {
    if (!followed.current || cursor === undefined) return;
    const link = box.current?.querySelector<HTMLAnchorElement>(`#seed-row-${cursor} a`);
    if (link === undefined || link === null) return;
    followed.current = false;
    link.focus({ preventScroll: true });
  });

  const first = Math.min(Math.max(0, Math.floor(top / rowPx) - spareRows), Math.max(0, count - 1));
  const last = Math.min(count, Math.ceil((top + heightPx) / rowPx) + spareRows);
  const places = Array.from({ length: Math.max(0, last - first) }, (_, row) => first + row);
  const reached = cursor !== undefined && cursor >= first && cursor < last ? cursor : Math.min(count - 1, Math.ceil(top / rowPx));
  const pressed = (event: KeyboardEvent): void => {
    const step = stepOf(event.key, count);
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    followed.current = true;
    onMove(Math.min(count - 1, Math.max(0, (cursor ?? reached) + step)));
    event.preventDefault();
  };
  return (
    <div ref={box} class="seed-table" onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <table class="table" aria-label="Seeds" aria-rowcount={count + 1}>
        <thead>
          <tr aria-rowindex={1}>
            <th>Seed</th>
            <th>State</th>
            <th class="right">Since</th>
            <th class="right">Health</th>
            <th class="right">α</th>
            <th>Blueprint</th>
          </tr>
        </thead>
        <tbody>
          <Spacer rows={first} />
          {places.map((place) => {
            const seed = run.seeds[order[place] ?? -1];
            return seed === undefined ? null : (
              <Row
                key={place}
                run={run}
                seed={seed}
                place={place}
                chosen={place === cursor}
                reached={place === reached}
                onKeyDown={pressed}
              />
            );
          })}
          <Spacer rows={count - last} />
        </tbody>
      </table>
    </div>
  );
};
