/**
 * The shell that every service actor stands in: one bus connection under its own name, one bounded mailbox, one way to crash.
 *
 * A1 All messages of an actor pass through its mailbox: it handles one at a time. A request may be let run beside the one at hand, a bounded
 *    number of them at once, begun in the order in which they came; or be handled, and answered later, when what it did is on the disk.
 * A2 A durable message is acknowledged only after its handler is done; one that did not fit in the mailbox is not acknowledged.
 * A3 A handler that throws ends the actor; its supervisor decides what follows.
 * A4 A lost connection ends the actor.
 * A5 After `stop` or a crash the connection is closed and no handler starts.
 * A6 What is asked while a request is handled carries that request's deadline; every request passes its subject's breaker.
 */
import type { Bus, HandledAs, MessageContext } from "../bus/bus.ts";
import { ServiceError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { ActorName, PayloadOf, ReplyOf, RequestSubject, SubjectName } from "../contracts/subjects.ts";
import { currentDeadlineMs, underDeadline } from "../resilience/deadline.ts";
import { guardBus } from "../resilience/guard-bus.ts";
import type { Resilience } from "../resilience/resilience.ts";
import { type Attempt, withRetry } from "../resilience/retry.ts";
import { Deferred } from "../supervision/deferred.ts";
import { createMailbox, type DeadLetter } from "../supervision/mailbox.ts";
import type { ChildStats, Exit, RunningChild } from "../supervision/spec.ts";

/** A request that is handled: the next one may be, while its answer waits for something. A rejection is a crash, as a throw is (A3). */
export class Later<T> {
  readonly answer: Promise<T>;

  constructor(answer: Promise<T>) {
    this.answer = answer;
  }
}

/** What the node hands to every actor. */
export interface ActorPorts {
  readonly connect: (name: ActorName) => Promise<Bus>;
  readonly clock: Clock;
  readonly log: Log;
  readonly mailboxMessagesMax: number;
  readonly resilience: Resilience;
  readonly onDeadLetter: (actor: ActorName, subject: string, reason: string) => void;
}

export type Answer<T> = T | Later<T>;

/** What an actor sees of its shell. */
export interface ActorScope {
  readonly name: ActorName;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted when the actor is to end. */
  readonly signal: AbortSignal;
  on<S extends SubjectName>(
    subject: S,
    handler: (payload: PayloadOf<S>, context: MessageContext) => HandledAs | Promise<HandledAs>,
  ): Promise<void>;
  answer<S extends RequestSubject>(
    subject: S,
    handler: (payload: PayloadOf<S>, context: MessageContext) => Answer<ReplyOf<S>> | Promise<Answer<ReplyOf<S>>>,
    options?: {
      /** True for a request that need not wait for the one at hand (A1). */
      readonly beside?: (payload: PayloadOf<S>) => boolean;
      /** True where answers may come later (A1). */
      readonly later?: boolean;
    },
  ): Promise<void>;
  /** Tries an idempotent call again, within the bounds of the configuration, the deadline of the work at hand and the actor's life. */
  retry<T>(attempt: (number: number) => Promise<Attempt<T>>): Promise<T>;
  /** Runs a task of the actor's own in its mailbox, after the messages that wait. */
  enqueue(name: string, task: () => void | Promise<void>): void;
  /** Ends the actor: as a crash with the error, or as its normal end. */
  end(error?: unknown): void;
  /** Called once when the actor ends, before its connection closes. */
  onEnd(dispose: () => void | Promise<void>): void;
}

/** Requests that run beside the mailbox, or wait for their answers, at once. */
const besideMax = 64;

interface Task {
  readonly subject: string;
  readonly run: () => void | Promise<void>;
  readonly drop: (reason: string) => void;
}

/** Starts an actor: connects, lets `build` subscribe, and returns what a supervisor needs. */
export const startActor = async (
  name: ActorName,
  ports: ActorPorts,
  build: (scope: ActorScope) => Promise<void>,
): Promise<RunningChild> => {
  const log = ports.log.child({ actor: name });
  const { breakers, retry } = ports.resilience;
  const bus = guardBus(await ports.connect(name), breakers, ports.clock); // A6
  const controller = new AbortController();
  const disposers: (() => void | Promise<void>)[] = [];
  const exited = new Deferred<Exit>();
  let ending = false;

  const mailbox = createMailbox<Task>({
    capacity: ports.mailboxMessagesMax,
    clock: ports.clock,
    handler: (task) => task.run(),
    onCrash: (error) => finish({ kind: "crash", error }), // A3
    onDeadLetter: ({ message, reason }: DeadLetter<Task>) => {
      message.drop(reason);
      if (reason !== "closed") ports.onDeadLetter(name, message.subject, reason);
    },
  });

  const finish = (exit: Exit): void => {
    if (ending) return;
    ending = true;
    void (async () => {
      controller.abort(new ServiceError(`${name} is ending`));
      void mailbox.close("drop"); // A5
      for (const dispose of disposers.reverse()) {
        try {
          await dispose();
        } catch (error) {
          log.warn("a disposer failed", { error });
        }
      }
      await bus.close().catch((error: unknown) => log.warn("closing the connection failed", { error }));
      exited.resolve(exit);
    })();
  };

  void bus.closed.then((reason) =>
    finish({ kind: "crash", error: new ServiceError(`${name} lost its connection to the bus: ${reason}`) }),
  ); // A4

  /** A2: resolves when the handler is done, rejects when it never ran. */
  const throughMailbox = <T>(subject: string, deadlineAtMs: number | undefined, handler: () => T | Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      mailbox.enqueue({
        subject,
        run: async () => {
          // A request that may be answered later waits here, not before the bus's own look at its deadline.
          if (deadlineAtMs !== undefined && ports.clock.nowMs() >= deadlineAtMs)
            return reject(new ServiceError(`the request waited past its deadline at ${name}`, { subject }));
          try {
            resolve(await underDeadline(deadlineAtMs, handler)); // A6
          } catch (error) {
            reject(error);
            throw error;
          }
        },
        drop: (reason) => reject(new ServiceError(`${name} did not handle a message on ${subject}: ${reason}`, { subject })),
      });
    });

  /** A3 */
  const orCrash = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      finish({ kind: "crash", error });
      throw error;
    }
  };

  let besides = { processed: 0, msTotal: 0, msMax: 0 };
  /** A1, A3, A5 */
  const beside = async <T>(subject: string, deadlineAtMs: number | undefined, handler: () => T | Promise<T>): Promise<T> => {
    if (ending) throw new ServiceError(`${name} did not handle a message on ${subject}: closed`, { subject });
    const startMs = ports.clock.monotonicMs();
    try {
      return await orCrash(Promise.resolve(underDeadline(deadlineAtMs, handler)));
    } finally {
      const tookMs = ports.clock.monotonicMs() - startMs;
      const { processed, msTotal, msMax } = besides;
      besides = { processed: processed + 1, msTotal: msTotal + tookMs, msMax: Math.max(msMax, tookMs) };
    }
  };

  const stats = (): ChildStats => {
    const own = mailbox.stats();
    return {
      ...own,
      processed: own.processed + besides.processed,
      processingMsTotal: own.processingMsTotal + besides.msTotal,
      processingMsMax: Math.max(own.processingMsMax, besides.msMax),
    };
  };

  const scope: ActorScope = {
    name,
    bus,
    clock: ports.clock,
    log,
    signal: controller.signal,
    on: async (subject, handler) => {
      await bus.subscribe(subject, (payload, context) =>
        throughMailbox(subject, context.deadlineAtMs, () => handler(payload, context)),
      );
    },
    answer: async (subject, handler, options) => {
      const respond = async (payload: PayloadOf<typeof subject>, context: MessageContext) => {
        const way = options?.beside?.(payload) === true ? beside : throughMailbox;
        const answer = await way(subject, context.deadlineAtMs, () => handler(payload, context));
        return answer instanceof Later ? orCrash(answer.answer) : answer;
      };
      const atOnce = options?.beside !== undefined || options?.later === true;
      await bus.respond(subject, respond, atOnce ? { atOnceMax: besideMax } : {});
    },
    retry: (attempt) => withRetry(attempt, { ...retry, signal: controller.signal, deadlineAtMs: currentDeadlineMs() }),
    enqueue: (task, run) => {
      throughMailbox(task, undefined, run).catch((error: unknown) =>
        log.debug("a task of the actor's own did not complete", { task, error }),
      );
    },
    end: (error) => finish(error === undefined ? { kind: "normal" } : { kind: "crash", error }),
    onEnd: (dispose) => disposers.push(dispose),
  };

  try {
    await build(scope);
  } catch (error) {
    finish({ kind: "crash", error });
    await exited.promise;
    throw error;
  }

  return {
    exited: exited.promise,
    stop: async () => {
      finish({ kind: "shutdown" });
      await exited.promise;
    },
    kill: () => finish({ kind: "crash", error: new ServiceError(`${name} was killed`) }),
    inspect: stats,
  };
};
