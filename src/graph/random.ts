/**
 * Random streams: xoroshiro128+ (Blackman & Vigna, 2018), the same on every machine.
 *
 * K1  A fork depends on its parent's key and the label alone, never on how much the parent has drawn or forked.
 * K2  `restoreRandom(source.state())` goes on exactly where the source stands, forks included.
 */
import { createHash } from "node:crypto";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import { DataError, InputError } from "../contracts/errors.ts";
import type { RandomSource } from "../contracts/ports.ts";

/** Four 32-bit integers, of which at least one is not zero. */
type Key = readonly number[];

const WORDS = 4;

/** 128 bits of a SHA-256 of the parts. */
const deriveKey = (...parts: readonly (string | number)[]): Key => {
  const digest = createHash("sha256").update(JSON.stringify(parts)).digest();
  const key = Array.from({ length: WORDS }, (_, i) => digest.readInt32LE(4 * i));
  // The generator cannot leave the state of all zeros.
  return key.every((word) => word === 0) ? [1, 0, 0, 0] : key;
};

const sourceOf = (key: Key, start: Key): RandomSource => {
  const generator = xoroshiro128plusFromState(start);
  const word = (): number => generator.next() >>> 0;
  const uniform = (): number => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992;
  return {
    uniform,
    // Marsaglia's polar method (1964); the second value is dropped, so that the state is the generator's alone.
    normal: () => {
      for (;;) {
        const [u, v] = [2 * uniform() - 1, 2 * uniform() - 1];
        const s = u * u + v * v;
        if (s > 0 && s < 1) return u * Math.sqrt((-2 * Math.log(s)) / s);
      }
    },
    integer: (bound) => {
      if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
        throw new InputError(`random integer: expected a bound from 1 to 4294967296, got ${bound}; pass the number of choices`);
      }
      // Draws past the last full multiple of the bound are thrown away: every result is equally likely.
      const limit = 2 ** 32 - (2 ** 32 % bound);
      for (;;) {
        const drawn = word();
        if (drawn < limit) return drawn % bound;
      }
    },
    fork: (label) => {
      const child = deriveKey("fork", ...key, label); // K1
      return sourceOf(child, child);
    },
    state: () => [...generator.getState(), ...key],
  };
};

/** The root stream of a run. Throws InputError unless the seed is a safe integer. */
export const createRandom = (seed: number): RandomSource => {
  if (!Number.isSafeInteger(seed)) {
    throw new InputError(`random seed: expected an integer within ±2^53, got ${seed}; pass a whole number`);
  }
  const key = deriveKey("root", seed);
  return sourceOf(key, key);
};

/** The stream whose `state()` was saved. Throws DataError when the state is not one. */
export const restoreRandom = (state: readonly number[]): RandomSource => {
  const isState = state.length === 2 * WORDS && state.every((word) => Number.isInteger(word) && word === (word | 0));
  if (!isState || state.slice(0, WORDS).every((word) => word === 0)) {
    throw new DataError(
      `random state: expected ${2 * WORDS} 32-bit integers, the first ${WORDS} not all zero, got ${JSON.stringify(state)}; the checkpoint is damaged`,
    );
  }
  return sourceOf(state.slice(WORDS), state.slice(0, WORDS)); // K2
};

/** Puts the items in random order, in place (Fisher–Yates), and returns them. */
export const shuffle = <A extends { readonly length: number; [index: number]: T }, T = A[number]>(
  items: A,
  random: RandomSource,
): A => {
  for (let last = items.length - 1; last > 0; last--) {
    const pick = random.integer(last + 1);
    const kept = items[last]!;
    items[last] = items[pick]!;
    items[pick] = kept;
  }
  return items;
};
