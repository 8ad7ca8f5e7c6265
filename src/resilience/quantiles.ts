/** Quantiles of durations by the nearest rank: each is one of the durations measured. Pure. */
import type { LatencyQuantiles } from "../contracts/breaker.ts";

/** @returns undefined without a duration: what was not measured has no value */
export const latencyQuantiles = (durationsMs: readonly number[]): LatencyQuantiles | undefined => {
  const sorted = [...durationsMs].sort((a, b) => a - b);
  const samples = sorted.length;
  if (samples === 0) return undefined;
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * samples) - 1)]!;
  return { samples, p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99), maxMs: at(1) };
};
