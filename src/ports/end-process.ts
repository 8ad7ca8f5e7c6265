/**
 * Ends the process from whatever it is doing, and takes its signals.
 *
 * E1 The process ends at most `haltMsMax` later, one that succeeded at most `doneMsMax` later. Threads inside a native engine finish their step
 *    first, because `process.exit` amid it aborts with a message of the engine's.
 * E2 Where they do not in time, the process dies of a signal, which asks no thread. For a shell an interrupted one ends with 130 either way;
 *    one that succeeded would end as failed, so it waits for longer.
 * E3 One Ctrl-C is one interrupt: who starts Esper by another program (npm) may have the same key sent twice, by the terminal and by that program.
 */
import { type Clock, delay } from "../contracts/ports.ts";

const haltMsMax = 1_000;
const doneMsMax = 30_000;
const interruptedCode = 130;
/** Two presses of a person are further apart. */
const sameKeyMs = 80;

export interface EndOptions {
  readonly clock: Clock;
  /** Resolves when no thread is at work. */
  readonly halt: () => Promise<void>;
}

/** Never returns to the caller's work; what is printed must have been written before. */
export const endProcess = async (code: number, { clock, halt }: EndOptions): Promise<void> => {
  const late = delay(clock, code === 0 ? doneMsMax : haltMsMax).then(() => false);
  const halted = halt().then(
    () => true,
    () => false,
  );
  if (await Promise.race([halted, late])) process.exit(code); // E1
  const signal = code === interruptedCode ? "SIGINT" : "SIGKILL";
  process.removeAllListeners(signal);
  process.kill(process.pid, signal); // E2
};

const interrupts = ["SIGINT", "SIGTERM"] as const;

/** Calls back on each Ctrl-C or SIGTERM. Returns how to stop listening. */
export const onInterrupt = (clock: Clock, handler: () => void): (() => void) => {
  let lastMs = Number.NEGATIVE_INFINITY;
  const heard = (): void => {
    const nowMs = clock.monotonicMs();
    const again = nowMs - lastMs < sameKeyMs; // E3
    lastMs = nowMs;
    if (!again) handler();
  };
  for (const signal of interrupts) process.on(signal, heard);
  return () => {
    for (const signal of interrupts) process.off(signal, heard);
  };
};
