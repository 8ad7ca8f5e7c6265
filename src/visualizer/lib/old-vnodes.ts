/**
 * Lets go of what a component drew before. Preact leaves the children on the vnode that a component's own update replaces, and its parent still holds
 * that vnode in its props. Its children point on to what was drawn after it: with an update twenty times a second no drawing is ever freed.
 */
import { options, type VNode } from "preact";

/** Preact's own fields, by the short names that its releases keep for its tools. */
interface Internals {
  /** Children. */
  __k?: unknown;
  /** Component; and of a component, what it was last drawn as (`__v`). */
  __c?: { __v?: Internals } | null;
}

export const forgetOldVNodes = (): void => {
  const replaced = new WeakMap<object, Internals>();
  const { vnode: before, diffed: after } = options;
  options.vnode = (vnode: VNode) => {
    before?.(vnode);
    const old = (vnode as Internals).__c?.__v;
    if (old !== undefined && old !== vnode) replaced.set(vnode, old);
  };
  options.diffed = (vnode: VNode) => {
    after?.(vnode);
    const old = replaced.get(vnode);
    if (old === undefined) return;
    replaced.delete(vnode);
    old.__k = null;
  };
};
