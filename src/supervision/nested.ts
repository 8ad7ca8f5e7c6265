/** A supervisor as the child of another: each generation is a fresh supervisor, and its crash is its parent's to answer. */

import { type ChildSpec, defaultKillMs, type RestartType, type SupervisorSpec } from "./spec.ts";
import { Supervisor } from "./supervisor.ts";

export interface NestedOptions {
  /** Default `permanent`. */
  readonly restart?: RestartType;
  /** Default: what its children may take one after the other. Give it when children are added at run time. */
  readonly maxStartMs?: number;
  readonly shutdownMs?: number;
  readonly killMs?: number;
  /** Called with each generation as soon as its children are up, for example to add children to it. */
  readonly onUp?: (supervisor: Supervisor) => void;
}

export const supervisorChild = (spec: SupervisorSpec, options: NestedOptions = {}): ChildSpec => {
  const sum = (of: (child: ChildSpec) => number): number => spec.children.reduce((total, child) => total + of(child), 0);
  const marginMs = 1000;
  const shutdownMs = options.shutdownMs ?? sum((child) => child.shutdownMs + (child.killMs ?? defaultKillMs)) + marginMs;
  return {
    id: spec.id,
    kind: "supervisor",
    supervises: spec,
    restart: options.restart ?? "permanent",
    shutdownMs,
    ...(options.killMs === undefined ? {} : { killMs: options.killMs }),
    // A start that fails also stops what had started.
    maxStartMs: options.maxStartMs ?? sum((child) => child.maxStartMs) + shutdownMs,
    async start({ path, clock, signal, report }) {
      const supervisor = new Supervisor(spec, { clock, path });
      supervisor.onEvent(report);
      const onAbort = (): void => {
        void supervisor.stop();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      await supervisor.start();
      try {
        options.onUp?.(supervisor);
      } catch (error) {
        await supervisor.stop();
        throw error;
      }
      return supervisor;
    },
  };
};
