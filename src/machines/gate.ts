/**
 * The Gate's judgement on one request, whatever transport brought it. Pure: a request, what is remembered, and the time go in; a verdict
 * comes out, with the count that is to be kept.
 *
 * G1 Nothing is admitted that is too large, does not fit its schema, is past its deadline, or is not for the asker's role.
 * G2 A request id that is known gets its first receipt again and is not counted; with another command it is refused.
 * G3 A login gets at most its role's commands in a minute. The minute begins with the first of them; a clock that is set back neither
 *    forgives what was counted nor makes anybody wait longer than a minute.
 * G4 The node's own controllers are not counted by the clock: what a run does may not depend on it. Their bound is in windows.
 */
import { type CommandReceipt, KasminaControlCommand, type RefusalCode } from "../contracts/commands.ts";
import type { ControlConfig } from "../contracts/config.ts";
import { describeFault } from "../contracts/errors.ts";
import { commandRules, mayCommand, type Requester } from "../contracts/roles.ts";

/** What a transport hands to the Gate: the asker as it was authenticated, the envelope's fields, and a command that nobody has checked. */
export interface GateRequest {
  readonly by: Requester;
  readonly command: unknown;
  /** Size of the command as it came. */
  readonly bytes: number;
  readonly traceId: string;
  readonly deadlineAtMs?: number | undefined;
}

/** Commands of one login since the first of this minute. */
export interface RateWindow {
  readonly startMs: number;
  readonly count: number;
}

/** What is remembered of earlier commands. */
export interface GateMemory {
  /** The receipt of a request id that is known, and whether it was for this very command. */
  readonly recall: (command: KasminaControlCommand) => { readonly same: boolean; readonly receipt: CommandReceipt } | undefined;
  readonly counted: (login: string) => RateWindow | undefined;
}

export type GateVerdict =
  /** Not admitted, or answered before: this is the receipt. `window`: kept when the clock was set back. */
  | {
      readonly kind: "answered";
      readonly receipt: CommandReceipt;
      readonly window?: RateWindow;
      /** Refused by this judgement, not by an earlier one that is told again. */
      readonly here?: true;
    }
  /** `window`: what is to be remembered of the login; absent where it is not counted. */
  | { readonly kind: "admitted"; readonly command: KasminaControlCommand; readonly window?: RateWindow };

export const minuteMs = 60_000;

/** Two roles of one name are two logins. */
export const loginOf = ({ principal, role }: Requester): string => `${role}:${principal}`;

/** The window as it is now: over after a minute, and never begun in the future. G3 */
const windowAt = (window: RateWindow | undefined, nowMs: number): RateWindow => {
  if (window === undefined || nowMs - window.startMs >= minuteMs) return { startMs: nowMs, count: 0 };
  return { startMs: Math.min(window.startMs, nowMs), count: window.count };
};

/** What the command calls itself, cut to the length of an id; empty where it says nothing. */
export const requestIdOf = (command: unknown): string => {
  const given = typeof command === "object" && command !== null && "requestId" in command ? command.requestId : "";
  return typeof given === "string" ? given.slice(0, 128) : "";
};

const refuse = (
  requestId: string,
  code: RefusalCode,
  reason: string,
  when: { readonly retryAfterMs?: number } = {},
): Extract<GateVerdict, { kind: "answered" }> => ({
  kind: "answered",
  receipt: { kind: "refused", requestId, code, reason, ...when },
  here: true,
});

const issuesMax = 3;

export const judgeRequest = (
  { by, command: given, bytes, deadlineAtMs }: GateRequest,
  { recall, counted }: GateMemory,
  { commandsPerMinuteMax, commandBytesMax }: Pick<ControlConfig, "commandsPerMinuteMax" | "commandBytesMax">,
  nowMs: number,
): GateVerdict => {
  const requestId = requestIdOf(given);
  if (bytes > commandBytesMax)
    return refuse(requestId, "too_large", `expected a command of at most ${commandBytesMax} bytes, got ${bytes}`);
  const parsed = KasminaControlCommand.safeParse(given);
  if (!parsed.success) {
    const issues = parsed.error.issues
      .slice(0, issuesMax)
      .map((issue) => `${issue.path.join(".") || "command"}: ${describeFault(issue)}`);
    return refuse(requestId, "invalid", `the command does not fit its schema: ${issues.join("; ")}`);
  }
  const command = parsed.data;
  if (deadlineAtMs !== undefined && nowMs >= deadlineAtMs)
    return refuse(requestId, "deadline", `the command came ${nowMs - deadlineAtMs} ms past its deadline; nothing was done`);
  if (!mayCommand(by.role, command.kind))
    return refuse(
      requestId,
      "forbidden",
      `${command.kind} is for ${commandRules[command.kind].roles.join(", ")}; ${by.principal} is ${by.role}`,
    );
  const known = recall(command);
  if (known !== undefined) {
    if (known.same) return { kind: "answered", receipt: known.receipt }; // G2
    return refuse(requestId, "request_id_used", `${requestId} was the id of another command; choose a new one`);
  }
  if (by.role === "controller") return { kind: "admitted", command }; // G4
  const commandsMax = commandsPerMinuteMax[by.role];
  const before = counted(loginOf(by));
  const { startMs, count } = windowAt(before, nowMs);
  if (count < commandsMax) return { kind: "admitted", command, window: { startMs, count: count + 1 } };
  const retryAfterMs = startMs + minuteMs - nowMs;
  const waitS = Math.ceil(retryAfterMs / 1000);
  const reason = `${by.principal} has sent the ${commandsMax} commands that ${by.role} may send in a minute; again in ${waitS} s`;
  const refusal = refuse(requestId, "rate", reason, { retryAfterMs });
  return before?.startMs === startMs ? refusal : { ...refusal, window: { startMs, count } };
};
