/** A line chart over windows (uPlot), redrawn with the theme and with its box. The table below it in the tree is for those who hear the page. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type Palette, palette } from "../lib/theme.ts";

export interface ChartLine {
  readonly label: string;
  readonly color: "series-1" | "series-2" | "series-3" | "ink-3";
  readonly values: readonly (number | null)[];
  readonly dashed?: boolean;
  readonly stepped?: boolean;
}

interface ChartProps {
  readonly title: string;
  /** Ascending. */
  readonly x: readonly number[];
  readonly xLabel?: string;
  readonly lines: readonly ChartLine[];
  readonly heightPx: number;
  readonly format: (value: number) => string;
  readonly range?: readonly [number, number];
  /** Vertical marks, with what happened there. */
  readonly marks?: readonly { readonly x: number; readonly color: string; readonly label: string }[];
}

const font = (px: number): string => `${px}px system-ui, sans-serif`;

const drawMarks = (plot: uPlot, marks: NonNullable<ChartProps["marks"]>): void => {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  for (const mark of marks) {
    const at = Math.round(plot.valToPos(mark.x, "x", true));
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.strokeStyle = mark.color;
    ctx.globalAlpha = 0.75;
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    ctx.fillStyle = mark.color;
    ctx.font = font(11 * ratio);
    ctx.textAlign = "center";
    ctx.fillText(mark.label, at, bbox.top - 3 * ratio);
  }
  ctx.restore();
};

const optionsOf = (
  props: ChartProps,
  colors: Palette,
  width: number,
  marks: () => NonNullable<ChartProps["marks"]>,
): uPlot.Options => ({
  width,
  height: props.heightPx,
  legend: { show: false },
  cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
  padding: [props.marks === undefined ? 8 : 16, 10, 0, 0],
  scales: {
    x: { time: false },
    y: props.range === undefined ? {} : { range: [props.range[0], props.range[1]] },
  },
  axes: [
    {
      stroke: colors["ink-3"],
      font: font(10.5),
      size: 24,
      gap: 3,
      grid: { show: false },
      ticks: { stroke: colors.line, size: 4, width: 1 },
      incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
    },
    {
      stroke: colors["ink-3"],
      font: font(10.5),
      size: 46,
      gap: 4,
      space: 28,
      grid: { stroke: colors.line, width: 1 },
      ticks: { show: false },
      values: (_plot, ticks) => ticks.map((tick) => props.format(tick)),
    },
  ],
  series: [
    {},
    ...props.lines.map((line) => ({
      label: line.label,
      stroke: colors[line.color],
      width: 1.6,
      spanGaps: true,
      points: { show: props.x.length < 3, size: 5 },
      ...(line.dashed ? { dash: [5, 4] } : {}),
      ...(line.stepped && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
    })),
  ],
  hooks: { draw: [(plot) => drawMarks(plot, marks())] },
});

const dataOf = ({ x, lines }: ChartProps): uPlot.AlignedData => [[...x], ...lines.map((line) => [...line.values])];

const lastOf = (values: readonly (number | null)[]): number | null => values.findLast((value) => value !== null) ?? null;

export const Chart = (props: ChartProps) => {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const colors = palette.value;
  const shape = `${props.lines.map((line) => line.label).join("|")}|${props.x.length < 3}`;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new uPlot(
      optionsOf(latest.current, colors, Math.max(120, element.clientWidth), () => latest.current.marks ?? []),
      dataOf(latest.current),
      element,
    );
    plot.current = made;
    const watch = new ResizeObserver(() =>
      made.setSize({ width: Math.max(120, element.clientWidth), height: latest.current.heightPx }),
    );
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, colors, props.heightPx]);

  useEffect(() => {
    plot.current?.setData(dataOf(props));
  });

  return (
    <figure class="chart">
      <figcaption class="row wraps">
        <h3>{props.title}</h3>
        {props.lines.map((line) => {
          const last = lastOf(line.values);
          return (
            <span key={line.label} class={`key ${line.color}${line.dashed ? " dashed" : ""}`}>
              {line.label} <b class="num">{last === null ? "–" : props.format(last)}</b>
            </span>
          );
        })}
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${props.title} over windows`} />
    </figure>
  );
};
