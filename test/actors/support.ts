/** Actors on the bus in memory and a clock that only the test moves. */
import type { ActorPorts } from "../../src/actors/shell.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { BreakerConfig, RetryConfig } from "../../src/contracts/config-calls.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import type { PayloadOf, Principal, SubjectName } from "../../src/contracts/subjects.ts";
import { createResilience } from "../../src/resilience/resilience.ts";
import type { RunningChild } from "../../src/supervision/spec.ts";
import { createSimulatedClock, type SimulatedClock } from "../support/clock.ts";
import { createMemoryBroker, type MemoryBroker } from "../support/memory-bus.ts";

export interface ActorWorld {
  readonly clock: SimulatedClock;
  readonly broker: MemoryBroker;
  readonly ports: ActorPorts;
  readonly deadLetters: string[];
  as(name: Principal): Promise<Bus>;
  /** Payloads that were sent on a subject. */
  sent<S extends SubjectName>(subject: S): PayloadOf<S>[];
}

export const createActorWorld = (mailboxMessagesMax = 100): ActorWorld => {
  const clock = createSimulatedClock();
  const broker = createMemoryBroker({ clock, mailboxMessagesMax: 1000 });
  const deadLetters: string[] = [];
  return {
    clock,
    broker,
    deadLetters,
    ports: {
      connect: (name) => broker.connect(name),
      clock,
      log: silentLog,
      mailboxMessagesMax,
      resilience: createResilience({
        breaker: BreakerConfig.parse({}),
        retry: RetryConfig.parse({}),
        clock,
        uniform: () => 0.5,
      }),
      onDeadLetter: (actor, subject, reason) => deadLetters.push(`${actor} ${subject} ${reason}`),
    },
    as: (name) => broker.connect(name),
    sent: (subject) => broker.sent.filter((each) => each.subject === subject).map((each) => each.payload as never),
  };
};

/** A promise that the test settles. */
export const gate = (): { readonly passed: Promise<void>; open(): void } => {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
};

/** A child that runs until it is stopped. */
export const idle = async (): Promise<RunningChild> => {
  let end: (exit: { kind: "shutdown" }) => void = () => undefined;
  const exited = new Promise<{ kind: "shutdown" }>((resolve) => {
    end = resolve;
  });
  return { exited, stop: async () => end({ kind: "shutdown" }) };
};
