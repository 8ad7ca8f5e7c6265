/** The page's clock: the only file of it that reaches for time. */

/** Milliseconds since 1970. */
export const nowMs = (): number => Date.now();

/** Calls once after a while; what it returns takes that back. */
export const after = (ms: number, then: () => void): (() => void) => {
  const timer = setTimeout(then, ms);
  return () => clearTimeout(timer);
};
