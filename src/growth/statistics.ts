/** Plain statistics over plain arrays. */

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index]!;
  return sum / values.length;
};

/** Standard deviation with n − 1; 0 for a single value. */
export const standardDeviation = (values: ArrayLike<number>): number => {
  if (values.length < 2) return 0;
  const centre = mean(values);
  let squares = 0;
  for (let index = 0; index < values.length; index++) squares += (values[index]! - centre) ** 2;
  return Math.sqrt(squares / (values.length - 1));
};

/** Least-squares slope of the values against their index. */
export const slope = (values: ArrayLike<number>): number => {
  const centre = (values.length - 1) / 2;
  const average = mean(values);
  let covariance = 0;
  let variance = 0;
  for (let index = 0; index < values.length; index++) {
    covariance += (index - centre) * (values[index]! - average);
    variance += (index - centre) ** 2;
  }
  return variance === 0 ? 0 : covariance / variance;
};

/** |fitted change from the first to the last value| / |mean|. Undefined below two values or at mean 0. */
export const relativeSlope = (values: ArrayLike<number>): number | undefined => {
  const average = Math.abs(mean(values));
  return values.length < 2 || !(average > 0) ? undefined : Math.abs(slope(values) * (values.length - 1)) / average;
};

/** Standard error of `relativeSlope`, from the residuals around the line. Undefined below three values or at mean 0. */
export const relativeSlopeError = (values: ArrayLike<number>): number | undefined => {
  const [average, fitted, centre] = [mean(values), slope(values), (values.length - 1) / 2];
  if (values.length < 3 || !(Math.abs(average) > 0)) return undefined;
  let residuals = 0;
  let variance = 0;
  for (let index = 0; index < values.length; index++) {
    residuals += (values[index]! - average - fitted * (index - centre)) ** 2;
    variance += (index - centre) ** 2;
  }
  return (Math.sqrt(residuals / (values.length - 2) / variance) * (values.length - 1)) / Math.abs(average);
};

const density = (x: number): number => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

/** Φ(x), by the series Φ(x) = ½ + φ(x)·Σ x^(2k+1) / (2k+1)!!; exact to rounding for |x| ≤ 8. */
export const normalCumulative = (x: number): number => {
  if (x > 8) return 1;
  if (x < -8) return 0;
  let term = x;
  let sum = x;
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum) && k < 600; k += 2) {
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + density(x) * sum;
};

/** z with Φ(z) = probability, by bisection; ±8 stands for 1 and 0. */
export const normalQuantile = (probability: number): number => {
  let [low, high] = [-8, 8];
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (normalCumulative(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
};
