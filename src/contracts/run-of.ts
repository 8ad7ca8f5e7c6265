/** Which run an event belongs to: in whose log it is written, and with whose it is read. */

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** The run that an event belongs to. A command and its receipt say it each in their own place. */
export const runIdOf = (payload: unknown): string | undefined => {
  if (!isRecord(payload)) return undefined;
  const { runId, command, receipt } = payload;
  if (typeof runId === "string") return runId;
  if (!isRecord(command) || !isRecord(receipt) || receipt["code"] === "unknown_run") return undefined;
  return typeof command["runId"] === "string" ? command["runId"] : undefined;
};
