/** Which actors a node hosts. */
import { z } from "zod";

/** Those that work on tasks, wherever they stand. */
export const forgeRoles = ["tezzeret", "urabrask"] as const;
export type ForgeRole = (typeof forgeRoles)[number];
/** Those that a run needs beside it. */
export const runRoles = ["tolaria", "kasmina", "gate", "warden", "tamiyo", "emrakul", "urza", "nissa"] as const;
export const nodeRoles = [...runRoles, ...forgeRoles] as const;
export type NodeRole = (typeof nodeRoles)[number];

export const isForgeRole = (role: NodeRole): role is ForgeRole => (forgeRoles as readonly NodeRole[]).includes(role);

/** A node that works for others alone: it trains nothing and keeps nothing. */
export const isForgeOnly = (roles: readonly NodeRole[]): boolean => roles.every(isForgeRole);

export const NodeRoles = z
  .array(z.enum(nodeRoles))
  .min(1)
  .max(nodeRoles.length)
  .refine(
    (roles) => new Set(roles).size === roles.length && (isForgeOnly(roles) || runRoles.every((role) => roles.includes(role))),
    `each role once, and either forge roles alone (${forgeRoles.join(", ")}) or all of ${runRoles.join(", ")} with or without them`,
  )
  .default([...nodeRoles])
  .describe(
    "Actors that this node hosts. `[tezzeret, urabrask]` makes it a forge for a node on another machine, whose NATS server `services.nats` names; a run leaves them out to work with such forges alone.",
  );
