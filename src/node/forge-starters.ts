/** Who works on tasks in this node: those of Tezzeret and Urabrask that its roles name. */
import type { ActorPorts } from "../actors/shell.ts";
import { startTezzeret } from "../actors/tezzeret.ts";
import type { Starter } from "../actors/topology.ts";
import { startUrabrask } from "../actors/urabrask.ts";
import type { ForgeRole, NodeRole } from "../contracts/config-roles.ts";
import type { ForgeIdentity } from "../policy/task-fit.ts";
import { kernelKeyHash } from "../store/library.ts";
import type { ForgeLane } from "../workers/lane.ts";

export interface ForgeParts {
  readonly roles: readonly NodeRole[];
  /** The lane that both share; undefined where no role needs it. */
  readonly forge: ForgeLane | undefined;
  readonly identity: ForgeIdentity;
  /** What measurements are named for. */
  readonly machine: string;
}

export const forgeStarters = (
  ports: ActorPorts,
  { roles, forge, identity, machine }: ForgeParts,
): Partial<Record<ForgeRole, Starter>> => {
  if (forge === undefined) return {};
  return {
    ...(roles.includes("tezzeret") ? { tezzeret: () => startTezzeret(ports, { forge, hashKey: kernelKeyHash, identity }) } : {}),
    ...(roles.includes("urabrask") ? { urabrask: () => startUrabrask(ports, { forge, identity, machine }) } : {}),
  };
};
