/**
 * Piscina pools whose threads may die, and the files that their threads start from.
 *
 * P1 What waited for a thread is told when it dies, at work, idle or before it was up.
 * P2 No thread is ended from here while it loads or is at work: amid a call of a native engine the whole process would abort. What is asked
 *    for while threads are renewed waits for the new ones.
 * P3 A pool that is closed begins nothing more.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { MessagePort, Worker } from "node:worker_threads";
import { Piscina } from "piscina";
import { describeError } from "../contracts/errors.ts";
import type { LaneOutcome } from "./lane.ts";
import { registerThreads } from "./threads.ts";
import type { TaskReply } from "./wire.ts";
import { fromWireError } from "./wire.ts";

type PoolOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>;

/** TypeScript sources need tsx in the thread, which its own `--import` entry does not reach; built files run as they are. */
export const entry = (name: "training" | "twin" | "forge" | "experiment"): Pick<PoolOptions, "filename" | "execArgv"> => {
  const fromSource = import.meta.url.endsWith(".ts");
  const filename = new URL(`./${name}.worker.${fromSource ? "ts" : "js"}`, import.meta.url).href;
  if (!fromSource) return { filename, execArgv: [] };
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx"));
  const code = `import { register } from ${JSON.stringify(new URL("./esm/api/index.mjs", loader).href)}; register();`;
  return { filename, execArgv: ["--import", `data:text/javascript,${encodeURIComponent(code)}`] };
};

/** Resolves when the thread has loaded its file, or died of it. */
const loaded = (thread: Worker): Promise<void> =>
  new Promise((resolve) => {
    // The first message is the pool's own: the file is loaded.
    thread.once("message", () => resolve());
    thread.once("error", () => resolve());
    thread.once("exit", () => resolve());
  });

export interface Pool {
  /** What is asked for is lost when the thread dies, or the pool is closed or given up. */
  run(task: unknown, options?: { readonly transferList?: MessagePort[] }): Promise<LaneOutcome<TaskReply<unknown>>>;
  /** P2 What is asked for is lost at once, and its threads end when their steps are done; the pool goes on with new ones. */
  renew(reason: string): Promise<void>;
  /** P2 P3 Resolves when the threads are gone. */
  destroy(reason: string): Promise<void>;
}

/** @param stopWork Asks the work under way to end after its step; returns what takes that back once nothing is at work. */
export const openPool = (options: PoolOptions, stopWork: () => () => void): Pool => {
  const pool = new Piscina(options);
  const waiting = new Set<(reason: string) => void>();
  const working = new Set<Promise<unknown>>();
  /** Threads by whether they are up. */
  const loading = new WeakMap<Worker, Promise<void>>();
  let closed: string | undefined;
  let renewing: Promise<void> | undefined;

  const giveUpAll = (reason: string): void => {
    for (const giveUp of waiting) giveUp(reason);
  };
  const watchThreads = (): Promise<void>[] =>
    pool.threads.map((thread) => {
      const known = loading.get(thread) ?? loaded(thread);
      if (!loading.has(thread)) thread.once("exit", watchThreads); // One that died has been replaced.
      loading.set(thread, known);
      return known;
    });
  watchThreads();
  pool.on("error", (error: unknown) => giveUpAll(describeError(error))); // P1

  const run: Pool["run"] = async (task, runOptions = {}) => {
    while (renewing !== undefined) await renewing; // P2
    return new Promise((resolve) => {
      if (closed !== undefined) return resolve({ kind: "lost", reason: `the lane takes no more work: ${closed}` }); // P3
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
      watchThreads();
      working.add(work);
      void work.finally(() => working.delete(work));
    });
  };

  /** P2 */
  const quiesce = async (reason: string): Promise<void> => {
    const undo = stopWork();
    giveUpAll(reason);
    while (working.size > 0) await Promise.all(working);
    await Promise.all(watchThreads());
    undo();
  };
  const renewThreads = async (reason: string): Promise<void> => {
    await quiesce(reason);
    await Promise.all(pool.threads.map((thread) => thread.terminate()));
  };
  const destroy = async (reason: string): Promise<void> => {
    closed ??= reason;
    await renewing;
    await quiesce(reason);
    await pool.destroy();
    withdraw();
  };
  const withdraw = registerThreads(() => destroy("the process ends"));

  return {
    run,
    renew: (reason) => {
      renewing ??= renewThreads(reason).finally(() => {
        renewing = undefined;
      });
      return renewing;
    },
    destroy,
  };
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
