/**
 * From a request to the Gate and back.
 *
 * Y1 What comes back is the Gate's receipt; there is no second judge here.
 * Y2 A client that stops waiting is told so; that the command was not carried out, it is not told: the same Idempotency-Key tells.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { RequestOutcome } from "../bus/bus.ts";
import type { CommandReceipt } from "../contracts/commands.ts";
import type { Cancel } from "../contracts/ports.ts";
import type { BuiltCommand } from "./command-request.ts";
import type { HttpPorts } from "./ports.ts";
import { sendProblem } from "./problem.ts";
import { statusOf } from "./receipt.ts";
import { deadlineOf, traceIdOf } from "./request-headers.ts";
import { challengeOf } from "./requester.ts";
import { nobody } from "./tokens.ts";

export type Gateway = (request: FastifyRequest, reply: FastifyReply, built: BuiltCommand) => Promise<FastifyReply>;

type Outcome = RequestOutcome<CommandReceipt> | { readonly kind: "impatient" };

const lateText =
  "the answer did not come in time; whether the command was carried out is not known: send it again with the same Idempotency-Key";

/** Where there is no receipt. */
const sendFailure = (reply: FastifyReply, outcome: Exclude<Outcome, { kind: "reply" }>): FastifyReply => {
  switch (outcome.kind) {
    case "impatient":
    case "timeout":
      return sendProblem(reply, 504, lateText);
    case "unavailable":
      return sendProblem(reply.header("retry-after", 1), 503, "the node's Gate is being restarted; try again in a moment");
    case "denied":
    case "invalid":
      return sendProblem(reply, 502, `the command did not reach the Gate: ${outcome.reason.slice(0, 500)}`);
  }
};

export const createGateway = ({ bus, clock, config }: Pick<HttpPorts, "bus" | "clock" | "config">): Gateway => {
  /** Y2 */
  const patiently = async (asked: Promise<Outcome>, deadlineAtMs: number | undefined): Promise<Outcome> => {
    if (deadlineAtMs === undefined) return asked;
    let cancel: Cancel = () => undefined;
    const late = new Promise<Outcome>((resolve) => {
      cancel = clock.schedule(Math.max(0, deadlineAtMs - clock.nowMs()), () => resolve({ kind: "impatient" }));
    });
    return Promise.race([asked, late]).finally(cancel);
  };

  return async (request, reply, built) => {
    if (built.kind === "unfit") return sendProblem(reply, 400, built.detail);
    const deadline = deadlineOf(request.headers, clock.nowMs());
    if (deadline.kind === "unfit") return sendProblem(reply, 400, deadline.detail);
    const { command } = built;
    const { by } = request;
    // Longer than the server waits, nobody is waited for.
    const latestAtMs = clock.nowMs() + config.requestTimeoutMs;
    const clientDeadlineAtMs = deadline.kind === "at" && deadline.atMs < latestAtMs ? deadline.atMs : undefined;
    const traceId = traceIdOf(request.headers.traceparent);
    const asked = bus.request(
      "control.gate.requests",
      {
        by,
        command,
        bytes: request.bodyBytes || Buffer.byteLength(JSON.stringify(command)),
        ...(clientDeadlineAtMs === undefined ? {} : { clientDeadlineAtMs }),
      },
      { timeoutMs: config.requestTimeoutMs, ...(traceId === undefined ? {} : { traceId }) },
    );
    const outcome = await patiently(asked, clientDeadlineAtMs);
    if (outcome.kind !== "reply") return sendFailure(reply, outcome);
    const receipt = outcome.value; // Y1
    const { status, retryAfterSeconds } = statusOf(receipt, by !== nobody);
    if (retryAfterSeconds !== undefined) reply.header("retry-after", retryAfterSeconds);
    if (status === 401) reply.header("www-authenticate", challengeOf());
    return reply.code(status).type("application/json; charset=utf-8").send(JSON.stringify(receipt));
  };
};
