/** What the controllers share: they send a command, tell the decision with its latency whatever came of it, and remember runs within a bound. */
import type { Decision, KasminaControlCommand } from "../contracts/commands.ts";
import type { ActorScope } from "./shell.ts";

/** Runs remembered at once. */
const runsMax = 64;

/** The run not heard of for longest is forgotten. */
export const rememberRun = <State>(memory: Map<string, State>, runId: string, state: State, most = runsMax): void => {
  memory.delete(runId);
  memory.set(runId, state);
  const oldest = memory.keys().next().value;
  if (memory.size > most && oldest !== undefined) memory.delete(oldest);
};

/** Undefined when the command was accepted, else why not. */
const send = async (scope: ActorScope, command: KasminaControlCommand, traceId: string): Promise<string | undefined> => {
  const outcome = await scope.bus.request("control.kasmina.commands", command, { traceId });
  if (outcome.kind !== "reply") return `the Gate gave no receipt (${outcome.kind}): ${outcome.reason}`;
  return outcome.value.kind === "refused" ? `refused (${outcome.value.code}): ${outcome.value.reason}` : undefined;
};

/** A decision whose command was refused is told as refused, with the reason. `latencyMs`: how long deciding took. */
export const actOn = async (
  scope: ActorScope,
  decision: Omit<Decision, "latencyMs">,
  command: KasminaControlCommand | undefined,
  { latencyMs, traceId }: { readonly latencyMs: number; readonly traceId: string },
): Promise<void> => {
  const refusal = command === undefined ? undefined : await send(scope, command, traceId);
  const told =
    refusal === undefined ? decision : { ...decision, outcome: "refused" as const, reason: `${decision.reason}; ${refusal}` };
  const sent = await scope.bus.publish("system.events.decision", { ...told, latencyMs }, { traceId });
  if (sent.kind === "failed") scope.log.warn("a decision could not be told", { reason: sent.reason });
};
