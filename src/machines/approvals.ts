/**
 * Commands that wait for somebody's word. Pure: a record, a decision and the time go in, the record after it or a refusal comes out.
 *
 * A1 The first rule that fits a command and the role of its sender says who may approve; without one nobody needs to.
 * A2 Nobody approves what they asked for themselves, whatever their role.
 * A3 A record is decided once: approved, vetoed, or expired. An approved one is let pass again only while its receipt is remembered, so
 *    that a repetition cannot take effect twice.
 */
import type { ApprovalRule } from "../contracts/config-control.ts";
import type { ApprovalRecord } from "../contracts/governance.ts";
import type { CommandKind, PersonRole, Requester, Role } from "../contracts/roles.ts";
import type { Refusal } from "./holds.ts";

/** Who may approve; undefined when nobody needs to. A1 */
export const approversOf = (rules: readonly ApprovalRule[], kind: CommandKind, role: Role): readonly PersonRole[] | undefined =>
  rules.find(({ commands, from }) => (commands as readonly CommandKind[]).includes(kind) && from.includes(role))?.by;

/** The record as it is now. */
export const approvalAt = (record: ApprovalRecord, nowMs: number): ApprovalRecord =>
  record.state === "waiting" && nowMs >= record.expiresAtMs ? { ...record, state: "expired" } : record;

/** Whether an approved command may still be let pass. A3 */
export const mayPass = ({ state, decided }: ApprovalRecord, nowMs: number, rememberedMs: number): boolean =>
  state === "approved" && decided !== undefined && nowMs < decided.atMs + rememberedMs;

export type Ruling = { readonly kind: "ruled"; readonly record: ApprovalRecord } | ({ readonly kind: "refused" } & Refusal);

const refused = (code: Refusal["code"], reason: string): Ruling => ({ kind: "refused", code, reason });

interface Word {
  readonly verdict: "approved" | "vetoed";
  readonly by: Requester;
  readonly reason: string;
  readonly nowMs: number;
  /** How long receipts are remembered. */
  readonly rememberedMs: number;
}

/** One word on one command. The same word again gives the same record. */
export const rule = (before: ApprovalRecord, { verdict, by, reason, nowMs, rememberedMs }: Word): Ruling => {
  const record = approvalAt(before, nowMs);
  const { requestId } = record.command;
  if (!record.approvers.some((role) => role === by.role))
    return refused(
      "forbidden",
      `${requestId} is approved or vetoed by ${record.approvers.join(", ")}; ${by.principal} is ${by.role}`,
    );
  if (verdict === "approved" && record.by.principal === by.principal && record.by.role === by.role)
    return refused("forbidden", `${by.principal} asked for ${requestId}; somebody else approves it`); // A2
  if (record.state === "waiting")
    return { kind: "ruled", record: { ...record, state: verdict, decided: { by: by.principal, atMs: nowMs, reason } } };
  if (record.state !== verdict)
    return refused(
      record.state === "vetoed" ? "vetoed" : record.state === "expired" ? "expired" : "illegal_transition",
      record.state === "expired"
        ? `nobody approved ${requestId} in time; it is to be sent again under another id`
        : `${requestId} was ${record.state} by ${record.decided?.by ?? "somebody"}`,
    );
  if (verdict === "approved" && !mayPass(record, nowMs, rememberedMs))
    return refused("expired", `${requestId} was approved and passed on long ago; it is to be sent again under another id`);
  return { kind: "ruled", record };
};
