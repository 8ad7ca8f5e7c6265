/**
 * The Warden: says of every change that the Gate admits whether it may be, and keeps what waits for somebody's approval.
 *
 * D1 What a rule holds back is on the disk before its sender hears so, and passes only with the word of a role that the rule names.
 * D2 What waits is bounded and expires.
 * D3 Learning changes the policy only as often as its limits allow, also after a restart and with a clock that was set.
 * D4 Embargo, grafting lock, budget, pins and pauses are the machine's: it holds every command that passes here to them, at once and again
 *    at the boundary.
 */
import type { Approval, CommandReceipt, KasminaControlCommand } from "../contracts/commands.ts";
import type { ControlConfig } from "../contracts/config.ts";
import type { ApprovalRecord } from "../contracts/governance.ts";
import type { AdmittedCommand, WardenVerdict } from "../contracts/subjects.ts";
import { approvalAt, approversOf, mayPass, rule } from "../machines/approvals.ts";
import type { Refusal } from "../machines/holds.ts";
import { askToLearn, learningStanding, type Now, rebased } from "../machines/learning.ts";
import { sameJson } from "../store/json.ts";
import type { WardenStore } from "../store/warden-store.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

export interface WardenPorts {
  readonly store: WardenStore;
  readonly control: ControlConfig;
  /** How long receipts are remembered (`services.idempotencyMs`). */
  readonly rememberedMs: number;
  /** By request id, the process's own clock when learning made a change; outlives the actor. */
  readonly learnedAt: Map<string, number>;
}

type Command<K extends KasminaControlCommand["kind"]> = Extract<KasminaControlCommand, { kind: K }>;

type Counted = (Command<"policy_load"> | Command<"policy_update">) & { readonly change: string };

/** What a change of the policy is, for those who look at how often it changes. */
const changeOf = (command: Command<"policy_load"> | Command<"policy_update">): string => {
  if (command.kind === "policy_update") return `set ${Object.keys(command.set).join(", ")}`.slice(0, 200);
  const { policy } = command;
  return "hash" in policy ? `load ${policy.hash}` : `load ${policy.name}`;
};

const learnedMax = 1024;
const approvalsShownMax = 1024;

export const startWarden = (ports: ActorPorts, own: WardenPorts): Promise<RunningChild> =>
  startActor("warden", ports, async (scope) => {
    const warden = new Warden(scope, own);
    await scope.answer("control.warden.reviews", (asked) => warden.review(asked));
  });

const answer = (receipt: CommandReceipt): WardenVerdict => ({ kind: "answer", receipt });
const again = (receipt: CommandReceipt): WardenVerdict => ({ kind: "answer", receipt, again: true });
const refuse = ({ requestId }: KasminaControlCommand, { code, reason }: Refusal): WardenVerdict =>
  answer({ kind: "refused", requestId, code, reason });
const done = ({ requestId }: KasminaControlCommand, detail: string): CommandReceipt => ({ kind: "done", requestId, detail });

class Warden {
  readonly #scope: ActorScope;
  readonly #own: WardenPorts;

  constructor(scope: ActorScope, own: WardenPorts) {
    this.#scope = scope;
    this.#own = own;
  }

  review(asked: AdmittedCommand & { readonly undone?: true | undefined }): WardenVerdict {
    const { command } = asked;
    if (asked.undone === true) return this.#forget(command);
    switch (command.kind) {
      case "approvals":
        return answer({ kind: "approvals", requestId: command.requestId, approvals: this.#shown() });
      case "governance":
        return answer({ kind: "governance", requestId: command.requestId, learning: this.#learning() });
      case "approve":
        return this.#approve(asked, command);
      case "veto":
        return this.#veto(asked, command);
      default:
        return this.#held(asked) ?? this.#carryOut(asked);
    }
  }

  /** What is let pass: to the machine, but for what the Warden answers by herself. */
  #carryOut({ by, command }: AdmittedCommand): WardenVerdict {
    if (command.kind === "learn") return this.#learn(command, by.principal);
    if (command.kind === "policy_load" || command.kind === "policy_update") {
      const counted = this.#learn({ ...command, change: changeOf(command) }, by.principal);
      if (counted.kind === "answer" && counted.receipt.kind === "refused") return counted;
    }
    return { kind: "pass", admitted: { by, command } };
  }

  /** A change that was counted and did not come about behind her. */
  #forget(command: KasminaControlCommand): WardenVerdict {
    this.#own.store.forgetChange(command.requestId);
    this.#own.learnedAt.delete(command.requestId);
    return answer(done(command, "not counted"));
  }

  /** D1, D2. Undefined when the command needs nobody's approval, or has it. */
  #held({ by, command }: AdmittedCommand): WardenVerdict | undefined {
    const { store, control, rememberedMs } = this.#own;
    const approvers = approversOf(control.approvals.rules, command.kind, by.role);
    if (approvers === undefined) return undefined;
    const nowMs = this.#scope.clock.nowMs();
    const before = this.#find(command.requestId, nowMs);
    if (before !== undefined && this.#isRemembered(before, nowMs)) {
      const { requestId } = command;
      if (!sameJson(before.command, command))
        return refuse(command, {
          code: "request_id_used",
          reason: `${requestId} was the id of another command; choose a new one`,
        });
      if (mayPass(before, nowMs, rememberedMs)) return undefined;
      if (before.state === "waiting") return again(this.#waits(before));
      const who = before.decided === undefined ? "nobody approved it in time" : `${before.decided.by}: ${before.decided.reason}`;
      return refuse(command, { code: before.state === "vetoed" ? "vetoed" : "expired", reason: `${before.state}; ${who}` });
    }
    for (const record of store.approvals())
      if (record.state === "waiting" && nowMs >= record.expiresAtMs) store.putApproval(approvalAt(record, nowMs));
    const { waitingMax, expiryMs } = control.approvals;
    if (store.waiting() >= waitingMax)
      return refuse(command, { code: "limit", reason: `${waitingMax} commands wait for approval; approve or veto some first` });
    const record: ApprovalRecord = {
      by,
      command,
      approvers,
      state: "waiting",
      createdAtMs: nowMs,
      expiresAtMs: nowMs + expiryMs,
    };
    store.putApproval(record);
    return answer(this.#waits(record));
  }

  #approve({ by }: AdmittedCommand, command: Command<"approve">): WardenVerdict {
    const { store, rememberedMs } = this.#own;
    const nowMs = this.#scope.clock.nowMs();
    const record = this.#find(command.target, nowMs);
    if (record === undefined)
      return refuse(command, {
        code: "unknown_request",
        reason: `no command ${command.target} waits for approval; ask for approvals`,
      });
    const ruling = rule(record, { verdict: "approved", by, reason: command.reason, nowMs, rememberedMs });
    if (ruling.kind === "refused") return refuse(command, ruling);
    store.putApproval(ruling.record);
    const receipt = done(command, `approved ${command.target}`);
    const passed = this.#carryOut(ruling.record);
    if (passed.kind === "answer") return passed.receipt.kind === "refused" ? refuse(command, passed.receipt) : answer(receipt);
    return { kind: "release", admitted: { by: ruling.record.by, command: ruling.record.command }, receipt };
  }

  /** What does not wait here may still wait for its boundary. */
  #veto({ by, command: asked }: AdmittedCommand, command: Command<"veto">): WardenVerdict {
    const { store, rememberedMs } = this.#own;
    const nowMs = this.#scope.clock.nowMs();
    const record = this.#find(command.target, nowMs);
    if (record === undefined || record.state === "approved") return { kind: "pass", admitted: { by, command: asked } };
    const ruling = rule(record, { verdict: "vetoed", by, reason: command.reason, nowMs, rememberedMs });
    if (ruling.kind === "refused") return refuse(command, ruling);
    store.putApproval(ruling.record);
    return answer(done(command, `vetoed ${command.target}`));
  }

  /** D3 */
  #learn(command: Command<"learn"> | Counted, principal: string): WardenVerdict {
    const { store, control, learnedAt } = this.#own;
    const now = this.#now();
    const { requestId, change } = command;
    const verdict = askToLearn(this.#changes(now), { requestId, change, principal }, now, control.learning);
    if (verdict.kind === "refused") return refuse(command, { code: "governance", reason: verdict.reason });
    if (!verdict.known) {
      store.putChange(verdict.change);
      learnedAt.set(requestId, now.monotonicMs);
      const oldest = learnedAt.keys().next().value;
      if (learnedAt.size > learnedMax && oldest !== undefined) learnedAt.delete(oldest);
    }
    return answer(done(command, `may change the policy once: ${change}`));
  }

  #learning() {
    const now = this.#now();
    return learningStanding(this.#changes(now), now, this.#own.control.learning);
  }

  #now(): Now {
    const { clock } = this.#scope;
    return { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs(), madeAt: this.#own.learnedAt };
  }

  #changes(now: Now) {
    const { store } = this.#own;
    for (const change of rebased(store.changes(), now)) store.putChange(change);
    return store.changes();
  }

  #find(requestId: string, nowMs: number): ApprovalRecord | undefined {
    const record = this.#own.store.findApproval(requestId);
    return record === undefined ? undefined : approvalAt(record, nowMs);
  }

  /** A request id is free again once nothing waits under it and its receipt is forgotten. */
  #isRemembered({ state, decided, expiresAtMs }: ApprovalRecord, nowMs: number): boolean {
    return state === "waiting" || nowMs < (decided?.atMs ?? expiresAtMs) + this.#own.rememberedMs;
  }

  #waits({ command, expiresAtMs, approvers }: ApprovalRecord): CommandReceipt {
    const { requestId, kind } = command;
    return {
      kind: "held",
      requestId,
      expiresAtMs,
      approvers: [...approvers],
      detail: `${kind} waits for approval as ${requestId}`,
    };
  }

  #shown(): Approval[] {
    const nowMs = this.#scope.clock.nowMs();
    return this.#own.store
      .approvals()
      .slice(-approvalsShownMax)
      .map((record) => {
        const { command, by, state, approvers, createdAtMs, expiresAtMs, decided } = approvalAt(record, nowMs);
        return {
          requestId: command.requestId,
          kind: command.kind,
          command: JSON.stringify(command).slice(0, 2000),
          principal: by.principal,
          role: by.role,
          state,
          approvers: [...approvers],
          createdAtMs,
          expiresAtMs,
          ...(decided === undefined ? {} : { decidedBy: decided.by, reason: decided.reason }),
        };
      });
  }
}
