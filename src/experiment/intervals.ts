/** Intervals and rank correlation, from their definitions. Pure; random draws come from the caller's stream. */
import type { RandomSource } from "../contracts/ports.ts";
import { mean, standardDeviation } from "../growth/statistics.ts";

/** A mean over independent runs with a two-sided interval; the bounds are absent below two runs. */
export interface MeanInterval {
  readonly n: number;
  readonly mean: number;
  readonly sd: number;
  readonly lower: number | undefined;
  readonly upper: number | undefined;
}

/** A share of successes with its Clopper–Pearson interval. */
export interface Proportion {
  readonly successes: number;
  readonly n: number;
  readonly share: number | undefined;
  readonly lower: number;
  readonly upper: number;
}

const lanczos = [
  676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905, -0.13857109526572012,
  9.984369578019572e-6, 1.5056327351493116e-7,
];

/** ln Γ(x) for x > 0 (Lanczos, 1964; g = 7, nine terms). */
export const logGamma = (x: number): number => {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const sum = lanczos.reduce((total, coefficient, index) => total + coefficient / (x + index), 0.9999999999998099);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
};

/** The continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22). */
const betaFraction = (a: number, b: number, x: number): number => {
  const tiny = 1e-300;
  const guarded = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / guarded(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guarded(1 + even * d);
    c = guarded(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guarded(1 + odd * d);
    c = guarded(1 + odd / c);
    const change = d * c;
    fraction *= change;
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return fraction;
};

/** I_x(a, b), the regularised incomplete beta function; a, b > 0 and 0 ≤ x ≤ 1. */
export const incompleteBeta = (x: number, a: number, b: number): number => {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(a, b, x)) / a : 1 - (front * betaFraction(b, a, 1 - x)) / b;
};

/** The x in [low, high] at which a rising function passes `target`. */
const bisect = (rising: (x: number) => number, target: number, low: number, high: number): number => {
  let [from, to] = [low, high];
  for (let step = 0; step < 200 && to - from > 1e-15 * Math.max(1, Math.abs(to)); step++) {
    const middle = (from + to) / 2;
    if (rising(middle) < target) from = middle;
    else to = middle;
  }
  return (from + to) / 2;
};

/** P(T ≤ t) of Student's distribution. */
export const studentCumulative = (t: number, freedom: number): number => {
  const tail = incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2;
  return t > 0 ? 1 - tail : tail;
};

export const studentQuantile = (probability: number, freedom: number): number =>
  bisect((t) => studentCumulative(t, freedom), probability, -1e6, 1e6);

/** Mean ± t · sd / √n. @param confidence Two-sided. */
export const meanInterval = (values: readonly number[], confidence: number): MeanInterval | undefined => {
  const n = values.length;
  if (n === 0 || !values.every(Number.isFinite)) return undefined;
  const [centre, sd] = [mean(values), standardDeviation(values)];
  if (n < 2) return { n, mean: centre, sd, lower: undefined, upper: undefined };
  const margin = (studentQuantile((1 + confidence) / 2, n - 1) * sd) / Math.sqrt(n);
  return { n, mean: centre, sd, lower: centre - margin, upper: centre + margin };
};

/** Exact interval of a proportion (Clopper & Pearson, 1934). @param confidence Two-sided. */
export const clopperPearson = (successes: number, n: number, confidence: number): Proportion => {
  const tail = (1 - confidence) / 2;
  const quantile = (probability: number, a: number, b: number): number =>
    bisect((x) => incompleteBeta(x, a, b), probability, 0, 1);
  return {
    successes,
    n,
    share: n === 0 ? undefined : successes / n,
    lower: successes === 0 ? 0 : quantile(tail, successes, n - successes + 1),
    upper: successes === n ? 1 : quantile(1 - tail, successes + 1, n - successes),
  };
};

export interface Estimate {
  readonly n: number;
  readonly value: number;
  readonly lower: number | undefined;
  readonly upper: number | undefined;
}

/** The percentile bootstrap (Efron, 1979): items are drawn with replacement; draws without a value are left out. */
export const bootstrap = <T>(
  items: readonly T[],
  statistic: (drawn: readonly T[]) => number | undefined,
  { draws, confidence, random }: { readonly draws: number; readonly confidence: number; readonly random: RandomSource },
): Estimate | undefined => {
  const value = statistic(items);
  if (value === undefined) return undefined;
  const values: number[] = [];
  for (let draw = 0; draw < draws && items.length > 1; draw++) {
    const one = statistic(items.map(() => items[random.integer(items.length)]!));
    if (one !== undefined && Number.isFinite(one)) values.push(one);
  }
  values.sort((a, b) => a - b);
  const at = (probability: number): number | undefined =>
    values.length < draws / 2 ? undefined : values[Math.min(values.length - 1, Math.floor(probability * values.length))];
  return items.length < 2
    ? { n: items.length, value, lower: undefined, upper: undefined }
    : { n: items.length, value, lower: at((1 - confidence) / 2), upper: at((1 + confidence) / 2) };
};

/** Ranks from 1; equal values share the mean of their ranks. */
export const ranksOf = (values: readonly number[]): number[] => {
  const order = values.map((value, index) => ({ value, index })).sort((a, b) => a.value - b.value);
  const ranks = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end + 1 < order.length && order[end + 1]!.value === order[start]!.value) end++;
    for (let place = start; place <= end; place++) ranks[order[place]!.index] = (start + end) / 2 + 1;
    start = end + 1;
  }
  return ranks;
};

/** Spearman's rank correlation; undefined below three pairs, or where one side does not vary. */
export const spearman = (pairs: readonly { readonly x: number; readonly y: number }[]): number | undefined => {
  if (pairs.length < 3) return undefined;
  const [xs, ys] = [ranksOf(pairs.map(({ x }) => x)), ranksOf(pairs.map(({ y }) => y))];
  const centre = (pairs.length + 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let index = 0; index < pairs.length; index++) {
    const [dx, dy] = [xs[index]! - centre, ys[index]! - centre];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? undefined : xy / Math.sqrt(xx * yy);
};

export const median = (values: readonly number[]): number | undefined => {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2;
};
