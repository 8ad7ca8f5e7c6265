/** Whether a forge can do a task. Pure. */
import type { TaskContract } from "../contracts/work.ts";

/** What a forge is: where it stands and what it can. */
export interface ForgeIdentity {
  /** The node's name. */
  readonly node: string;
  readonly engines: readonly { readonly name: string; readonly version: string }[];
  readonly tags: readonly string[];
  /** Handed over this often, a task that nobody could do is told as failed. */
  readonly declinesMax: number;
  /** How far the clock of the one who ordered may be from this one. */
  readonly clockSkewMs: number;
}

/** What the forge lacks for the task; undefined when it can do it. */
export const lackingFor = (
  { constraints: { engine, engineVersion, machineTags }, assignee }: Pick<TaskContract, "constraints" | "assignee">,
  { node, engines, tags }: Pick<ForgeIdentity, "node" | "engines" | "tags">,
): string | undefined => {
  if (assignee !== undefined && assignee !== node) return `it is for ${assignee}, this is ${node}`;
  if (!engines.some(({ name, version }) => name === engine && version === engineVersion)) {
    const here = engines.map(({ name, version }) => `${name} ${version}`).join(", ") || "no engine";
    return `it is for the engine ${engine} ${engineVersion}, ${node} has ${here}`;
  }
  const missing = machineTags.filter((tag) => !tags.includes(tag));
  return missing.length === 0 ? undefined : `it asks for ${missing.join(", ")}, ${node} is ${tags.join(", ") || "not tagged"}`;
};
