/** Lets a bounded number of works go on at once; the others wait in the order in which they came. */

export interface Turnstile {
  /** Resolves when there is room, with the function that leaves again; that may be called once. */
  enter(): Promise<() => void>;
}

export const createTurnstile = (insideMax: number): Turnstile => {
  const waiting: (() => void)[] = [];
  let inside = 0;
  const leave = (): void => {
    const next = waiting.shift();
    // His place goes to who waits longest.
    if (next === undefined) inside -= 1;
    else next();
  };
  return {
    enter: async () => {
      if (inside < insideMax) inside += 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      return leave;
    },
  };
};
