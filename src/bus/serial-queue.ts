/** A bounded queue with one worker: items are handled one after the other, in order. */

export interface SerialQueue<T> {
  /** False when the queue is full or closed: the item was not taken. */
  push(item: T): boolean;
  /** Items waiting, without the one at work. */
  readonly size: number;
  /** Resolves when nothing waits and nothing is at work. */
  idle(): Promise<void>;
  /** Takes no more; hands back what waited. */
  close(): readonly T[];
}

/** @param handle must not reject: what can go wrong with an item is its own business */
export const createSerialQueue = <T>(itemsMax: number, handle: (item: T) => Promise<void>): SerialQueue<T> => {
  let waiting: T[] = [];
  let closed = false;
  let work: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    // Items are taken from the front by index, so that a long queue costs no shifting.
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      for (let i = 0; i < batch.length; i++) {
        pending = batch.length - i - 1;
        await handle(batch[i] as T);
        if (closed) break;
      }
    }
    pending = 0;
    work = undefined;
  };
  let pending = 0;

  return {
    push(item) {
      if (closed || waiting.length + pending >= itemsMax) return false;
      waiting.push(item);
      work ??= Promise.resolve().then(run);
      return true;
    },
    get size() {
      return waiting.length + pending;
    },
    idle: async () => {
      while (work) await work;
    },
    close() {
      closed = true;
      const left = waiting;
      waiting = [];
      return left;
    },
  };
};
