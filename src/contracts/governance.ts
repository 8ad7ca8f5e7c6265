/** What the Warden keeps: commands that wait for approval, and the changes that learning was allowed. */
import { z } from "zod";
import { KasminaControlCommand } from "./commands.ts";
import { personRoles, Requester } from "./roles.ts";

export const ApprovalRecord = z.strictObject({
  by: Requester,
  command: KasminaControlCommand,
  approvers: z.array(z.enum(personRoles)).readonly(),
  state: z.enum(["waiting", "approved", "vetoed", "expired"]),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  decided: z.strictObject({ by: z.string(), atMs: z.number(), reason: z.string() }).optional(),
});
export type ApprovalRecord = z.infer<typeof ApprovalRecord>;

export const LearningChange = z.strictObject({
  requestId: z.string(),
  change: z.string(),
  principal: z.string(),
  atMs: z.number(),
});
export type LearningChange = z.infer<typeof LearningChange>;
