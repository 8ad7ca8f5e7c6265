/** What was expected of a repair, beside what was measured: two intervals on one axis. */
import type { Forecast } from "../../../contracts/commands.ts";
import type { ViewInterval } from "../../../contracts/view.ts";
import { fixed, percent, short } from "../../lib/format.ts";

interface Band {
  readonly label: string;
  readonly mean: number;
  readonly lower: number;
  readonly upper: number;
  readonly note: string;
  readonly color: string;
}

const width = 420;
const labelPx = 78;
const rowPx = 34;

export const ForecastBands = ({ forecast, gain }: { readonly forecast: Forecast | null; readonly gain: ViewInterval | null }) => {
  const bands: Band[] = [
    ...(forecast === null
      ? []
      : [
          {
            label: "forecast",
            mean: forecast.lossGain,
            lower: forecast.lossGainLower,
            upper: forecast.lossGainUpper,
            note: "80 %",
            color: "var(--series-1)",
          },
        ]),
    ...(gain === null
      ? []
      : [
          {
            label: "measured",
            mean: gain.mean,
            lower: gain.lower,
            upper: gain.upper,
            note: percent(gain.confidence, 0),
            color: "var(--series-3)",
          },
        ]),
  ].filter(({ mean, lower, upper }) => [mean, lower, upper].every(Number.isFinite));
  if (bands.length === 0) return null;
  const low = Math.min(0, ...bands.map(({ lower }) => lower));
  const high = Math.max(1e-9, ...bands.map(({ upper }) => upper));
  const pad = (high - low) * 0.05;
  const toX = (value: number): number => labelPx + ((value - low + pad) / (high - low + 2 * pad)) * (width - labelPx - 8);
  const height = bands.length * rowPx + 16;
  return (
    <div>
      <svg
        class="bands"
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={bands
          .map(({ label, mean, lower, upper }) => `${label} ${fixed(mean, 4)}, from ${fixed(lower, 4)} to ${fixed(upper, 4)}`)
          .join("; ")}
      >
        <line x1={toX(0)} x2={toX(0)} y1="2" y2={height - 14} class="zero" />
        <text x={toX(0)} y={height - 3} text-anchor="middle" class="layer-note">
          0
        </text>
        {bands.map(({ label, mean, lower, upper, note, color }, index) => {
          const y = index * rowPx + rowPx / 2 + 4;
          return (
            <g key={label}>
              <text x="0" y={y + 4} class="band-label">
                {label}
              </text>
              <line
                x1={toX(lower)}
                x2={toX(upper)}
                y1={y}
                y2={y}
                stroke={color}
                stroke-width="6"
                stroke-opacity="0.35"
                stroke-linecap="round"
              />
              <circle cx={toX(mean)} cy={y} r="4.5" fill={color} />
              <text x={toX(mean)} y={y - 9} text-anchor="middle" class="layer-figure">
                {`${fixed(mean, 4)} (${note})`}
              </text>
            </g>
          );
        })}
      </svg>
      <p class="small quiet">
        Fall of the validation loss in nats.
        {forecast === null
          ? ""
          : ` Risk of a cull ${percent(forecast.cullRisk, 0)}, trial ${short(forecast.trialFlops)}FLOP, ${short(forecast.parameters)} parameters.`}
      </p>
    </div>
  );
};
