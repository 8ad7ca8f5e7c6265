/** Numbers as a person reads them. Pure; a value that was not measured is a dash. */
import type { Task } from "../../contracts/graph.ts";

export const missing = "–";

const units = [
  { factor: 1e15, name: "P" },
  { factor: 1e12, name: "T" },
  { factor: 1e9, name: "G" },
  { factor: 1e6, name: "M" },
  { factor: 1e3, name: "k" },
] as const;

/** 1234567 is `1.23 M`. */
export const formatCount = (value: number | undefined): string => {
  if (value === undefined || !Number.isFinite(value)) return missing;
  const unit = units.find(({ factor }) => Math.abs(value) >= factor);
  return unit ? `${(value / unit.factor).toPrecision(3)} ${unit.name}` : String(Number(value.toPrecision(3)));
};

/** A loss in nats. */
export const formatLoss = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? missing : value.toFixed(4);

/** A change with its sign. */
export const formatSigned = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? missing : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

/** A fraction of 1 in percent. */
export const formatPercent = (fraction: number | undefined, digits = 1): string =>
  fraction === undefined || !Number.isFinite(fraction) ? missing : `${(fraction * 100).toFixed(digits)} %`;

/** The share of predictions that are right, or R² of a regression. */
export const formatScore = (score: number | undefined, task: Task, digits = 2): string => {
  if (task === "classification") return formatPercent(score, digits);
  return score === undefined || !Number.isFinite(score) ? missing : `R² ${score.toFixed(4)}`;
};

export const formatSeconds = (seconds: number | undefined): string => {
  if (seconds === undefined || !Number.isFinite(seconds)) return missing;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const rounded = Math.round(seconds);
  return `${Math.floor(rounded / 60)} min ${String(rounded % 60).padStart(2, "0")} s`;
};

/** A bar of `width` cells for a fraction between 0 and 1. */
export const formatBar = (fraction: number, width: number): string => {
  const filled = Number.isFinite(fraction) ? Math.round(Math.min(1, Math.max(0, fraction)) * width) : 0;
  return "█".repeat(filled) + "░".repeat(width - filled);
};

/** Pads to a width on the right; never cuts. */
export const padded = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - text.length));
