/**
 * One compilation in Tezzeret's forge. Pure: times come with the events.
 *
 * C1 A job ends in ready with a kernel's hash, or in failed with a reason.
 * C2 Nothing that comes after the deadline can make a job ready.
 */
import type { SnapshotFrom } from "xstate";
import { assign, initialTransition, setup, transition } from "xstate";

export interface CompileJobInput {
  readonly seedId: string;
  readonly deadlineAtMs: number;
}

export interface CompileJobContext extends CompileJobInput {
  readonly kernelHash: string | null;
  readonly reason: string;
}

export type CompileJobEvent =
  | { readonly type: "START"; readonly atMs: number }
  /** The same key was compiled before. */
  | { readonly type: "FOUND"; readonly atMs: number; readonly kernelHash: string }
  | { readonly type: "COMPILED"; readonly atMs: number }
  | { readonly type: "STORED"; readonly atMs: number; readonly kernelHash: string }
  | { readonly type: "TICK"; readonly atMs: number }
  | { readonly type: "FAIL"; readonly atMs: number; readonly reason: string };

const expired = { target: "failed", guard: "isLate", actions: "expire", description: "The deadline has passed." } as const;
const fail = [expired, { target: "failed", actions: "remember", description: "It cannot be made; the reason is kept." }] as const;

export const compileJobMachine = setup({
  types: { context: {} as CompileJobContext, events: {} as CompileJobEvent, input: {} as CompileJobInput },
  guards: { isLate: ({ context, event }) => event.atMs > context.deadlineAtMs },
  actions: {
    expire: assign(({ context, event }) => ({
      reason: `expected a kernel for ${context.seedId} by ${context.deadlineAtMs} ms, it is ${event.atMs} ms; raise compileTimeoutMs`,
    })),
    remember: assign(({ event }) => ("reason" in event ? { reason: event.reason } : {})),
    keepHash: assign(({ event }) => ("kernelHash" in event ? { kernelHash: event.kernelHash } : {})),
  },
}).createMachine({
  id: "compile-job",
  description: "A blueprint on its way to a kernel in Urza.",
  context: ({ input }) => ({ ...input, kernelHash: null, reason: "" }),
  initial: "queued",
  states: {
    queued: {
      description: "Waits for the forge lane.",
      on: {
        START: [expired, { target: "compiling", description: "The forge lane is free." }],
        FOUND: [expired, { target: "ready", actions: "keepHash", description: "The same key was compiled before." }],
        TICK: expired,
        FAIL: fail,
      },
    },
    compiling: {
      description: "The forge lane makes the step variants.",
      on: {
        COMPILED: [expired, { target: "storing", description: "All programs are made." }],
        TICK: expired,
        FAIL: fail,
      },
    },
    storing: {
      description: "Blueprint and kernel go to Urza.",
      on: {
        STORED: [expired, { target: "ready", actions: "keepHash", description: "Both lie in Urza." }],
        TICK: expired,
        FAIL: fail,
      },
    },
    ready: { type: "final", description: "The kernel can be fetched by its hash." },
    failed: { type: "final", description: "There is no kernel; the reason is kept." },
  },
});

export type CompileJobSnapshot = SnapshotFrom<typeof compileJobMachine>;

export type CompileJobStep =
  | { readonly kind: "moved"; readonly snapshot: CompileJobSnapshot }
  /** A tick before the deadline. */
  | { readonly kind: "stayed"; readonly snapshot: CompileJobSnapshot }
  | { readonly kind: "refused"; readonly snapshot: CompileJobSnapshot; readonly reason: string };

export const startCompileJob = (input: CompileJobInput): CompileJobSnapshot => initialTransition(compileJobMachine, input)[0];

export const stepCompileJob = (snapshot: CompileJobSnapshot, event: CompileJobEvent): CompileJobStep => {
  const active = snapshot.status === "active";
  if (active && snapshot.can(event)) return { kind: "moved", snapshot: transition(compileJobMachine, snapshot, event)[0] };
  if (active && event.type === "TICK") return { kind: "stayed", snapshot };
  return { kind: "refused", snapshot, reason: `${event.type} is not legal while the job is ${snapshot.value}` };
};
