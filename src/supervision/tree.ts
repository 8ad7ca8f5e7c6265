/** Searching a snapshot of the supervision tree. */
import type { ChildNode, SupervisorTree } from "./spec.ts";

/** The first node with this id, or with this path, depth first. */
export const findNode = (tree: SupervisorTree, id: string): ChildNode | undefined => {
  for (const child of tree.children) {
    if (child.id === id || child.path === id) return child;
    const below = child.nested && findNode(child.nested, id);
    if (below) return below;
  }
  return undefined;
};
