/** A policy: what decides when to grow and what, as one asset with a name. A run begins with the one that its configuration makes. */
import { z } from "zod";
import { BlueprintInitialization, BlueprintKind } from "./blueprint-kinds.ts";
import type { MorphogeneticConfig } from "./config-morphogenetic.ts";
import { TriggerConfig } from "./config-signal.ts";

const tags = z.array(z.string().min(1).max(64)).max(32);

/** Constants of Tamiyo's confidence and forecast; `src/policy/calibration.ts` says what each means and where it comes from. */
export const PolicyConstants = {
  confidence: z.strictObject({ logOddsAtOne: z.number(), logOddsPerLogSeverity: z.number() }),
  forecast: z.strictObject({
    logGainAtOne: z.number(),
    logGainPerLogGap: z.number(),
    logGainPerLogLoss: z.number(),
    gapFloor: z.number().positive(),
    lossTypical: z.number().positive(),
    logGainSd: z.number().min(0),
    keepRate: z.number().min(0).max(1),
  }),
} as const;

/** Which blueprints are preferred: the part of `morphogenetic.blueprint` that is taste and not mechanism. */
export const BlueprintPreferences = z.strictObject({
  kind: z.union([z.literal("auto"), BlueprintKind]),
  hiddenWidth: z.union([z.literal("auto"), z.int().min(1).max(8192)]),
  initialization: BlueprintInitialization,
  tagsRequired: tags,
  tagsPreferred: tags,
  tagsExcluded: tags,
});

export const Policy = z.strictObject({
  schemaVersion: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, "expected letters, digits and . _ - (at most 64)"),
  trigger: TriggerConfig,
  ...PolicyConstants,
  blueprint: BlueprintPreferences,
});
export type Policy = z.infer<typeof Policy>;

/** Values of a policy by their place, for example `trigger.gapMin`; what they may be is the policy's own schema. */
export const PolicyChanges = z
  .record(
    z.string().regex(/^(trigger|confidence|forecast|blueprint)\.[a-zA-Z]{1,40}$/, "expected a place such as trigger.gapMin"),
    z.union([z.number(), z.string().max(64), z.array(z.string().max(128)).max(1000)]),
  )
  .refine((changes) => Object.keys(changes).length > 0, "expected at least one value to change")
  .refine((changes) => Object.keys(changes).length <= 32, "expected at most 32 values");
export type PolicyChanges = z.infer<typeof PolicyChanges>;

/** The policy of a run as it is in force. `hash`: of the policy's canonical JSON. */
export const PolicyInForce = z.strictObject({
  hash: z.string(),
  /** The first window that it decides after; 0 for the configuration's own. */
  sinceEpoch: z.int().min(0),
  policy: Policy,
});
export type PolicyInForce = z.infer<typeof PolicyInForce>;

/** The configuration that a policy makes of another: its thresholds and preferences in place of theirs. */
export const underPolicy = (config: MorphogeneticConfig, { trigger, blueprint }: Policy): MorphogeneticConfig => ({
  ...config,
  trigger,
  blueprint: { ...config.blueprint, ...blueprint },
});

/** The policy that a configuration and the constants of confidence and forecast make. */
export const configuredPolicy = (
  { trigger, blueprint: { tinyBatches: _, ...blueprint } }: Pick<MorphogeneticConfig, "trigger" | "blueprint">,
  { confidence, forecast }: Pick<Policy, "confidence" | "forecast">,
): Policy => ({
  schemaVersion: 1,
  name: "configuration",
  trigger,
  confidence: { ...confidence },
  forecast: { ...forecast },
  blueprint,
});

export type ChangedPolicy =
  | { readonly kind: "changed"; readonly policy: Policy }
  | { readonly kind: "refused"; readonly reason: string };

const issuesMax = 3;

/** A policy with other values, under its own name or another; refused where a place is unknown or a value does not fit it. */
export const changePolicy = (policy: Policy, changes: PolicyChanges, name = policy.name): ChangedPolicy => {
  const next: Record<string, unknown> = { ...policy, name };
  for (const [place, value] of Object.entries(changes)) {
    const [part = "", key = ""] = place.split(".");
    next[part] = { ...(typeof next[part] === "object" ? next[part] : {}), [key]: value };
  }
  const parsed = Policy.safeParse(next);
  if (parsed.success) return { kind: "changed", policy: parsed.data };
  const issues = parsed.error.issues.slice(0, issuesMax).map(({ path, message }) => `${path.join(".") || "policy"}: ${message}`);
  return { kind: "refused", reason: `expected values that the policy knows: ${issues.join("; ")}` };
};
