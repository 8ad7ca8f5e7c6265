/** How a kernel is blended in: alpha over the progress of GRAFTING. Every schedule rises from 0 to exactly 1. */
import type { MorphogeneticConfig } from "../contracts/config.ts";

export type AlphaSchedule = MorphogeneticConfig["grafting"]["schedule"];

const sharpness = 12;
const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const logisticFoot = logistic(-sharpness / 2);

const shapes: Readonly<Record<AlphaSchedule, (progress: number) => number>> = {
  linear: (progress) => progress,
  cosine: (progress) => (1 - Math.cos(Math.PI * progress)) / 2,
  sigmoid: (progress) => (logistic(sharpness * (progress - 0.5)) - logisticFoot) / (1 - 2 * logisticFoot),
};

/** @param progress 0 to 1; what lies outside is clamped. */
export const alphaAt = (schedule: AlphaSchedule, progress: number): number => {
  if (progress <= 0) return 0;
  return progress >= 1 ? 1 : shapes[schedule](progress);
};
