/**
 * A circuit breaker in front of one external service. Pure: times come with the events, in milliseconds that only grow.
 *
 * B1 A call passes when the breaker is CLOSED, or as one of at most `probesMax` at a time when it is HALF_OPEN.
 * B2 It opens at the failure that makes `failuresMax` within `windowMs`, and at any failure of a probe.
 * B3 For `recoveryMs` after it opened nothing passes.
 * B4 An outcome counts only in the period in which its call was admitted; a period ends with each change of state.
 * B5 `successesMin` successful probes close it, with no failure remembered.
 *
 * The pattern is that of M. Nygard, Release It!, 2007.
 */
import type { SnapshotFrom } from "xstate";
import { assign, initialTransition, setup, transition } from "xstate";
import type { BreakerState } from "../contracts/breaker.ts";
import type { BreakerConfig } from "../contracts/config-calls.ts";

export interface BreakerContext {
  readonly config: BreakerConfig;
  /** Counts the changes of state. */
  readonly period: number;
  /** Times of the failures within the window, oldest first; fewer than `failuresMax`. */
  readonly failuresAtMs: readonly number[];
  readonly openedAtMs: number;
  readonly probesInFlight: number;
  readonly probesSucceeded: number;
  readonly reason: string;
}

export type BreakerMachineEvent =
  /** A call wants to pass. */
  | { readonly type: "ADMIT"; readonly atMs: number }
  | { readonly type: "SUCCEED"; readonly atMs: number; readonly period: number }
  | { readonly type: "FAIL"; readonly atMs: number; readonly period: number; readonly reason: string }
  /** The caller gave up: nothing is known of the service. */
  | { readonly type: "CANCEL"; readonly atMs: number; readonly period: number };

const recent = ({ failuresAtMs, config }: BreakerContext, atMs: number): readonly number[] =>
  failuresAtMs.filter((each) => atMs - each < config.windowMs);

export const breakerMachine = setup({
  types: { context: {} as BreakerContext, events: {} as BreakerMachineEvent, input: {} as BreakerConfig },
  guards: {
    /** B4 */
    ofThisPeriod: ({ context, event }) => event.type !== "ADMIT" && event.period === context.period,
    /** B2 */
    isOneTooMany: ({ context, event }) =>
      event.type === "FAIL" &&
      event.period === context.period &&
      recent(context, event.atMs).length + 1 >= context.config.failuresMax,
    /** B3 */
    hasRecovered: ({ context, event }) => event.atMs - context.openedAtMs >= context.config.recoveryMs,
    /** B1 */
    hasRoomForProbe: ({ context }) => context.probesInFlight < context.config.probesMax,
    /** B5 */
    isLastProbe: ({ context, event }) =>
      event.type === "SUCCEED" && event.period === context.period && context.probesSucceeded + 1 >= context.config.successesMin,
  },
  actions: {
    /** Changes nothing: the transition is the answer. */
    pass: assign({}),
    countFailure: assign(({ context, event }) => ({
      failuresAtMs: [...recent(context, event.atMs), event.atMs],
      ...("reason" in event ? { reason: event.reason } : {}),
    })),
    open: assign(({ context, event }) => ({
      period: context.period + 1,
      failuresAtMs: [],
      openedAtMs: event.atMs,
      probesInFlight: 0,
      probesSucceeded: 0,
      ...("reason" in event ? { reason: event.reason } : {}),
    })),
    beginProbing: assign(({ context }) => ({ period: context.period + 1, probesInFlight: 1, probesSucceeded: 0 })),
    addProbe: assign(({ context }) => ({ probesInFlight: context.probesInFlight + 1 })),
    endProbe: assign(({ context }) => ({ probesInFlight: context.probesInFlight - 1 })),
    countProbe: assign(({ context }) => ({
      probesInFlight: context.probesInFlight - 1,
      probesSucceeded: context.probesSucceeded + 1,
    })),
    close: assign(({ context }) => ({ period: context.period + 1, failuresAtMs: [], probesInFlight: 0, probesSucceeded: 0 })),
  },
}).createMachine({
  id: "breaker",
  description: "A circuit breaker in front of one external service: a lane, a request subject, a download, the NATS server.",
  context: ({ input }) => ({
    config: input,
    period: 0,
    failuresAtMs: [],
    openedAtMs: 0,
    probesInFlight: 0,
    probesSucceeded: 0,
    reason: "",
  }),
  initial: "CLOSED",
  states: {
    CLOSED: {
      description: "Calls pass, and their failures are counted.",
      on: {
        ADMIT: { actions: "pass", description: "The call passes." },
        FAIL: [
          {
            target: "OPEN",
            guard: "isOneTooMany",
            actions: "open",
            description: "As many failures within the window as allowed.",
          },
          { guard: "ofThisPeriod", actions: "countFailure", description: "One more failure within the window." },
        ],
      },
    },
    OPEN: {
      description: "Every call is rejected at once, so that the service can recover and nobody waits for it.",
      on: {
        ADMIT: {
          target: "HALF_OPEN",
          guard: "hasRecovered",
          actions: "beginProbing",
          description: "The recovery time is over: the call passes as the first probe.",
        },
      },
    },
    HALF_OPEN: {
      description: "A few calls pass as probes; their outcome decides.",
      on: {
        ADMIT: { guard: "hasRoomForProbe", actions: "addProbe", description: "The call passes as one more probe." },
        SUCCEED: [
          { target: "CLOSED", guard: "isLastProbe", actions: "close", description: "Enough probes succeeded." },
          { guard: "ofThisPeriod", actions: "countProbe", description: "One more probe succeeded." },
        ],
        FAIL: { target: "OPEN", guard: "ofThisPeriod", actions: "open", description: "A probe failed." },
        CANCEL: { guard: "ofThisPeriod", actions: "endProbe", description: "A probe was given up: its place is free again." },
      },
    },
  },
});

export type BreakerSnapshot = SnapshotFrom<typeof breakerMachine>;

export type BreakerStep =
  | { readonly kind: "moved"; readonly snapshot: BreakerSnapshot }
  /** An ADMIT that does not pass, or an outcome that counts for nothing here. */
  | { readonly kind: "stayed"; readonly snapshot: BreakerSnapshot };

export const startBreaker = (config: BreakerConfig): BreakerSnapshot => initialTransition(breakerMachine, config)[0];

/**
 * What the machine's definition says at sight, without running it: an event that the state does not know, or one that it lets pass and
 * nothing changes. Nearly every call is of this kind.
 */
const atSight = (snapshot: BreakerSnapshot, type: BreakerMachineEvent["type"]): BreakerStep | undefined => {
  const transitions = breakerMachine.states[snapshot.value]?.transitions.get(type) ?? [];
  if (transitions.length === 0) return { kind: "stayed", snapshot };
  const [only, ...others] = transitions;
  const changesNothing =
    others.length === 0 &&
    only?.guard === undefined &&
    only?.target === undefined &&
    only?.actions.every((each) => each === "pass");
  return changesNothing ? { kind: "moved", snapshot } : undefined;
};

export const stepBreaker = (snapshot: BreakerSnapshot, event: BreakerMachineEvent): BreakerStep => {
  const seen = atSight(snapshot, event.type);
  if (seen !== undefined) return seen;
  return snapshot.can(event)
    ? { kind: "moved", snapshot: transition(breakerMachine, snapshot, event)[0] }
    : { kind: "stayed", snapshot };
};

export const breakerState = (snapshot: BreakerSnapshot): BreakerState => snapshot.value;

/** Milliseconds until an open breaker may let a probe through; 0 when it is not open. */
export const retryAfterMs = ({ value, context }: BreakerSnapshot, atMs: number): number =>
  value === "OPEN" ? Math.max(0, context.openedAtMs + context.config.recoveryMs - atMs) : 0;
