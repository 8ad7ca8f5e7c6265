/**
 * An actor's bus with a breaker on every request subject, and the deadline of the work at hand on every request.
 *
 * G1 A request sent while another is answered has that one's deadline, or its own when it is earlier.
 * G2 A rejected request is `unavailable` at once, and says when to ask again.
 */
import type { Bus, RequestOutcome, SendOptions } from "../bus/bus.ts";
import type { Clock } from "../contracts/ports.ts";
import type { InputOf, ReplyOf, RequestSubject } from "../contracts/subjects.ts";
import type { Breakers, Verdict } from "./breakers.ts";
import { currentDeadlineMs, earliestMs } from "./deadline.ts";

/**
 * A refusal or a message that does not fit is an answer; silence and a failure are not. Where nobody listens the server says so at
 * once: that costs nobody time, and whoever comes up is not kept waiting for it.
 */
const judge = {
  value: (outcome: RequestOutcome<unknown>): Verdict => {
    if (outcome.kind !== "timeout" && outcome.kind !== "unavailable") return { kind: "ok" };
    return outcome.absent === true ? { kind: "cancelled" } : { kind: "failed", reason: outcome.reason };
  },
  error: (): Verdict => ({ kind: "cancelled" }),
};

export const guardBus = (bus: Bus, breakers: Breakers, clock: Clock): Bus => ({
  ...bus,
  request: async <S extends RequestSubject>(
    subject: S,
    payload: InputOf<S>,
    send: SendOptions = {},
  ): Promise<RequestOutcome<ReplyOf<S>>> => {
    const deadlineAtMs = earliestMs(send.deadlineAtMs, currentDeadlineMs()); // G1
    // That the asker is late says nothing of who would have answered.
    if (deadlineAtMs !== undefined && clock.nowMs() >= deadlineAtMs)
      return { kind: "timeout", reason: `the deadline had passed before ${subject} was asked` };
    const options = deadlineAtMs === undefined ? send : { ...send, deadlineAtMs };
    const guarded = await breakers
      .get(subject)
      .call<RequestOutcome<ReplyOf<S>>>(() => bus.request(subject, payload, options), judge);
    if (guarded.kind === "done") return guarded.value;
    const { reason, retryAfterMs } = guarded;
    return { kind: "unavailable", reason, retryAfterMs }; // G2
  },
});
