/** Commands for tests of whatever takes them. */
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import type { CommandKind } from "../../src/contracts/roles.ts";

/** One valid command of each kind. */
export const commandExamples: Readonly<Record<CommandKind, KasminaControlCommand>> = {
  germinate: { kind: "germinate", requestId: "q", seedId: "seed:h2", reason: "x" },
  cull: { kind: "cull", requestId: "q", seedId: "seed:h2", reason: "x" },
  rollback: { kind: "rollback", requestId: "q", reason: "x" },
  release: { kind: "release", requestId: "q", seedId: "seed:h2", reason: "x" },
  resolve: { kind: "resolve", requestId: "q", seedId: "seed:h2", verdict: "keep", reason: "x" },
  pause: { kind: "pause", requestId: "q" },
  resume: { kind: "resume", requestId: "q" },
  pin: { kind: "pin", requestId: "q", target: "h2", reason: "x" },
  unpin: { kind: "unpin", requestId: "q", target: "seed:h2", reason: "x" },
  limit: { kind: "limit", requestId: "q", resource: "flops", max: 1, reason: "x" },
  approve: { kind: "approve", requestId: "q", target: "other", reason: "x" },
  veto: { kind: "veto", requestId: "q", target: "other", reason: "x" },
  learn: { kind: "learn", requestId: "q", change: "policy 2", reason: "x" },
  stop: { kind: "stop", requestId: "q", reason: "x" },
  status: { kind: "status", requestId: "q" },
  escalations: { kind: "escalations", requestId: "q" },
  budget: { kind: "budget", requestId: "q" },
  approvals: { kind: "approvals", requestId: "q" },
  governance: { kind: "governance", requestId: "q" },
};
