/**
 * Entry of a training thread: sessions by run, kept between tasks. One task runs at a time.
 *
 * W1 A session lives in this thread's memory alone: when the thread dies it is gone, and a task for it says `no_session`.
 * W2 The ports of a session close with it, also when it could not be opened: whoever listens on the other side is let go.
 */
import { InputError } from "../contracts/errors.ts";
import type { LaneProgress } from "../contracts/plan.ts";
import { SeedStateTable } from "../contracts/seed-state.ts";
import { sharedEngine } from "./session/engines.ts";
import { Session } from "./session/session.ts";
import { twinLaneOver } from "./session/twin-port.ts";
import type { OpenTask, TaskReply, TrainingTask } from "./wire.ts";
import { answer } from "./wire.ts";

interface OpenSession {
  readonly session: Session;
  readonly task: Pick<OpenTask, "progress" | "twins">;
}

const sessions = new Map<string, OpenSession>();

const openSession = async ({ spec, imported, dataset, seeds, table, seedIds, progress, twins }: OpenTask): Promise<Session> => {
  if (sessions.has(spec.runId)) {
    throw new InputError(`run ${spec.runId}: expected one that is not open in this lane, found it open; close it first`);
  }
  // Before anything is awaited, so that no port closes unheard.
  const lane = twins === undefined ? {} : { twins: twinLaneOver(twins.port, twins.control) };
  const ports = {
    engine: await sharedEngine(spec.engine, spec.threads),
    nowMs: () => performance.now(),
    tell: (message: LaneProgress) => progress.postMessage(message),
    ...lane,
  };
  return Session.open(
    { spec, ...(imported === undefined ? {} : { imported }), dataset, table: new SeedStateTable(seeds, table), seedIds },
    ports,
  );
};

/** W2 */
const closePorts = ({ progress, twins }: Pick<OpenTask, "progress" | "twins">): void => {
  progress.close();
  twins?.port.close();
};

const open = async (task: OpenTask) => {
  try {
    const session = await openSession(task);
    const { progress, twins } = task;
    sessions.set(task.spec.runId, { session, task: { progress, ...(twins === undefined ? {} : { twins }) } });
    return session.status;
  } catch (error) {
    closePorts(task);
    throw error;
  }
};

const close = async (runId: string, { session, task }: OpenSession): Promise<void> => {
  sessions.delete(runId);
  closePorts(task);
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
