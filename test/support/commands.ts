/** Commands for tests of whatever takes them. */
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { StartConfig } from "../../src/contracts/config.ts";
import type { CommandKind } from "../../src/contracts/roles.ts";

const hash = "e".repeat(64);

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
  seeds: { kind: "seeds", requestId: "q", limit: 100 },
  seed: { kind: "seed", requestId: "q", seedId: "seed:h2" },
  layers: { kind: "layers", requestId: "q" },
  layer: { kind: "layer", requestId: "q", site: "h2" },
  decisions: { kind: "decisions", requestId: "q", sinceEpoch: 0, limit: 100 },
  kernels: { kind: "kernels", requestId: "q", tagsRequired: [], tagsPreferred: [], tagsExcluded: [], limit: 100 },
  kernel: { kind: "kernel", requestId: "q", hash },
  blueprint: { kind: "blueprint", requestId: "q", hash },
  policy: { kind: "policy", requestId: "q" },
  policies: { kind: "policies", requestId: "q" },
  analyze: { kind: "analyze", requestId: "q" },
  submit_blueprint: {
    kind: "submit_blueprint",
    requestId: "q",
    blueprint: { name: "b", request: { kind: "dense", hiddenWidth: 4, initialization: "zero" }, from: [8], to: [12] },
    reason: "x",
  },
  kernel_status: { kind: "kernel_status", requestId: "q", hash, status: "withdrawn", reason: "x" },
  load_kernel: { kind: "load_kernel", requestId: "q", site: "h2", hash, reason: "x" },
  unload_kernel: { kind: "unload_kernel", requestId: "q", site: "h2", hash, reason: "x" },
  transition: { kind: "transition", requestId: "q", seedId: "seed:h2", to: "GERMINATED", reason: "x" },
  checkpoint: { kind: "checkpoint", requestId: "q", reason: "x" },
  step: { kind: "step", requestId: "q", reason: "x" },
  policy_load: { kind: "policy_load", requestId: "q", policy: { hash }, reason: "x" },
  policy_update: { kind: "policy_update", requestId: "q", set: { "trigger.confidenceMin": 0.9 }, reason: "x" },
  experience: {
    kind: "experience",
    requestId: "q",
    experience: { observation: { gap: 0.1 }, action: "grow", reward: 1, terminal: false },
  },
  start: { kind: "start", requestId: "q", config: StartConfig.parse({}), reason: "x" },
  shutdown: { kind: "shutdown", requestId: "q", reason: "x" },
  dead_letter: { kind: "dead_letter", requestId: "q", action: "drop", id: 1, reason: "x" },
};
