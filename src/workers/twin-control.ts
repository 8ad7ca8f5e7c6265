/**
 * What cannot wait for a message in a second lane: shared words, each of which, once 1, ends the steps after the one that is under way.
 *
 * C1 A word has one writer: the training lane sets and clears the first for each task, the node sets the second for good.
 */

export const twinControlBytes = 8;
const cancelWord = 0;
const closeWord = 1;

const words = (control: SharedArrayBuffer): Int32Array => new Int32Array(control);

/** By the training lane: the task under way is not wanted any more. */
export const cancelTwin = (control: SharedArrayBuffer): void => {
  Atomics.store(words(control), cancelWord, 1);
};
/** By the training lane, before the next task. */
export const resumeTwin = (control: SharedArrayBuffer): void => {
  Atomics.store(words(control), cancelWord, 0);
};
/** By the node: one of the two lanes is gone, or everything ends. */
export const closeTwin = (control: SharedArrayBuffer): void => {
  Atomics.store(words(control), closeWord, 1);
};

export const twinIsClosed = (control: SharedArrayBuffer): boolean => Atomics.load(words(control), closeWord) === 1;

export const twinGoesOn = (control: SharedArrayBuffer): boolean =>
  Atomics.load(words(control), cancelWord) === 0 && !twinIsClosed(control);
