/** A statechart by its layout, with the current state lit and the way taken drawn over the arrows. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { LaidEdge, LaidState, MachineDrawing, MachineLayout } from "../../machines/drawing/index.ts";
import { askForDrawings, drawings, type Forms } from "../data/machines.ts";
import { isDark } from "../lib/theme.ts";
import { Absence } from "./absence.tsx";
import { compacted } from "./compact-layout.ts";
import { Dialog } from "./dialog.tsx";
import { glyphUnits, styleOf } from "./state-look.ts";

interface Taken {
  readonly current: string | undefined;
  readonly visited: ReadonlySet<string>;
  /** How often each arrow was taken, by `from→to`. */
  readonly ways: ReadonlyMap<string, number>;
}

const takenOf = (current: string | undefined, path: readonly (readonly [string, string])[]): Taken => {
  const ways = new Map<string, number>();
  const visited = new Set<string>();
  for (const [from, to] of path) {
    ways.set(`${from}→${to}`, (ways.get(`${from}→${to}`) ?? 0) + 1);
    visited.add(from).add(to);
  }
  if (current !== undefined) visited.add(current);
  return { current, visited, ways };
};

/** The whole drawing as the program writes it, with what was taken marked in it. */
const WholeMachine = ({
  drawing,
  taken,
  forms,
}: {
  readonly drawing: MachineDrawing;
  readonly taken: Taken;
  readonly forms: Forms;
}) => {
  const box = useRef<HTMLDivElement>(null);
  const theme = isDark.value ? "dark" : "light";
  useEffect(() => {
    const text = forms.toSvg(drawing.description, drawing.layout, { theme });
    const { documentElement } = new DOMParser().parseFromString(text, "image/svg+xml");
    for (const group of documentElement.querySelectorAll<SVGElement>("[data-state]")) {
      const { state } = group.dataset;
      if (state === undefined || taken.current === undefined) continue;
      group.classList.toggle("lit", state === taken.current);
      group.classList.toggle("faded", !taken.visited.has(state));
    }
    for (const group of documentElement.querySelectorAll<SVGElement>("[data-edge]")) {
      const { edge } = group.dataset;
      if (edge !== undefined) group.classList.toggle("taken", taken.ways.has(edge));
    }
    box.current?.replaceChildren(document.importNode(documentElement, true));
  }, [drawing, taken, forms, theme]);
  return <div ref={box} class="machine-box whole" />;
};

const baseline = (top: number, height: number, font: number): number => top + height / 2 + font * 0.36;
const compactGlyph = 28;
const compactFontMax = 24;
/** Room around a name, and the width of a letter of its font as a share of the font's size. */
const nameRoom = 18;
const letterShare = 0.73;

interface StateProps {
  readonly machine: string;
  readonly state: LaidState;
  readonly taken: Taken;
  readonly forms: Forms;
}

/** Name and glyph only, large. */
const State = ({ machine, state, taken, forms }: StateProps) => {
  const look = styleOf(state.id, isDark.value, machine);
  const { x, y, width, height, band, spine } = state;
  const lit = taken.current === state.id;
  const faded = taken.current !== undefined && !taken.visited.has(state.id);
  const title = state.id.slice(state.id.lastIndexOf(".") + 1);
  const font = Math.min(compactFontMax, (width - band.width - nameRoom) / (title.length * letterShare));
  const left = (band.x > x ? x : band.x + band.width) + nameRoom / 2;
  return (
    <g
      data-state={state.id}
      class={`machine-state${lit ? " lit" : ""}${faded ? " faded" : ""}`}
      aria-current={lit ? "true" : undefined}
    >
      {lit ? <rect x={x - 8} y={y - 8} width={width + 16} height={height + 16} rx="14" class="halo" /> : null}
      {spine === undefined ? null : (
        <rect x={spine.x} y={spine.y} width={spine.width} height={spine.height} rx="3" fill={look.fill} />
      )}
      <rect x={x} y={y} width={width} height={height} rx="6" class="card-box" />
      <path d={forms.bandPath(state)} fill={look.fill} />
      <path
        d={look.path}
        fill={look.ink}
        fill-rule="evenodd"
        transform={`translate(${band.x + (band.width - compactGlyph) / 2} ${y + (height - compactGlyph) / 2}) scale(${compactGlyph / glyphUnits})`}
      />
      <text x={left} y={baseline(y, height, font)} font-size={font} class="machine-title">
        {title}
      </text>
    </g>
  );
};

const Edge = ({ edge, taken, forms }: { readonly edge: LaidEdge; readonly taken: Taken; readonly forms: Forms }) => {
  const times = taken.ways.get(edge.id) ?? 0;
  const faded = taken.current !== undefined && times === 0;
  return (
    <g data-edge={edge.id} class={`machine-edge${times > 0 ? " taken" : ""}${faded ? " faded" : ""}`}>
      <path d={forms.roundedPath(edge.points)} class="way" />
      <path d={forms.headPath(edge.points)} class="head-mark" />
    </g>
  );
};

const compactLayouts = new WeakMap<MachineDrawing, MachineLayout>();

const compactOf = (drawing: MachineDrawing): MachineLayout => {
  const known = compactLayouts.get(drawing);
  if (known !== undefined) return known;
  const made = compacted(drawing.layout);
  compactLayouts.set(drawing, made);
  return made;
};

const CompactMachine = ({
  drawing,
  taken,
  forms,
}: {
  readonly drawing: MachineDrawing;
  readonly taken: Taken;
  readonly forms: Forms;
}) => {
  const { description } = drawing;
  const layout = compactOf(drawing);
  return (
    <svg
      class="machine compact"
      viewBox={`0 0 ${layout.width} ${layout.height}`}
      role="img"
      aria-label={`Statechart of ${description.name}${taken.current === undefined ? "" : `, now in ${taken.current}`}`}
    >
      {layout.starts.map(({ to, points }) => (
        <g key={to} class={`machine-edge${taken.current === undefined ? "" : " faded"}`}>
          <circle cx={points[0]?.x} cy={points[0]?.y} r="5" class="head-mark" />
          <path d={forms.roundedPath(points)} class="way" />
          <path d={forms.headPath(points)} class="head-mark" />
        </g>
      ))}
      {layout.edges.map((edge) => (
        <Edge key={edge.id} edge={edge} taken={taken} forms={forms} />
      ))}
      {layout.states.map((state) => (
        <State key={state.id} machine={description.name} state={state} taken={taken} forms={forms} />
      ))}
    </svg>
  );
};

interface MachineViewProps {
  readonly name: string;
  readonly current?: string;
  readonly path?: readonly (readonly [string, string])[];
  /** The whole drawing in its own size, instead of a small one that opens it. */
  readonly full?: boolean;
}

export const MachineView = ({ name, current, path = [], full = false }: MachineViewProps) => {
  const [open, setOpen] = useState(false);
  const known = drawings.value;
  const key = path.map((way) => way.join("→")).join(" ");
  const taken = useMemo(() => takenOf(current, path), [current, key]);
  useEffect(() => void askForDrawings(), []);
  if (known.kind === "failed")
    return (
      <Absence icon="off" title="The statecharts could not be read">
        {known.reason}
      </Absence>
    );
  if (known.kind !== "known") return <Absence icon="time" title="Reading the statecharts …" />;
  const drawing = known.machines.find((each) => each.description.name === name);
  if (drawing === undefined) return <Absence title={`This program has no statechart named ${name.slice(0, 40)}`} />;
  const { forms } = known;
  if (full) return <WholeMachine drawing={drawing} taken={taken} forms={forms} />;
  return (
    <div class="machine-small">
      <CompactMachine drawing={drawing} taken={taken} forms={forms} />
      <button type="button" class="button tight" onClick={() => setOpen(true)}>
        Whole statechart
      </button>
      <Dialog title={`Statechart: ${name}`} open={open} onClose={() => setOpen(false)} wide>
        <WholeMachine drawing={drawing} taken={taken} forms={forms} />
        <div class="actions">
          <button type="button" class="button" onClick={() => setOpen(false)}>
            Close
          </button>
        </div>
      </Dialog>
    </div>
  );
};
