/**
 * Entry of a training thread: sessions by run, kept between tasks. One task runs at a time.
 *
 * W1 A session lives in this thread's memory alone: when the thread dies it is gone, and a task for it says `no_session`.
 */
import type { MessagePort } from "node:worker_threads";
import { InputError } from "../contracts/errors.ts";
import { SeedStateTable } from "../contracts/seed-state.ts";
import type { Engine, EngineName } from "../engine/engine.ts";
import { createEngine } from "../engine/engine.ts";
import { Session } from "./session/session.ts";
import type { OpenTask, TaskReply, TrainingTask } from "./wire.ts";
import { answer } from "./wire.ts";

interface OpenSession {
  readonly session: Session;
  readonly port: MessagePort;
}

const sessions = new Map<string, OpenSession>();
const engines = new Map<string, Promise<Engine>>();

const engineFor = (name: EngineName, threads: number): Promise<Engine> => {
  const key = `${name}:${threads}`;
  const known = engines.get(key) ?? createEngine(name, { threads });
  engines.set(key, known);
  known.catch(() => engines.delete(key));
  return known;
};

const open = async ({ spec, imported, dataset, seeds, table, seedIds, progress }: OpenTask) => {
  if (sessions.has(spec.runId)) {
    progress.close();
    throw new InputError(`run ${spec.runId}: expected one that is not open in this lane, found it open; close it first`);
  }
  const engine = await engineFor(spec.engine, spec.threads);
  const session = await Session.open(
    { spec, ...(imported === undefined ? {} : { imported }), dataset, table: new SeedStateTable(seeds, table), seedIds },
    { engine, nowMs: () => performance.now(), tell: (message) => progress.postMessage(message) },
  );
  sessions.set(spec.runId, { session, port: progress });
  return session.status;
};

const close = async (runId: string, { session, port }: OpenSession): Promise<void> => {
  sessions.delete(runId);
  port.close();
  await session.dispose();
};

const perform = async (task: Exclude<TrainingTask, OpenTask>, opened: OpenSession): Promise<unknown> => {
  const { session } = opened;
  switch (task.kind) {
    case "run":
      return session.run(task.plan, task.kernels);
    case "restore":
      await session.restore(task.snapshot, task.kernels);
      return session.status;
    case "status":
      return session.status;
    case "host":
      return session.host;
    case "snapshot":
      return session.snapshot();
    case "test":
      return session.test();
    case "close":
      return close(task.runId, opened);
  }
};

export default async (task: TrainingTask): Promise<TaskReply<unknown>> => {
  if (task.kind === "open") return answer(() => open(task));
  const runId = task.kind === "run" ? task.plan.runId : task.runId;
  const opened = sessions.get(runId);
  return opened === undefined ? { kind: "no_session" } : answer(() => perform(task, opened)); // W1
};
