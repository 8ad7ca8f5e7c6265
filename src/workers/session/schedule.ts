/** The learning rate over the host's steps, as a multiple of the configured one. */
import type { SessionSpec } from "../../contracts/plan.ts";

/** Rises linearly over `warmupSteps`, then stays or falls along a half cosine to 0 at `hostSteps`. @param hostStep From 0. */
export const scheduleFactor = (
  { schedule, warmupSteps, hostSteps }: Pick<SessionSpec, "schedule" | "warmupSteps" | "hostSteps">,
  hostStep: number,
): number => {
  const warmup = hostStep < warmupSteps ? (hostStep + 1) / warmupSteps : 1;
  if (schedule === "constant") return warmup;
  const progress = Math.min(1, Math.max(0, hostStep - warmupSteps) / Math.max(1, hostSteps - warmupSteps));
  return (warmup * (1 + Math.cos(Math.PI * progress))) / 2;
};
