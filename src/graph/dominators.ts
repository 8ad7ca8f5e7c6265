/**
 * Dominators of a graph of values: u dominates v when every path from the root to v goes through u.
 *
 * Cooper, Harvey & Kennedy (2001), "A Simple, Fast Dominance Algorithm". The graph has no cycles and its values come in topological
 * order, so that one pass is enough.
 */

/** A value and the values that it is computed from. */
export interface Vertex {
  readonly id: string;
  readonly inputs: readonly string[];
}

export interface Dominators {
  /** The nearest value that dominates this one; undefined for the root and for what the root does not reach. */
  immediate(id: string): string | undefined;
  /** True when every path from the root to `value` goes through `by`, and there is one; a value dominates itself. */
  dominates(by: string, value: string): boolean;
}

/** @param vertices In topological order, without the root. Inputs that the root does not reach, such as parameters, are no paths. */
export const dominatorsFrom = (root: string, vertices: readonly Vertex[]): Dominators => {
  const order = new Map<string, number>([[root, 0]]);
  const parents: number[] = [0];
  const names: string[] = [root];
  const intersect = (a: number, b: number): number => {
    let [left, right] = [a, b];
    while (left !== right) {
      while (left > right) left = parents[left]!;
      while (right > left) right = parents[right]!;
    }
    return left;
  };
  for (const { id, inputs } of vertices) {
    const reached = inputs.flatMap((input) => order.get(input) ?? []);
    if (reached.length === 0) continue;
    order.set(id, names.length);
    names.push(id);
    parents.push(reached.reduce(intersect));
  }
  const parentOf = (index: number): number | undefined => (index === 0 ? undefined : parents[index]);
  return {
    immediate: (id) => {
      const index = order.get(id);
      const parent = index === undefined ? undefined : parentOf(index);
      return parent === undefined ? undefined : names[parent];
    },
    dominates: (by, value) => {
      const target = order.get(by);
      let index = order.get(value);
      if (target === undefined) return false;
      while (index !== undefined && index > target) index = parentOf(index);
      return index === target;
    },
  };
};
