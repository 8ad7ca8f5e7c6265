/**
 * The seed state that the main thread and a training lane share: structure of arrays in one SharedArrayBuffer.
 *
 * S1 A column has one writer: the main thread writes lifecycle and the stop flag; the lane writes alpha, epoch and step.
 * S2 Control words and codes are read and written with Atomics, so that a command reaches a lane that does not yield.
 */
import type { LifecycleState } from "./lifecycle.ts";
import { lifecycleCode, lifecycleStates } from "./lifecycle.ts";

const controlWords = 4;
const intColumns = 2;
const floatColumns = 1;

/** Stop flag: 0 runs, 1 ends the window after the current step with the state kept. */
const stopWord = 0;
const stepWord = 1;

export class SeedStateTable {
  readonly buffer: SharedArrayBuffer;
  readonly seeds: number;
  readonly #ints: Int32Array;
  readonly #floats: Float32Array;

  constructor(seeds: number, buffer?: SharedArrayBuffer) {
    const bytes = 4 * (controlWords + seeds * (intColumns + floatColumns));
    this.seeds = seeds;
    this.buffer = buffer ?? new SharedArrayBuffer(bytes);
    if (this.buffer.byteLength !== bytes)
      throw new RangeError(`expected a seed-state buffer of ${bytes} bytes for ${seeds} seeds, got ${this.buffer.byteLength}`);
    this.#ints = new Int32Array(this.buffer, 0, controlWords + seeds * intColumns);
    this.#floats = new Float32Array(this.buffer, 4 * (controlWords + seeds * intColumns), seeds * floatColumns);
  }

  get stopRequested(): boolean {
    return Atomics.load(this.#ints, stopWord) === 1;
  }
  set stopRequested(value: boolean) {
    Atomics.store(this.#ints, stopWord, value ? 1 : 0);
  }

  /** Steps done in the current window. */
  get windowStep(): number {
    return Atomics.load(this.#ints, stepWord);
  }
  set windowStep(value: number) {
    Atomics.store(this.#ints, stepWord, value);
  }

  lifecycle(seed: number): LifecycleState {
    return lifecycleStates[Atomics.load(this.#ints, controlWords + seed)] ?? "DORMANT";
  }
  setLifecycle(seed: number, state: LifecycleState): void {
    Atomics.store(this.#ints, controlWords + seed, lifecycleCode(state));
  }

  /** Window in which the seed's columns were last written. */
  epoch(seed: number): number {
    return Atomics.load(this.#ints, controlWords + this.seeds + seed);
  }
  setEpoch(seed: number, epoch: number): void {
    Atomics.store(this.#ints, controlWords + this.seeds + seed, epoch);
  }

  alpha(seed: number): number {
    return this.#floats[seed] ?? 0;
  }
  setAlpha(seed: number, alpha: number): void {
    this.#floats[seed] = alpha;
  }
}
