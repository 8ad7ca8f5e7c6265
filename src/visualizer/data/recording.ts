/**
 * A recorded run that can be looked at in any moment. Pure, nothing of a browser: a test walks it up and down.
 *
 * R1 The state at a place is what applying every change before it in order gives, however one got there.
 * R2 Key frames are bounded: when there are too many every second one goes, and they lie twice as far apart.
 */
import type { RecordedChunk, ViewChange, ViewState } from "../../contracts/view.ts";
import { applyChanges, cloneView, emptyView } from "../../view/reduce.ts";

interface KeyFrame {
  /** Events applied. */
  readonly place: number;
  readonly state: ViewState;
}

const keyFramesMax = 24;
const firstSpacing = 256;

export class Recording {
  readonly runId: string;
  readonly #changes: (readonly ViewChange[])[] = [];
  readonly #epochs: number[] = [];
  readonly #at: number[] = [];
  #frames: KeyFrame[] = [];
  #spacing = firstSpacing;
  /** The state after the last event that was added. */
  readonly #newest: ViewState;

  constructor(runId: string) {
    this.runId = runId;
    this.#newest = emptyView("recorded");
    this.#frames.push({ place: 0, state: cloneView(this.#newest) });
  }

  /** Events known so far. */
  get length(): number {
    return this.#changes.length;
  }

  get epochLast(): number {
    return this.#epochs.at(-1) ?? 0;
  }

  add({ changes, epochs, at }: Pick<RecordedChunk, "changes" | "epochs" | "at">): void {
    changes.forEach((step, index) => {
      applyChanges(this.#newest, step);
      this.#changes.push(step);
      this.#epochs.push(Math.max(this.epochLast, epochs[index] ?? 0));
      this.#at.push(at[index] ?? 0);
      if (this.#changes.length % this.#spacing === 0) this.#keep();
    });
  }

  /** R2 */
  #keep(): void {
    this.#frames.push({ place: this.#changes.length, state: cloneView(this.#newest) });
    if (this.#frames.length <= keyFramesMax) return;
    this.#spacing *= 2;
    this.#frames = this.#frames.filter(({ place }) => place % this.#spacing === 0);
  }

  epochAt(place: number): number {
    return place <= 0 ? 0 : (this.#epochs[Math.min(place, this.length) - 1] ?? 0);
  }

  timeAt(place: number): number {
    return place <= 0 ? (this.#at[0] ?? 0) : (this.#at[Math.min(place, this.length) - 1] ?? 0);
  }

  /** The place after the last event of a window, by bisection. */
  placeOfEpoch(epoch: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#epochs[middle] ?? 0) <= epoch) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** R1: a state of its own. */
  stateAt(place: number): ViewState {
    const wanted = Math.min(Math.max(0, Math.trunc(place)), this.length);
    const frame = this.#frames.findLast((each) => each.place <= wanted) ?? this.#frames[0]!;
    const state = cloneView(frame.state);
    for (let index = frame.place; index < wanted; index += 1) applyChanges(state, this.#changes[index]!);
    return state;
  }

  /** The changes of the events from one place up to another. */
  between(from: number, to: number): readonly ViewChange[] {
    return this.#changes.slice(from, to).flat();
  }

  /** Windows in which something happened to a seed, for the marks of the time line. */
  marks(): readonly { readonly epoch: number; readonly to: string; readonly seedId: string }[] {
    return this.#changes.flatMap((step, index) =>
      step.flatMap((change) =>
        change.k === "step" ? [{ epoch: this.#epochs[index] ?? 0, to: change.step.to, seedId: change.seedId }] : [],
      ),
    );
  }
}
