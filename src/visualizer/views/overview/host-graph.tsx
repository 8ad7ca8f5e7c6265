/**
 * The host as a graph: layers from top to bottom, what is grown on them as arcs over their spans, and beside each layer what was measured of
 * it: the gap with its interval.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { ViewEdge, ViewHost, ViewRun, ViewSeed, ViewSignal } from "../../../contracts/view.ts";
import { bounded, fixed } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";
import { hrefOf } from "../../lib/router.ts";
import { isDark } from "../../lib/theme.ts";
import { Glyph } from "../../parts/glyph.tsx";
import { styleOf } from "../../parts/state-look.ts";
import { lanesOf } from "./lanes.ts";

const rowPx = 50;
const boxPx = 34;
const lanePx = 26;
const headPx = 24;

const edgeWords: Readonly<Record<ViewEdge["kind"], string>> = {
  flow: "data flows",
  trial: "bypass in trial",
  graft: "bypass that was kept",
  pruning: "parts taken out",
};

interface Scale {
  readonly toX: (gap: number) => number;
  readonly left: number;
  readonly right: number;
  readonly lowest: number;
  readonly highest: number;
}

/** One scale for all gaps, so that layers can be compared; zero is always in it. */
const scaleOf = (signals: readonly ViewSignal[], left: number, right: number): Scale => {
  const bounds = signals.flatMap(({ gap, gapError }) => [gap - 2 * gapError, gap + 2 * gapError]).filter(Number.isFinite);
  const highest = Math.max(0.05, ...bounds);
  const lowest = Math.min(-0.01, ...bounds);
  const toX = (gap: number): number => left + ((gap - lowest) / (highest - lowest)) * (right - left);
  return { toX, left, right, lowest, highest };
};

const toneOf = (signal: ViewSignal): string =>
  signal.severity === null ? "var(--ink-3)" : signal.severity > 1 ? "var(--bad)" : "var(--series-1)";

const SignalBar = ({ signal, scale, y }: { readonly signal: ViewSignal; readonly scale: Scale; readonly y: number }) => {
  const color = toneOf(signal);
  const low = scale.toX(signal.gap - 2 * signal.gapError);
  const high = scale.toX(signal.gap + 2 * signal.gapError);
  return (
    <g>
      <title>
        {`gap ${fixed(signal.gap, 4)} ± ${fixed(2 * signal.gapError, 4)} (two standard errors), severity ${fixed(signal.severity, 2)}, health ${fixed(signal.health, 2)}, measured after window ${signal.epoch}`}
      </title>
      <line x1={low} x2={high} y1={y} y2={y} stroke={color} stroke-width="2" />
      <path d={`M${low} ${y - 4}v8M${high} ${y - 4}v8`} stroke={color} stroke-width="1.5" />
      <circle cx={scale.toX(signal.gap)} cy={y} r="4" fill={color} />
    </g>
  );
};

interface ArcProps {
  readonly edge: ViewEdge;
  readonly seed: ViewSeed | undefined;
  readonly first: number;
  readonly last: number;
  readonly x: number;
  readonly right: number;
}

const Arc = ({ edge, seed, first, last, x, right }: ArcProps) => {
  const state = seed?.state ?? (edge.kind === "graft" ? "FOSSILIZED" : "TRAINING");
  const { line: fill } = styleOf(state, isDark.value);
  const top = headPx + first * rowPx + 3;
  const bottom = headPx + last * rowPx + boxPx - 3;
  const middle = (top + bottom) / 2;
  const words = `${edgeWords[edge.kind]}: ${bounded(edge.seedId, 60)}, ${state}, from the input of ${bounded(edge.from, 40)} to ${bounded(edge.to, 40)}`;
  return (
    <a class="arc" href={hrefOf("seeds", edge.seedId ?? undefined)} aria-label={words}>
      <title>{words}</title>
      <path
        d={`M${right} ${top}H${x + 7}Q${x} ${top} ${x} ${top + 7}V${bottom - 7}Q${x} ${bottom} ${x + 7} ${bottom}H${right - 5}`}
        fill="none"
        stroke={fill}
        stroke-width={edge.kind === "graft" ? 3 : 2.2}
        stroke-dasharray={edge.kind === "trial" ? "6 3" : edge.kind === "pruning" ? "2 3" : undefined}
      />
      <path d={`M${right - 6} ${bottom - 4}l6 4l-6 4Z`} fill={fill} />
      <Glyph state={state} x={x - 9} y={middle - 9} size={18} />
    </a>
  );
};

const useWidth = () => {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(480);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const watch = new ResizeObserver(() => setWidth(Math.max(280, element.clientWidth - 20)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return [box, width] as const;
};

const shapeOf = (shape: readonly number[]): string => shape.slice(0, 4).join("×");

interface LayerProps {
  readonly run: ViewRun;
  readonly host: ViewHost;
  readonly index: number;
  readonly left: number;
  readonly right: number;
  readonly textEnd: number;
  readonly scale: Scale;
}

/** Of a letter of a note, on average. */
const notePx = 5.8;

const Layer = ({ run, host, index, left, right, textEnd, scale }: LayerProps) => {
  const layer = host.layers[index];
  if (layer === undefined) return null;
  const top = headPx + index * rowPx;
  const middle = top + boxPx / 2;
  const signal = own(run.signals, layer.site);
  const held = run.holds.pins.includes(layer.site) ? "pinned" : run.holds.pausedSites.includes(layer.site) ? "paused" : "";
  const embargo = own(run.embargoes, layer.site);
  // Of several seeds at a layer the one that moved last.
  const here = run.seeds.filter(({ site }) => site === layer.site);
  const seed = here.toSorted((a, b) => b.sinceMs - a.sinceMs)[0];
  const worst = signal?.severity !== undefined && signal.severity !== null && signal.severity > 1;
  const tag = held !== "" ? held : embargo !== undefined && embargo > run.epoch ? `embargo to ${embargo}` : "";
  const form = `${layer.kind === "conv2d" ? "conv" : layer.kind} ${shapeOf(layer.shape)}`;
  // What is held is more than what the layer is, where there is no room for both beside the seed.
  const fits = tag === "" || (form.length + tag.length + 3) * notePx <= right - left - 46;
  return (
    <g>
      {index > 0 ? (
        <path d={`M${(left + right) / 2} ${top - rowPx + boxPx}v${rowPx - boxPx - 5}m-4 -1l4 6l4 -6`} class="flow" />
      ) : null}
      <rect x={left} y={top} width={right - left} height={boxPx} rx="6" class={worst ? "layer worst" : "layer"} />
      <text x={left + 11} y={middle - 2} class="layer-name">
        {bounded(layer.site, here.length > 1 ? 9 : 14)}
      </text>
      <text x={left + 11} y={middle + 11} class="layer-note">
        {fits ? form : null}
        {tag === "" ? null : <tspan class="layer-tag">{fits ? ` · ${tag}` : tag}</tspan>}
      </text>
      {seed !== undefined ? (
        <a class="arc" href={hrefOf("seeds", seed.seedId)} aria-label={`${bounded(seed.seedId, 60)}, ${seed.state}`}>
          <title>{`${bounded(seed.seedId, 60)}: ${seed.state}`}</title>
          {here.length > 1 ? (
            <text x={right - 31} y={middle - 2} text-anchor="end" class="layer-note">
              {`${here.length} seeds`}
            </text>
          ) : null}
          <Glyph state={seed.state} x={right - 26} y={middle - 8} />
        </a>
      ) : null}
      {signal === undefined ? (
        layer.kind === "output" ? null : (
          <text x={scale.left} y={middle + 4} class="layer-note">
            not measured
          </text>
        )
      ) : (
        <g>
          <SignalBar signal={signal} scale={scale} y={middle} />
          <text x={textEnd} y={middle + 4} text-anchor="end" class={worst ? "layer-figure worst" : "layer-figure"}>
            {fixed(signal.gap, 3)}
          </text>
        </g>
      )}
    </g>
  );
};

export const HostGraph = ({ run, host }: { readonly run: ViewRun; readonly host: ViewHost }) => {
  const [box, width] = useWidth();
  const places = new Map(host.layers.map(({ site }, index) => [site, index]));
  const arcs = run.edges.flatMap((edge) => {
    const first = places.get(edge.from);
    const last = places.get(edge.to);
    return edge.kind === "flow" || first === undefined || last === undefined
      ? []
      : [{ edge, first: Math.min(first, last), last: Math.max(first, last) }];
  });
  const lanes = lanesOf(arcs);
  const lanesUsed = Math.max(1, ...lanes.map((lane) => lane + 1));
  const left = 14 + lanesUsed * lanePx;
  const right = left + Math.min(210, Math.max(132, (width - left) * 0.4));
  const textEnd = width - 10;
  const signals = host.layers.flatMap(({ site }) => own(run.signals, site) ?? []);
  const scale = scaleOf(signals, right + 18, textEnd - 52);
  const height = headPx + (host.layers.length - 1) * rowPx + boxPx + 10;
  const zero = scale.toX(0);
  return (
    <div ref={box} class="host-graph">
      <svg width={width} height={height} aria-label={`The host ${bounded(host.name, 40)}: ${host.layers.length} layers`}>
        <text x={left} y="13" class="layer-note">
          layer
        </text>
        <text x={scale.left} y="13" class="layer-note">
          lost information (gap ± 2 s.e.)
        </text>
        {signals.length > 0 ? <line x1={zero} x2={zero} y1={headPx - 4} y2={height - 6} class="zero" /> : null}
        {host.layers.map((layer, index) => (
          <Layer key={layer.site} run={run} host={host} index={index} left={left} right={right} textEnd={textEnd} scale={scale} />
        ))}
        {arcs.map(({ edge, first, last }, index) => (
          <Arc
            key={`${edge.seedId}|${edge.from}|${edge.to}|${edge.kind}`}
            edge={edge}
            seed={run.seeds.find(({ seedId }) => seedId === edge.seedId)}
            first={first}
            last={last}
            x={left - 16 - (lanes[index] ?? 0) * lanePx}
            right={left}
          />
        ))}
      </svg>
    </div>
  );
};
