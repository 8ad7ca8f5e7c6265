/** A bounded queue with one worker: items are handled one after the other, in order. With more workers they begin in order. */

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

const compactAt = 1_024;

/** @param handle must not reject: what can go wrong with an item is its own business */
export const createSerialQueue = <T>(itemsMax: number, handle: (item: T) => Promise<void>, workersMax = 1): SerialQueue<T> => {
  let items: T[] = [];
  let head = 0;
  let closed = false;
  let working = 0;
  const idlers: (() => void)[] = [];

  const run = async (): Promise<void> => {
    while (head < items.length) {
      const item = items[head++] as T;
      if (head === items.length || head === compactAt) {
        items = items.slice(head);
        head = 0;
      }
      await handle(item);
    }
    working -= 1;
    if (working === 0) for (const resolve of idlers.splice(0)) resolve();
  };

  return {
    push(item) {
      if (closed || items.length - head >= itemsMax) return false;
      items.push(item);
      if (working < workersMax) {
        working += 1;
        void Promise.resolve().then(run);
      }
      return true;
    },
    get size() {
      return items.length - head;
    },
    idle: async () => {
      while (working > 0) await new Promise<void>((resolve) => idlers.push(resolve));
    },
    close() {
      closed = true;
      const left = items.slice(head);
      items = [];
      head = 0;
      return left;
    },
  };
};
