/**
 * Who may command what: one table of roles and command kinds, for every transport. A role is what a login stands for; a person's
 * login on NATS carries the name of its role.
 */
import { z } from "zod";
import type { KasminaControlCommand } from "./commands.ts";

/** People and their programs, from the one who may do everything to the one who gave no name. */
export const personRoles = ["admin", "operator", "developer", "observer", "anonymous"] as const;
export type PersonRole = (typeof personRoles)[number];
/** `controller`: the node's own actors that decide, Tamiyo and Emrakul. */
export const roles = [...personRoles, "controller"] as const;
export type Role = (typeof roles)[number];

export const transports = ["nats", "http"] as const;

/** Who asks, as the transport authenticated it: never what a message says of itself. */
export const Requester = z.strictObject({
  principal: z.string().min(1).max(128),
  role: z.enum(roles),
  transport: z.enum(transports),
});
export type Requester = z.infer<typeof Requester>;

export type CommandKind = KasminaControlCommand["kind"];

/** Everybody who answers commands that the Gate lets pass. */
export const answerers = ["kasmina", "warden", "urza", "tamiyo", "nissa", "node", "letters"] as const;
export type Answerer = (typeof answerers)[number];

export interface CommandRule {
  /** `read` changes nothing and is answered at once; `change` passes the Warden. */
  readonly access: "read" | "change";
  /** Who answers it behind the Gate. `node`: the steward of a node's runs; `letters`: the desk of dead letters. */
  readonly answeredBy: Answerer;
  readonly roles: readonly Role[];
}

const looks: readonly Role[] = ["admin", "operator", "developer", "observer"];
const steers: readonly Role[] = ["admin", "operator"];
const grows: readonly Role[] = ["admin", "operator", "developer"];

const change = (allowed: readonly Role[], answeredBy: Answerer = "kasmina"): CommandRule => ({
  access: "change",
  answeredBy,
  roles: allowed,
});
const read = (answeredBy: CommandRule["answeredBy"], allowed: readonly Role[] = looks): CommandRule => ({
  access: "read",
  answeredBy,
  roles: allowed,
});
const ruled = (allowed: readonly Role[]): CommandRule => ({ access: "change", answeredBy: "warden", roles: allowed });

/** The permission table. */
export const commandRules: Readonly<Record<CommandKind, CommandRule>> = {
  status: read("kasmina", [...looks, "anonymous", "controller"]),
  escalations: read("kasmina"),
  budget: read("kasmina"),
  approvals: read("warden"),
  governance: read("warden"),
  germinate: change([...grows, "controller"]),
  cull: change(grows),
  release: change(grows),
  rollback: change(steers),
  resolve: change(steers),
  pause: change(steers),
  resume: change(steers),
  stop: change(steers),
  pin: change(grows),
  unpin: change(grows),
  limit: change(steers),
  approve: ruled(steers),
  veto: ruled(steers),
  learn: ruled(["admin", "controller"]),
  seeds: read("kasmina"),
  seed: read("kasmina"),
  layers: read("kasmina"),
  layer: read("kasmina"),
  policy: read("kasmina"),
  decisions: read("nissa"),
  kernels: read("urza"),
  kernel: read("urza"),
  blueprint: read("urza"),
  policies: read("urza"),
  analyze: read("tamiyo"),
  transition: change(grows),
  load_kernel: change(grows),
  unload_kernel: change(grows),
  checkpoint: change(steers),
  policy_load: change(["admin", "controller"]),
  policy_update: change(["admin", "controller"]),
  step: change(grows, "tamiyo"),
  submit_blueprint: change(grows, "urza"),
  kernel_status: change(steers, "urza"),
  experience: change([...grows, "controller"], "urza"),
  start: change(steers, "node"),
  shutdown: change(steers, "node"),
  dead_letter: change(steers, "letters"),
};

export const commandKinds = Object.keys(commandRules) as CommandKind[];

/** Commands that a rule may hold back until somebody approves them: every change but the approving itself. */
export const governedKinds = commandKinds.filter(
  (kind) => commandRules[kind].access === "change" && kind !== "approve" && kind !== "veto",
) as [CommandKind, ...CommandKind[]];

export const mayCommand = (role: Role, kind: CommandKind): boolean => commandRules[kind].roles.includes(role);
