/** Numbers and times as a person reads them. What was not measured is a dash, never zero. */

export const absent = "–";

const suffixes: readonly (readonly [number, string])[] = [
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** Three significant digits with a suffix: 18.3 G, 27.9 k, 447. */
export const short = (value: number | undefined | null): string => {
  if (value === undefined || value === null || !Number.isFinite(value)) return absent;
  const size = Math.abs(value);
  for (const [unit, suffix] of suffixes) {
    if (size >= unit * 0.9995) return `${Number((value / unit).toPrecision(3))} ${suffix}`;
  }
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
};

export const fixed = (value: number | undefined | null, digits = 3): string =>
  value === undefined || value === null || !Number.isFinite(value) ? absent : value.toFixed(digits);

/** A share of 1 in percent. */
export const percent = (value: number | undefined | null, digits = 1): string =>
  value === undefined || value === null || !Number.isFinite(value) ? absent : `${(100 * value).toFixed(digits)} %`;

/** 850 ms, 12.4 s, 3 min 20 s, 2 h 05 min. */
export const duration = (ms: number | undefined | null): string => {
  if (ms === undefined || ms === null || !Number.isFinite(ms) || ms < 0) return absent;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
};

/** The time of day of an event, to the second. */
export const clockTime = (atMs: number | undefined | null): string =>
  atMs === undefined || atMs === null || !Number.isFinite(atMs) || atMs <= 0
    ? absent
    : new Date(atMs).toLocaleTimeString("en-GB");

const textLengthMax = 400;

/** Cuts a text that came from elsewhere, so that no name or reason floods the page. */
export const bounded = (text: string | undefined | null, lengthMax = textLengthMax): string =>
  text === undefined || text === null ? "" : text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`;

/** An adjective of number: "1 seed", "3 seeds". */
export const plural = (count: number, one: string, many = `${one}s`): string => `${short(count)} ${count === 1 ? one : many}`;

/** A measured value of unknown kind. */
export const measured = (value: unknown): string => {
  if (typeof value === "number") return Number.isFinite(value) ? shortExact(value) : String(value);
  if (typeof value === "string") return bounded(value, 80);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return absent;
};

const shortExact = (value: number): string => {
  if (Number.isInteger(value) && Math.abs(value) < 1e5) return String(value);
  const size = Math.abs(value);
  return size >= 1e4 ? short(value) : size !== 0 && size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
};
