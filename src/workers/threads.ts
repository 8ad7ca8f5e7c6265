/**
 * The threads of this process that may be inside a native engine. To end a thread, or the process, amid such a call aborts the process with
 * a message of its own: the engine finds JavaScript gone where it wants to hand over its result. So whoever ends the process asks here first.
 */
type Halt = () => Promise<void>;

const open = new Set<Halt>();

/** @param halt Asks the pool's work to end; resolves when its threads are gone. Returns how to take it back. */
export const registerThreads = (halt: Halt): (() => void) => {
  open.add(halt);
  return () => {
    open.delete(halt);
  };
};

/** True while a pool has threads. */
export const threadsAreOpen = (): boolean => open.size > 0;

/** Resolves when all threads are gone, after the steps that are under way; from then on the process may end. */
export const haltThreads = async (): Promise<void> => {
  await Promise.all([...open].map((halt) => halt()));
};
