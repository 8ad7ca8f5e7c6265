/**
 * Lanes on piscina pools. A training lane is one thread that never idles out, so that sessions stay with it; a forge lane is a
 * pool of its own at a lower priority, so that compiling takes no time from training.
 */
import type { MessagePort } from "node:worker_threads";
import { MessageChannel } from "node:worker_threads";
import type { KernelCharacterization } from "../contracts/characterization.ts";
import { ContractError } from "../contracts/errors.ts";
import type { LaneProgress, SessionStatus } from "../contracts/plan.ts";
import type { SeedStateTable } from "../contracts/seed-state.ts";
import type { CompiledKernel, ForgeLane, LaneOutcome, TrainingLane } from "./lane.ts";
import { entry, openPool, settle } from "./pool.ts";
import { closeTwin } from "./twin-control.ts";
import type { TwinThread } from "./twin-thread.ts";
import type { ForgeTask, ForgeWork, TrainingTask, TwinSeat } from "./wire.ts";

/** @param twins A second lane for the twins of contests, the training lane's own from now on: it is destroyed with it. */
export const createTrainingLane = (twins?: TwinThread): TrainingLane => {
  /** Runs that were opened, each with the table whose flag stops its window, and its seat in the second lane. */
  const opened = new Map<string, { readonly table: SeedStateTable; readonly seat: TwinSeat | undefined }>();
  const listeners = new Set<(progress: LaneProgress) => void>();
  const stopWork = (): (() => void) => {
    const tables = [...opened.values()].map(({ table }) => ({ table, before: table.stopRequested }));
    for (const { table } of tables) table.stopRequested = true;
    return () => {
      // Whoever opens the run again with the same table did not ask to stop.
      for (const { table, before } of tables) table.stopRequested = before;
    };
  };
  const pool = openPool(
    {
      ...entry("training"),
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
    },
    stopWork,
  );

  const run = async <T>(task: TrainingTask, transferList: MessagePort[] = []): Promise<LaneOutcome<T>> => {
    const outcome = await pool.run(task, { transferList });
    return outcome.kind === "lost" ? outcome : settle(outcome.value);
  };

  /** A run that this lane never opened is the caller's mistake, not a lost thread. */
  const runOpened = async <T>(runId: string, task: TrainingTask): Promise<LaneOutcome<T>> => {
    const session = opened.get(runId);
    if (session === undefined) {
      throw new ContractError(`run ${runId}: expected one that is open in this lane, found it closed; open it first`);
    }
    const outcome = await run<T>(task);
    if (outcome.kind === "lost" && session.seat !== undefined) closeTwin(session.seat.control);
    return outcome;
  };

  return {
    open: async (request) => {
      const { spec, imported, dataset, table, seedIds } = request;
      const { port1: inner, port2: outer } = new MessageChannel();
      outer.on("message", (progress: LaneProgress) => {
        for (const listener of listeners) listener(progress);
      });
      outer.unref();
      const { buffer, seeds } = table;
      const open = { kind: "open" as const, spec, ...(imported === undefined ? {} : { imported }) };
      const seated = twins?.seat(request);
      const seat = seated?.seat;
      const shared = { dataset, seeds, table: buffer, seedIds, progress: inner };
      const task: TrainingTask = { ...open, ...shared, ...(seat === undefined ? {} : { twins: seat }) };
      const outcome = await run<SessionStatus>(task, seat === undefined ? [inner] : [inner, seat.port]);
      await seated?.ready;
      if (outcome.kind === "done") opened.set(spec.runId, { table, seat });
      return outcome;
    },
    run: async (plan, kernels) => runOpened(plan.runId, { kind: "run", plan, kernels }),
    status: async (runId) => runOpened(runId, { kind: "status", runId }),
    host: async (runId) => runOpened(runId, { kind: "host", runId }),
    snapshot: async (runId) => runOpened(runId, { kind: "snapshot", runId }),
    restore: async (runId, snapshot, kernels) => runOpened(runId, { kind: "restore", runId, snapshot, kernels }),
    test: async (runId) => runOpened(runId, { kind: "test", runId }),
    close: async (runId) => {
      const outcome = await runOpened<void>(runId, { kind: "close", runId });
      opened.delete(runId);
      return outcome;
    },
    onProgress: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    abort: () => pool.renew("it was given up"),
    destroy: async () => {
      await pool.destroy("it is closed");
      await twins?.destroy();
    },
  };
};

export interface ForgeLaneOptions {
  readonly threads: number;
  /** Added to the threads' niceness; 0 leaves it. */
  readonly niceIncrement: number;
  /** Heap of one thread. */
  readonly heapMbMax: number;
}

export const forgeDefaults: ForgeLaneOptions = { threads: 1, niceIncrement: 10, heapMbMax: 1024 };

/** A thread may be inside a native engine, so it is never ended amid its work: the work is told to stop, and nobody waits for that. */
export const createForgeLane = (options: ForgeLaneOptions = forgeDefaults): ForgeLane => {
  /** The words that end the work under way. */
  const stops = new Set<Int32Array>();
  const pool = openPool(
    {
      ...entry("forge"),
      minThreads: options.threads,
      maxThreads: options.threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      niceIncrement: options.niceIncrement,
      resourceLimits: { maxOldGenerationSizeMb: options.heapMbMax },
    },
    () => {
      for (const word of stops) Atomics.store(word, 0, 1);
      return () => undefined;
    },
  );
  const perform = async <T>(task: ForgeWork, signal?: AbortSignal): Promise<LaneOutcome<T>> => {
    signal?.throwIfAborted();
    const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const word = new Int32Array(stop);
    stops.add(word);
    const ended = pool
      .run({ ...task, stop } satisfies ForgeTask)
      .then((outcome) => (outcome.kind === "done" ? settle<T>(outcome.value) : outcome))
      .finally(() => stops.delete(word));
    if (signal === undefined) return ended;
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        Atomics.store(word, 0, 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      ended.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  };
  return {
    compile: (key, host, signal) => perform<CompiledKernel>({ kind: "compile", key, host }, signal),
    characterize: (artifact, host, config, signal) =>
      perform<KernelCharacterization>({ kind: "characterize", artifact, host, config }, signal),
    warm: (engine) => perform({ kind: "warm", engine }),
    destroy: () => pool.destroy("it is closed"),
  };
};
