/** Entry of an experiment's lane: one job at a time, with an engine of its own that stays between jobs. */
import type { Engine, EngineName } from "../engine/engine.ts";
import { createEngine } from "../engine/engine.ts";
import { type JobTask, runJob } from "../experiment/run-job.ts";
import type { ExperimentTask } from "./experiment-lanes.ts";
import type { TaskReply } from "./wire.ts";
import { answer } from "./wire.ts";

const engines = new Map<EngineName, Promise<Engine>>();

const engineFor = (name: EngineName): Promise<Engine> => {
  const known = engines.get(name) ?? createEngine(name, { threads: 1 });
  engines.set(name, known);
  known.catch(() => engines.delete(name));
  return known;
};

export default ({ job, stop }: ExperimentTask<JobTask>): Promise<TaskReply<unknown>> =>
  answer(async () => {
    const startMs = performance.now();
    const flag = new Int32Array(stop);
    const controller = new AbortController();
    const look = (): void => {
      if (Atomics.load(flag, 0) !== 0) controller.abort();
    };
    look();
    const [engine, reference] = [
      await engineFor(job.spec.engine),
      await engineFor(job.spec.engine === "native" ? "wasm" : "native"),
    ];
    const outcome = await runJob(job, { engine, reference, signal: controller.signal, onWindow: look });
    return { outcome, seconds: (performance.now() - startMs) / 1000 };
  });
