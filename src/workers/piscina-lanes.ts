/**
 * Lanes on piscina pools. A training lane is one thread that never idles out, so that sessions stay with it; a forge lane is a
 * pool of its own at a lower priority, so that compiling takes no time from training.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";
import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import { ContractError, describeError } from "../contracts/errors.ts";
import type { LaneProgress, SessionStatus } from "../contracts/plan.ts";
import type { SeedStateTable } from "../contracts/seed-state.ts";
import type { CompiledKernel, ForgeLane, LaneOutcome, TrainingLane } from "./lane.ts";
import type { ForgeTask, TaskReply, TrainingTask } from "./wire.ts";
import { fromWireError } from "./wire.ts";

type PoolOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>;

/** TypeScript sources need tsx in the thread, which its own `--import` entry does not reach; built files run as they are. */
export const entry = (name: "training" | "forge" | "experiment"): Pick<PoolOptions, "filename" | "execArgv"> => {
  const fromSource = import.meta.url.endsWith(".ts");
  const filename = new URL(`./${name}.worker.${fromSource ? "ts" : "js"}`, import.meta.url).href;
  if (!fromSource) return { filename, execArgv: [] };
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx"));
  const code = `import { register } from ${JSON.stringify(new URL("./esm/api/index.mjs", loader).href)}; register();`;
  return { filename, execArgv: ["--import", `data:text/javascript,${encodeURIComponent(code)}`] };
};

/** A pool whose threads may die: what waited for one is told, whether it died at work, idle or before it was up. */
export const openPool = (options: PoolOptions) => {
  const pool = new Piscina(options);
  const waiting = new Set<(reason: string) => void>();
  const working = new Set<Promise<unknown>>();
  const giveUpAll = (reason: string): void => {
    for (const giveUp of waiting) giveUp(reason);
  };
  pool.on("error", (error: unknown) => giveUpAll(describeError(error)));
  const run = (
    task: unknown,
    runOptions: { transferList?: MessagePort[]; signal?: AbortSignal },
  ): Promise<LaneOutcome<TaskReply<unknown>>> =>
    new Promise((resolve) => {
      const settleOnce = (outcome: LaneOutcome<TaskReply<unknown>>): void => {
        waiting.delete(giveUp);
        resolve(outcome);
      };
      const giveUp = (reason: string): void => settleOnce({ kind: "lost", reason: `the lane's thread ended: ${reason}` });
      waiting.add(giveUp);
      const work = pool.run(task, runOptions).then(
        (value: TaskReply<unknown>) => settleOnce({ kind: "done", value }),
        (error: unknown) => giveUp(describeError(error)),
      );
      working.add(work);
      void work.finally(() => working.delete(work));
    });
  /** What is asked for is lost at once; resolves when no thread is at work any more. */
  const quiesce = async (reason: string): Promise<void> => {
    giveUpAll(reason);
    while (working.size > 0) await Promise.all(working);
  };
  return { pool, run, quiesce };
};

/** A reply as an outcome; typed errors are thrown again here. */
export const settle = <T>(reply: TaskReply<unknown>): LaneOutcome<T> => {
  switch (reply.kind) {
    case "done":
      return { kind: "done", value: reply.value as T };
    case "failed":
      throw fromWireError(reply.error);
    case "no_session":
      return { kind: "lost", reason: "the lane's thread was replaced and holds no session of this run" };
  }
};

export const createTrainingLane = (): TrainingLane => {
  const {
    pool,
    run: runTask,
    quiesce,
  } = openPool({
    ...entry("training"),
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  /** Runs that were opened, each with the table whose flag stops its window. */
  const opened = new Map<string, SeedStateTable>();
  const listeners = new Set<(progress: LaneProgress) => void>();
  /** A thread that is ended amid a step of a native engine takes the process with it, so its window is stopped first. */
  const stopWork = async (reason: string): Promise<void> => {
    const tables = [...opened.values()].map((table) => ({ table, before: table.stopRequested }));
    for (const { table } of tables) table.stopRequested = true;
    await quiesce(reason);
    // Nothing runs any more; whoever opens the run again with the same table did not ask to stop.
    for (const { table, before } of tables) table.stopRequested = before;
  };

  const run = async <T>(task: TrainingTask, transferList: MessagePort[] = []): Promise<LaneOutcome<T>> => {
    const outcome = await runTask(task, { transferList });
    return outcome.kind === "lost" ? outcome : settle(outcome.value);
  };

  /** A run that this lane never opened is the caller's mistake, not a lost thread. */
  const runOpened = <T>(runId: string, task: TrainingTask): Promise<LaneOutcome<T>> => {
    if (!opened.has(runId)) {
      throw new ContractError(`run ${runId}: expected one that is open in this lane, found it closed; open it first`);
    }
    return run(task);
  };

  return {
    open: async ({ spec, imported, dataset, table, seedIds }) => {
      const { port1: inner, port2: outer } = new MessageChannel();
      outer.on("message", (progress: LaneProgress) => {
        for (const listener of listeners) listener(progress);
      });
      outer.unref();
      const { buffer, seeds } = table;
      const open = { kind: "open" as const, spec, ...(imported === undefined ? {} : { imported }) };
      const task: TrainingTask = { ...open, dataset, seeds, table: buffer, seedIds, progress: inner };
      const outcome = await run<SessionStatus>(task, [inner]);
      if (outcome.kind === "done") opened.set(spec.runId, table);
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
    abort: async () => {
      await stopWork("it was given up");
      await Promise.all(pool.threads.map((thread) => thread.terminate()));
    },
    destroy: async () => {
      await stopWork("it is closed");
      await pool.destroy();
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

export const createForgeLane = (options: ForgeLaneOptions = forgeDefaults): ForgeLane => {
  const { pool, run } = openPool({
    ...entry("forge"),
    minThreads: options.threads,
    maxThreads: options.threads,
    idleTimeout: Number.POSITIVE_INFINITY,
    niceIncrement: options.niceIncrement,
    resourceLimits: { maxOldGenerationSizeMb: options.heapMbMax },
  });
  const perform = async <T>(task: ForgeTask, signal?: AbortSignal): Promise<LaneOutcome<T>> => {
    signal?.throwIfAborted();
    const outcome = await run(task, signal === undefined ? {} : { signal });
    if (outcome.kind === "done") return settle(outcome.value);
    signal?.throwIfAborted();
    return outcome;
  };
  return {
    compile: (key, host, signal) => perform<CompiledKernel>({ kind: "compile", key, host }, signal),
    characterize: (artifact, host, config, signal) => perform({ kind: "characterize", artifact, host, config }, signal),
    warm: (engine) => perform({ kind: "warm", engine }),
    destroy: () => pool.destroy(),
  };
};
