/** Range requests (RFC 9110, section 14). Pure. */

export type Range =
  /** Everything: no range was asked for, or one that may be left aside. */
  | { readonly kind: "whole" }
  /** Both ends belong to it. */
  | { readonly kind: "part"; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable" };

const whole: Range = { kind: "whole" };

/** One range of bytes; several, and units that are not known, are left aside as the standard lets a server do. */
export const rangeOf = (header: string | undefined, size: number): Range => {
  const [, from = "", to = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "") ?? [];
  if (from === "" && to === "") return whole;
  if (from === "") {
    const count = Math.min(Number(to), size);
    return count === 0 ? { kind: "unsatisfiable" } : { kind: "part", first: size - count, last: size - 1 };
  }
  const first = Number(from);
  const last = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== "" && Number(to) < first) return whole;
  return first >= size ? { kind: "unsatisfiable" } : { kind: "part", first, last };
};

/** Whether a list of entity tags, as in If-None-Match, names this one. Weak and strong are the same here. */
export const namesTag = (header: string | undefined, tag: string): boolean =>
  header !== undefined && (header.trim() === "*" || header.split(",").some((each) => each.trim().replace(/^W\//, "") === tag));
