/** Piscina pools whose threads may die, and the files that their threads start from. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { describeError } from "../contracts/errors.ts";
import type { LaneOutcome } from "./lane.ts";
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
