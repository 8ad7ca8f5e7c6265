/** Commands that change a run or ask about it, their receipts, and the decisions that led to them. Operators and Tamiyo send the same messages. */
import { z } from "zod";
import { BudgetAmounts, BudgetStanding } from "./budget.ts";
import { base, reason } from "./command-base.ts";
import { changeCommands } from "./command-changes.ts";
import { queryCommands, queryReceipts, SeedStatus } from "./command-queries.ts";
import { steeringCommands } from "./command-steering.ts";
import { RequestId } from "./ids.ts";
import { HostSummary } from "./plan.ts";

export { AdaptationSignal } from "./command-steering.ts";
export { Decision, Forecast } from "./decision.ts";

export const KasminaControlCommand = z.discriminatedUnion("kind", [
  ...steeringCommands,
  /** Lets a command pass that waits for approval; `target` is its request id. */
  z.strictObject({ ...base, kind: z.literal("approve"), target: RequestId, reason }),
  /** Stops a command that waits for approval, or for its boundary; `target` is its request id. */
  z.strictObject({ ...base, kind: z.literal("veto"), target: RequestId, reason }),
  /** Asks leave to change the policy once. Whoever learns asks before it promotes. */
  z.strictObject({ ...base, kind: z.literal("learn"), change: z.string().min(1).max(200), reason }),
  z.strictObject({ ...base, kind: z.literal("escalations") }),
  z.strictObject({ ...base, kind: z.literal("budget") }),
  z.strictObject({ ...base, kind: z.literal("approvals") }),
  z.strictObject({ ...base, kind: z.literal("governance") }),
  z.strictObject({ ...base, kind: z.literal("status") }),
  z.strictObject({ ...base, kind: z.literal("stop"), reason: z.string().max(500).default("asked by the operator") }),
  ...changeCommands,
  ...queryCommands,
]);
export type KasminaControlCommand = z.infer<typeof KasminaControlCommand>;

/** A pause or resume of the run itself, not of what may begin in it. */
export const concernsRun = ({ scope, site }: Extract<KasminaControlCommand, { kind: "pause" | "resume" }>): boolean =>
  scope !== "adaptation" && site === undefined;

/** What is held still in a run. */
export const Holds = z.strictObject({
  adaptationPaused: z.boolean(),
  pausedSites: z.array(z.string()).max(1024),
  /** Seeds and layers. */
  pins: z.array(z.string()).max(1024),
});
export type Holds = z.infer<typeof Holds>;

export const RunStatus = z.strictObject({
  runId: z.string(),
  arm: z.string(),
  epoch: z.int().min(0),
  paused: z.boolean(),
  /** Left out while nothing is held. */
  holds: Holds.optional(),
  host: HostSummary,
  /** At most the first 1000; `seedCount` counts all. */
  seeds: z.array(SeedStatus).max(1000),
  seedCount: z.int().min(0),
});
export type RunStatus = z.infer<typeof RunStatus>;

export const refusalCodes = [
  "invalid",
  "unknown_run",
  "unknown_seed",
  "illegal_transition",
  "embargo",
  "lock_held",
  "budget",
  "limit",
  "span",
  "no_run",
  "not_paused",
  "already_paused",
  "stopping",
  "forbidden",
  "rate",
  "deadline",
  "too_large",
  "request_id_used",
  "adaptation_paused",
  "pinned",
  "vetoed",
  "unknown_request",
  "expired",
  "governance",
  "unavailable",
  "unknown_layer",
  "unknown_asset",
  "unknown_letter",
  "withdrawn",
  "unfit",
  "in_use",
  "stuck",
  "not_staying",
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

/** A jury that is split and not yet answered. */
const OpenEscalation = z.strictObject({
  seedId: z.string(),
  sinceEpoch: z.int().min(0),
  reason: z.string(),
  /** Windows that are still waited, and what happens then. */
  windowsLeft: z.int().min(0),
  otherwise: z.enum(["keep", "cull"]),
});

/** A command that waits for approval, or how that ended. */
export const Approval = z.strictObject({
  requestId: z.string(),
  kind: z.string(),
  command: z.string().max(2000),
  principal: z.string(),
  role: z.string(),
  state: z.enum(["waiting", "approved", "vetoed", "expired"]),
  approvers: z.array(z.string()).max(16),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  decidedBy: z.string().optional(),
  reason: z.string().optional(),
});
export type Approval = z.infer<typeof Approval>;

/** How much learning may still change today. */
export const LearningStanding = z.strictObject({
  changesToday: z.int().min(0),
  changesPerDayMax: z.int().min(0),
  /** When the next change may be asked for; the past when it may be now. */
  nextAtMs: z.number(),
  recent: z.array(z.strictObject({ requestId: z.string(), change: z.string(), principal: z.string(), atMs: z.number() })).max(64),
});
export type LearningStanding = z.infer<typeof LearningStanding>;

/** The answer to a command. An accepted change takes effect at the next boundary. */
export const CommandReceipt = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("accepted"),
    requestId: z.string(),
    runId: z.string(),
    appliesAtEpoch: z.int().min(1),
    detail: z.string(),
  }),
  z.strictObject({ kind: z.literal("status"), requestId: z.string(), run: RunStatus }),
  /** Carried out; there is no boundary to wait for. */
  z.strictObject({ kind: z.literal("done"), requestId: z.string(), detail: z.string() }),
  /** Waits for somebody's approval. The same request again tells how it stands. */
  z.strictObject({
    kind: z.literal("held"),
    requestId: z.string(),
    expiresAtMs: z.number(),
    approvers: z.array(z.string()).max(16),
    detail: z.string(),
  }),
  z.strictObject({
    kind: z.literal("escalations"),
    requestId: z.string(),
    runId: z.string(),
    escalations: z.array(OpenEscalation).max(64),
  }),
  z.strictObject({
    kind: z.literal("budget"),
    requestId: z.string(),
    runId: z.string(),
    standing: BudgetStanding,
    /** What a new trial may use; a resource without a limit is left out. */
    left: BudgetAmounts,
  }),
  z.strictObject({ kind: z.literal("approvals"), requestId: z.string(), approvals: z.array(Approval).max(1024) }),
  z.strictObject({ kind: z.literal("governance"), requestId: z.string(), learning: LearningStanding }),
  ...queryReceipts,
  z.strictObject({
    kind: z.literal("refused"),
    requestId: z.string(),
    code: z.enum(refusalCodes),
    reason: z.string(),
    /** Sent again before, it is refused again. */
    retryAfterMs: z.number().min(0).optional(),
  }),
]);
export type CommandReceipt = z.infer<typeof CommandReceipt>;
