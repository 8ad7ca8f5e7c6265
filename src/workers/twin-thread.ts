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
import type { LaneOutcome, OpenRequest } from "./lane.ts";
import { entry, openPool, settle } from "./pool.ts";
import { closeTwin, twinControlBytes } from "./twin-control.ts";
import type { TwinSeat, TwinThreadTask } from "./wire.ts";

export interface Seated {
  readonly seat: TwinSeat;
  /** Resolves when its engine is loaded, or cannot be. */
  readonly ready: Promise<void>;
  /** How it ended: `lost` when the thread died or the seat failed. */
  readonly left: Promise<LaneOutcome<void>>;
}

export interface TwinThread {
  /** A seat for one session; undefined when all are taken, or the thread died. */
  seat(request: OpenRequest): Seated | undefined;
  destroy(): Promise<void>;
}

export interface TwinThreadOptions {
  /** T2 */
  readonly onLost: (reason: string) => void;
  readonly seatsMax?: number;
}

export const createTwinThread = ({ onLost, seatsMax = 16 }: TwinThreadOptions): TwinThread => {
  const seats = new Set<TwinSeat>();
  const pool = openPool(
    {
      ...entry("twin"),
      minThreads: 1,
      maxThreads: 1,
      // A seat waits for messages, so that one thread holds many; another task is its engine's.
      concurrentTasksPerWorker: 2 * seatsMax,
      idleTimeout: Number.POSITIVE_INFINITY,
    },
    () => {
      for (const { control } of seats) closeTwin(control);
      return () => undefined;
    },
  );
  let closing = false;
  let died = false;

  /** T2 */
  const perform = async (task: TwinThreadTask, transferList: MessagePort[]): Promise<LaneOutcome<void>> => {
    try {
      const outcome = await pool.run(task, { transferList });
      const told = outcome.kind === "done" ? settle<void>(outcome.value) : outcome;
      if (told.kind === "done" || closing) return { kind: "done", value: undefined };
      died = true;
      onLost(told.reason);
      return told;
    } catch (error) {
      const reason = describeError(error);
      onLost(reason);
      return { kind: "lost", reason };
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
      const left = perform(serve, [twin]).finally(() => {
        closeTwin(seat.control);
        seats.delete(seat);
      });
      const prepare: TwinThreadTask = { kind: "prepare", engine: spec.engine, threads: spec.threads };
      // That it could not be loaded is told by the seat's task.
      const ready = pool.run(prepare).then(() => undefined);
      return { seat, ready, left };
    },
    destroy: async () => {
      closing = true;
      await pool.destroy("it is closed"); // T3
    },
  };
};
