/**
 * A run's life as Tolaria leads it. Pure: the shell trains, waits and writes; this says what is legal and when to give up.
 *
 * R1 A run ends in exactly one of done, stopped, failed.
 * R2 At most `rollbacksMax` rollbacks to the same place; the next one fails the run with its last good checkpoint.
 * R3 An event that is not legal is refused with a reason and changes nothing.
 */
import type { SnapshotFrom } from "xstate";
import { assign, initialTransition, setup, transition } from "xstate";

export interface RunInput {
  readonly rollbacksMax: number;
}

export interface RunContext extends RunInput {
  /** Host step that the last rollback went back to, and how often in a row it was that one. */
  readonly place: number | null;
  readonly rollbacksHere: number;
  readonly rollbacks: number;
  /** Why the run stops, or failed. */
  readonly reason: string;
  /** True when the FLOPs were used up or the work was done; false when somebody stopped it. */
  readonly complete: boolean;
}

export type RunEvent =
  | { readonly type: "OPENED" }
  | { readonly type: "PAUSE" }
  | { readonly type: "RESUME" }
  /** `place` is the host step of the last good snapshot. */
  | { readonly type: "ROLLBACK"; readonly place: number; readonly reason: string }
  | { readonly type: "ROLLED_BACK" }
  | { readonly type: "COMPLETE"; readonly reason: string }
  | { readonly type: "STOP"; readonly reason: string }
  | { readonly type: "FINISHED" }
  | { readonly type: "FAIL"; readonly reason: string };

const rollbacksAt = (context: RunContext, place: number): number => (context.place === place ? context.rollbacksHere : 0);

const fail = { target: "failed", actions: "remember", description: "An error that the run cannot go on from." } as const;
const stop = { target: "stopping", actions: "remember", description: "Somebody stops the run." } as const;

export const runMachine = setup({
  types: { context: {} as RunContext, events: {} as RunEvent, input: {} as RunInput },
  guards: {
    /** R2 */
    rollbacksLeft: ({ context, event }) => event.type === "ROLLBACK" && rollbacksAt(context, event.place) < context.rollbacksMax,
    isComplete: ({ context }) => context.complete,
  },
  actions: {
    remember: assign(({ event }) => ("reason" in event ? { reason: event.reason, complete: event.type === "COMPLETE" } : {})),
    countRollback: assign(({ context, event }) =>
      event.type === "ROLLBACK"
        ? {
            place: event.place,
            rollbacksHere: rollbacksAt(context, event.place) + 1,
            rollbacks: context.rollbacks + 1,
            reason: event.reason,
          }
        : {},
    ),
    giveUp: assign(({ context, event }) =>
      event.type === "ROLLBACK"
        ? { reason: `${context.rollbacksMax} rollbacks to host step ${event.place} did not help: ${event.reason}` }
        : {},
    ),
  },
}).createMachine({
  id: "run",
  description: "One host in training, from its session's opening to its report.",
  context: ({ input }) => ({ ...input, place: null, rollbacksHere: 0, rollbacks: 0, reason: "", complete: false }),
  initial: "starting",
  states: {
    starting: {
      description: "The lane opens the session, fresh or from a checkpoint.",
      on: { OPENED: { target: "training", description: "The session is open." }, STOP: stop, FAIL: fail },
    },
    training: {
      description: "Window after window, with a boundary between them.",
      on: {
        PAUSE: { target: "paused", description: "A command pauses the run at the boundary." },
        ROLLBACK: [
          {
            target: "rolling_back",
            guard: "rollbacksLeft",
            actions: "countRollback",
            description: "An anomaly; rollbacks to this place are left.",
          },
          { target: "failed", actions: "giveUp", description: "Rollbacks to this place are used up." },
        ],
        COMPLETE: { target: "stopping", actions: "remember", description: "The FLOPs are used up." },
        STOP: stop,
        FAIL: fail,
      },
    },
    paused: {
      description: "No window runs until a command resumes the run.",
      on: { RESUME: { target: "training", description: "A command resumes the run." }, STOP: stop, FAIL: fail },
    },
    rolling_back: {
      description: "Host, moments, random state and data cursor go back to the last good snapshot.",
      on: { ROLLED_BACK: { target: "training", description: "The snapshot is restored." }, STOP: stop, FAIL: fail },
    },
    stopping: {
      description: "The last evaluation, the last checkpoint, the report.",
      on: {
        FINISHED: [
          { target: "done", guard: "isComplete", description: "All its work is done." },
          { target: "stopped", description: "It was stopped before its end." },
        ],
        FAIL: fail,
      },
    },
    done: { type: "final", description: "Trained to its end and reported." },
    stopped: { type: "final", description: "Stopped by a command; the last checkpoint can be resumed." },
    failed: { type: "final", description: "Ended by an error; the last good checkpoint is kept." },
  },
});

export type RunSnapshot = SnapshotFrom<typeof runMachine>;

export type RunStep =
  | { readonly kind: "moved"; readonly snapshot: RunSnapshot }
  | { readonly kind: "refused"; readonly snapshot: RunSnapshot; readonly reason: string };

/** What of a run's life a checkpoint keeps: without it a resumed run would have its rollbacks again. */
export type CountedRollbacks = Pick<RunContext, "place" | "rollbacksHere" | "rollbacks">;

/** A run about to start, with the rollbacks of the run that it resumes. */
export const startRun = (input: RunInput, counted?: CountedRollbacks): RunSnapshot => {
  const [fresh] = initialTransition(runMachine, input);
  return counted === undefined
    ? fresh
    : runMachine.resolveState({ value: "starting", context: { ...fresh.context, ...counted } });
};

export const stepRun = (snapshot: RunSnapshot, event: RunEvent): RunStep => {
  // R3
  if (snapshot.status !== "active" || !snapshot.can(event))
    return { kind: "refused", snapshot, reason: `${event.type} is not legal while the run is ${snapshot.value}` };
  return { kind: "moved", snapshot: transition(runMachine, snapshot, event)[0] };
};
