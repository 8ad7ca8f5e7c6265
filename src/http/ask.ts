/** Questions about the node, put to the actors that know: over the bus, within a bound of time. */
import type { RequestOutcome } from "../bus/bus.ts";
import type { InputOf, ReplyOf } from "../contracts/subjects.ts";
import type { HttpPorts } from "./ports.ts";

/** What the server asks on its own behalf. */
export type Question =
  | "query.performance"
  | "query.health"
  | "query.alerts"
  | "query.observed"
  | "query.commands"
  | "query.dead_letters";

export type Ask = <S extends Question>(subject: S, payload: InputOf<S>) => Promise<RequestOutcome<ReplyOf<S>>>;

/** Longer than this nobody waits who only looks. */
const answerMsMax = 2_000;

export const createAsk =
  ({ bus, config }: Pick<HttpPorts, "bus" | "config">): Ask =>
  (subject, payload) =>
    bus.request(subject, payload, { timeoutMs: Math.min(answerMsMax, config.requestTimeoutMs) });

/** What came back, or undefined where nobody answered. */
export const answerOf = <T>(outcome: RequestOutcome<T>): T | undefined => (outcome.kind === "reply" ? outcome.value : undefined);
