/** Gives overlapping stretches of a host lanes of their own, so that their arcs do not cover one another. Pure. */

export interface Stretch {
  /** Index of the first and of the last layer. */
  readonly first: number;
  readonly last: number;
}

/** The lane of each stretch, from 0: short ones lie inside. */
export const lanesOf = (stretches: readonly Stretch[]): readonly number[] => {
  const order = stretches.map((_, index) => index).sort((a, b) => length(stretches[a]!) - length(stretches[b]!) || a - b);
  const taken: Stretch[][] = [];
  const lanes = stretches.map(() => 0);
  for (const index of order) {
    const stretch = stretches[index]!;
    let lane = taken.findIndex((others) => others.every((other) => other.last < stretch.first || stretch.last < other.first));
    if (lane < 0) lane = taken.push([]) - 1;
    taken[lane]!.push(stretch);
    lanes[index] = lane;
  }
  return lanes;
};

const length = ({ first, last }: Stretch): number => last - first;
