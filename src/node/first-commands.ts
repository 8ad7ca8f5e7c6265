/**
 * Commands that came with a run's start: at its first boundary they are asked for at the Gate, by who asked for the start, as anybody would.
 *
 * F1 Each is asked for in its order, once the run answers commands, and before its first boundary is decided.
 * F2 Its request id follows from the start's and the run's: asked again it is the same request.
 * F3 What nobody answers, or no connection is had for, is tried a bounded number of times; then the run goes on without it, and that is told.
 * F4 They count among the asker's commands of the minute. Past its limit they wait for the next one, as the refusal says; not for a second.
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
/** F4: a window of the limit, and what clocks and a busy node add. */
const rateMsMax = 65_000;

/** F2: the end of a run's id tells its arm, and how often its lane was lost. */
export const firstRequestId = (requestId: string, runId: string, n: number): string =>
  `${requestId}.${runId.slice(-idTailMax)}.${n}`;
const idTailMax = 40;

/** Why the request ids of such commands would be too long; undefined when they are not. */
export const firstIdProblem = (requestId: string): string | undefined =>
  RequestId.safeParse(firstRequestId(requestId, "x".repeat(idTailMax), 99)).success
    ? undefined
    : `expected a shorter requestId for a start with first commands, whose ids begin with it; got ${requestId.length} characters`;

type Refused = Extract<CommandReceipt, { kind: "refused" }>;

/** Answers that say nothing about the command. */
const passing: readonly Refused["code"][] = ["no_run", "unavailable", "rate"];

/** What became of one attempt: what is told of the command, or why it is made again. */
type Attempt = { readonly told: string } | { readonly why: string; readonly rate?: Refused };

const giveAll = async ({ requestId, by, commands }: FirstAsked, ports: FirstPorts): Promise<void> => {
  const { runId, clock, timeoutMs, signal, note } = ports;
  let bus: Bus | undefined;
  const attempt = async (command: KasminaControlCommand): Promise<Attempt> => {
    try {
      bus ??= await ports.connect();
    } catch (error) {
      return { why: describeError(error) };
    }
    const outcome = await bus.request("control.gate.first", { by, command }, { timeoutMs });
    if (outcome.kind !== "reply") return { why: outcome.reason };
    const { value } = outcome;
    if (value.kind !== "refused") return { told: value.kind };
    if (!passing.includes(value.code)) return { told: `refused (${value.code}): ${value.reason}` };
    return { why: value.reason, ...(value.code === "rate" ? { rate: value } : {}) };
  };
  const give = async (command: KasminaControlCommand): Promise<string> => {
    let [failed, ratedMs] = [0, 0];
    for (;;) {
      const made = await attempt(command);
      if ("told" in made) return made.told;
      const { why, rate } = made;
      const waitMs = Math.max(againMs, rate?.retryAfterMs ?? againMs);
      if (rate === undefined) failed += 1;
      else ratedMs += waitMs;
      if (failed >= attemptsMax || ratedMs > rateMsMax) return `without a receipt: ${why}`; // F3 F4
      await delay(clock, waitMs, signal);
    }
  };
  try {
    for (const [index, first] of commands.entries()) {
      const command: KasminaControlCommand = { ...first, requestId: firstRequestId(requestId, runId, index + 1), runId };
      note(`${runId}: ${first.kind} came with its start: ${await give(command)}`);
    }
  } finally {
    await bus?.close();
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
