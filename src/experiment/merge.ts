/** Lays one fragment of configuration over another. Pure. */

export type Tree = Readonly<Record<string, unknown>>;

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);

/** Keys that choose a member of a union: another choice drops the keys of the one before. */
const choices = ["name", "kind"] as const;

const choosesAnother = (below: Tree, above: Tree): boolean =>
  choices.some((key) => above[key] !== undefined && below[key] !== undefined && above[key] !== below[key]);

/** Groups are merged key by key, everything else of `above` replaces what stood there. */
export const mergeTrees = (below: Tree, above: Tree): Tree => {
  if (choosesAnother(below, above)) return above;
  const merged: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    if (value === undefined) continue;
    const old = merged[key];
    merged[key] = isTree(old) && isTree(value) ? mergeTrees(old, value) : value;
  }
  return merged;
};
