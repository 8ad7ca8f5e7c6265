/**
 * Commands that came with a run's start: at its first boundary they are asked for at the Gate, by who asked for the start, as anybody would.
 *
 * F1 Each is asked for in its order, once the run answers commands, and before its first boundary is decided.
 * F2 Its request id follows from the start's and the run's: asked again it is the same request.
 * F3 What nobody answers is tried a bounded number of times; then the run goes on without it, and that is told.
 */
import type { FirstBoundary } from "../actors/run-context.ts";
import type { Bus } from "../bus/bus.ts";
import type { FirstCommand } from "../contracts/command-steering.ts";
import type { CommandReceipt, KasminaControlCommand } from "../contracts/commands.ts";
import { describeError } from "../contracts/errors.ts";
import { RequestId } from "../contracts/ids.ts";
import { type Clock, delay } from "../contracts/ports.ts";
import type { Requester } from "../contracts/roles.ts";

export interface FirstAsked {
  /** Of the start. */
  readonly requestId: string;
  readonly by: Requester;
  readonly commands: readonly FirstCommand[];
}

export interface FirstPorts {
  readonly runId: string;
  readonly connect: () => Promise<Bus>;
  readonly clock: Clock;
  /** For one receipt. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

const attemptsMax = 20;
const againMs = 250;

/** F2: the end of a run's id tells its arm, and how often its lane was lost. */
export const firstRequestId = (requestId: string, runId: string, n: number): string =>
  `${requestId}.${runId.slice(-idTailMax)}.${n}`;
const idTailMax = 40;

/** Why the request ids of such commands would be too long; undefined when they are not. */
export const firstIdProblem = (requestId: string): string | undefined =>
  RequestId.safeParse(firstRequestId(requestId, "x".repeat(idTailMax), 99)).success
    ? undefined
    : `expected a shorter requestId for a start with first commands, whose ids begin with it; got ${requestId.length} characters`;

/** Answers that say nothing about the command. */
const passes = (receipt: CommandReceipt): boolean =>
  receipt.kind === "refused" && (receipt.code === "no_run" || receipt.code === "unavailable");

const giveAll = async ({ requestId, by, commands }: FirstAsked, ports: FirstPorts): Promise<void> => {
  const { runId, clock, timeoutMs, signal, note } = ports;
  const bus = await ports.connect();
  const give = async (command: KasminaControlCommand): Promise<string> => {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await bus.request("control.gate.first", { by, command }, { timeoutMs });
      if (outcome.kind === "reply" && !passes(outcome.value)) {
        const { value } = outcome;
        return value.kind === "refused" ? `refused (${value.code}): ${value.reason}` : value.kind;
      }
      const why = outcome.kind !== "reply" ? outcome.reason : outcome.value.kind === "refused" ? outcome.value.reason : "";
      if (attempt >= attemptsMax) return `without a receipt: ${why}`; // F3
      await delay(clock, againMs, signal);
    }
  };
  try {
    for (const [index, first] of commands.entries()) {
      const command: KasminaControlCommand = { ...first, requestId: firstRequestId(requestId, runId, index + 1), runId };
      note(`${runId}: ${first.kind} came with its start: ${await give(command)}`);
    }
  } finally {
    await bus.close();
  }
};

/** F1 */
export const createFirstBoundary = (asked: FirstAsked, ports: FirstPorts): FirstBoundary => {
  let begun = false;
  const boundary: FirstBoundary = {
    given: asked.commands.length === 0,
    reached: () => {
      if (begun) return;
      begun = true;
      void giveAll(asked, ports)
        .catch((error: unknown) =>
          ports.note(`${ports.runId}: what came with its start was not asked for: ${describeError(error)}`),
        )
        .finally(() => {
          boundary.given = true;
        });
    },
  };
  return boundary;
};
