/**
 * The second training lane: a thread where the twins of contests train, beside the training lane that asks for it.
 *
 * T1 A session's seat is a task that lasts until the session's port closes: when it is closed, or when either thread dies.
 * T2 A seat that is lost is told; the session takes its twins' steps itself from then on. A lane whose thread died gives no seats any more.
 * T3 No thread is ended amid a step of a native engine: `destroy` waits for the seats to be left.
 */
import type { MessagePort } from "node:worker_threads";
import { MessageChannel } from "node:worker_threads";
import { describeError } from "../contracts/errors.ts";
import type { OpenRequest } from "./lane.ts";
import { entry, openPool, settle } from "./pool.ts";
import { closeTwin, twinControlBytes } from "./twin-control.ts";
import type { TwinSeat, TwinThreadTask } from "./wire.ts";

export interface TwinThread {
  /** A seat for one session; undefined when all are taken, or the thread died. `ready` resolves when its engine is loaded, or cannot be. */
  seat(request: OpenRequest): { readonly seat: TwinSeat; readonly ready: Promise<void> } | undefined;
  destroy(): Promise<void>;
}

export interface TwinThreadOptions {
  /** T2 */
  readonly onLost: (reason: string) => void;
  readonly seatsMax?: number;
}

export const createTwinThread = ({ onLost, seatsMax = 16 }: TwinThreadOptions): TwinThread => {
  const { pool, run, quiesce } = openPool({
    ...entry("twin"),
    minThreads: 1,
    maxThreads: 1,
    // A seat waits for messages, so that one thread holds many; another task is its engine's.
    concurrentTasksPerWorker: 2 * seatsMax,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  const seats = new Set<TwinSeat>();
  let closing = false;
  let died = false;

  /** T2 */
  const perform = async (task: TwinThreadTask, transferList: MessagePort[]): Promise<void> => {
    try {
      const outcome = await run(task, { transferList });
      const told = outcome.kind === "done" ? settle<void>(outcome.value) : outcome;
      if (told.kind === "done" || closing) return;
      died = true;
      onLost(told.reason);
    } catch (error) {
      onLost(describeError(error));
    }
  };

  return {
    seat: ({ spec, dataset, table }) => {
      if (died || seats.size >= seatsMax) return undefined;
      const { port1: port, port2: twin } = new MessageChannel();
      const seat = { port, control: new SharedArrayBuffer(twinControlBytes) };
      seats.add(seat);
      const { seeds, buffer } = table;
      const serve: TwinThreadTask = { kind: "serve", spec, dataset, seeds, table: buffer, control: seat.control, port: twin };
      void perform(serve, [twin]).finally(() => {
        closeTwin(seat.control);
        seats.delete(seat);
      });
      const prepare: TwinThreadTask = { kind: "prepare", engine: spec.engine, threads: spec.threads };
      // That it could not be loaded is told by the seat's task.
      const ready = run(prepare, {}).then(() => undefined);
      return { seat, ready };
    },
    destroy: async () => {
      closing = true;
      for (const { control } of seats) closeTwin(control);
      await quiesce("it is closed"); // T3
      await pool.destroy();
    },
  };
};
