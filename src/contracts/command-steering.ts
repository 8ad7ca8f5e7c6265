/** Changes of a run's seeds and holds: what a person asks while it trains, or gives along with its start. */
import { z } from "zod";
import { BlueprintRequest } from "./blueprint-kinds.ts";
import { budgetResources } from "./budget.ts";
import { base, reason } from "./command-base.ts";
import { Forecast } from "./decision.ts";
import { ContentHash, SeedId, SiteId } from "./ids.ts";
import { PruneTarget } from "./pruning.ts";

/** What Tamiyo wants of the host, with its grounds. */
export const AdaptationSignal = z.strictObject({
  rule: z.string(),
  reason: z.string(),
  confidence: z.number().min(0).max(1),
  forecast: Forecast,
});
export type AdaptationSignal = z.infer<typeof AdaptationSignal>;

/** The blueprint of a germination: what to grow, or the hash of one that was submitted. */
const BlueprintChoice = z.union([BlueprintRequest, z.strictObject({ hash: ContentHash })]);
/** A seed, or a layer with all its seeds. */
const PinTarget = z.union([SeedId, SiteId]);
const pauseOf = { scope: z.enum(["run", "adaptation"]).optional(), site: SiteId.optional() };

const germinate = z.strictObject({
  ...base,
  kind: z.literal("germinate"),
  seedId: SeedId,
  /** Where the bypass ends; left out, the span of the largest energy, else the nearest legal one. */
  toSite: SiteId.optional(),
  blueprint: BlueprintChoice.optional(),
  /** Takes something out in place of growing; the seed is then `seed:<site>.prune`, and span and blueprint are left out. */
  prune: PruneTarget.optional(),
  adaptation: AdaptationSignal.optional(),
  reason,
});
const cull = z.strictObject({ ...base, kind: z.literal("cull"), seedId: SeedId, reason });
/** Undoes the open trial: everything as in the last good snapshot. Without a seed, the one in trial. */
const rollback = z.strictObject({ ...base, kind: z.literal("rollback"), seedId: SeedId.optional(), reason });
/** Lets a seed that was rolled back go back to its first state; the embargo on its site stays. */
const release = z.strictObject({ ...base, kind: z.literal("release"), seedId: SeedId, reason });
/** Answers an escalation: the jury was split on this seed. */
const resolve = z.strictObject({
  ...base,
  kind: z.literal("resolve"),
  seedId: SeedId,
  verdict: z.enum(["keep", "cull"]),
  reason,
});
/** The run; or, named by `scope` or `site`, that nothing new begins in it, or at that layer. An open trial goes on. */
const pause = z.strictObject({ ...base, kind: z.literal("pause"), ...pauseOf });
const resume = z.strictObject({ ...base, kind: z.literal("resume"), ...pauseOf });
/** From now on nothing is grown on, pruned from, or culled at a seed or a layer. */
const pin = z.strictObject({ ...base, kind: z.literal("pin"), target: PinTarget, reason });
const unpin = z.strictObject({ ...base, kind: z.literal("unpin"), target: PinTarget, reason });
/** Another limit of the run's budget. What is used already stays used. */
const limit = z.strictObject({
  ...base,
  kind: z.literal("limit"),
  resource: z.enum(budgetResources),
  max: z.number().min(0).max(1e18),
  reason,
});

export const steeringCommands = [germinate, cull, rollback, release, resolve, pause, resume, pin, unpin, limit] as const;

/** Its request id follows from the start's, and its run is the one that starts. */
const own = { requestId: true, runId: true } as const;

/** A command that comes with the start of a run and is asked for at its first boundary. */
export const FirstCommand = z.discriminatedUnion("kind", [
  germinate.omit(own),
  cull.omit(own),
  rollback.omit(own),
  release.omit(own),
  resolve.omit(own),
  pause.omit(own),
  pin.omit(own),
  unpin.omit(own),
  limit.omit(own),
]);
export type FirstCommand = z.infer<typeof FirstCommand>;

/** Commands that may come with a start. */
export const firstCommandsMax = 8;
