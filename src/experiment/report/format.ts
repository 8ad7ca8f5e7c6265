/** Numbers of the report as a person reads them; what was not measured is a dash. Pure. */
import type { Estimate, MeanInterval, Proportion } from "../intervals.ts";

export const missing = "–";

export const percent = (value: number | undefined, digits = 1): string =>
  value === undefined || !Number.isFinite(value) ? missing : (100 * value).toFixed(digits);

/** `86.8 ± 0.5 [86.1, 87.5]`, in percent: mean, standard deviation, interval. */
export const meanText = (interval: MeanInterval | undefined, digits = 1): string => {
  if (interval === undefined) return missing;
  const { mean, sd, lower, upper } = interval;
  const bounds = lower === undefined ? "" : ` [${percent(lower, digits)}, ${percent(upper, digits)}]`;
  return `${percent(mean, digits)} ± ${percent(sd, digits)}${bounds}`;
};

/** `58 of 60: 96.7 [88.5, 99.6]`, in percent. */
export const proportionText = ({ successes, n, share, lower, upper }: Proportion): string =>
  n === 0 ? missing : `${successes} of ${n}: ${percent(share)} [${percent(lower)}, ${percent(upper)}]`;

export const estimateText = (estimate: Estimate | undefined, format: (value: number | undefined) => string): string => {
  if (estimate === undefined) return missing;
  const { value, lower, upper } = estimate;
  return lower === undefined ? format(value) : `${format(value)} [${format(lower)}, ${format(upper)}]`;
};

export const plain = (value: number | undefined, digits = 2): string =>
  value === undefined || !Number.isFinite(value) ? missing : value.toFixed(digits);

const units = [
  { factor: 1e12, name: "T" },
  { factor: 1e9, name: "G" },
  { factor: 1e6, name: "M" },
  { factor: 1e3, name: "k" },
] as const;

/** 1234567 is `1.23 M`. */
export const countText = (value: number): string => {
  const unit = units.find(({ factor }) => Math.abs(value) >= factor);
  return unit === undefined ? String(Math.round(value)) : `${(value / unit.factor).toPrecision(3)} ${unit.name}`;
};
