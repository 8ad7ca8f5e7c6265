/** Problem details (RFC 9457): what the server says where there is no receipt. */
import { STATUS_CODES } from "node:http";
import type { FastifyReply } from "fastify";
import { z } from "zod";

export const problemType = "application/problem+json; charset=utf-8";

export const Problem = z.strictObject({
  /** Always `about:blank`: the status says what kind of problem it is. */
  type: z.literal("about:blank"),
  title: z.string(),
  status: z.int().min(400).max(599),
  /** What was expected, what came, what to do next. */
  detail: z.string(),
});
export type Problem = z.infer<typeof Problem>;

export const problem = (status: number, detail: string): Problem => ({
  type: "about:blank",
  title: STATUS_CODES[status] ?? "Problem",
  status,
  detail,
});

export const sendProblem = (reply: FastifyReply, status: number, detail: string): FastifyReply =>
  reply
    .code(status)
    .type(problemType)
    .send(JSON.stringify(problem(status, detail)));

/** The same for a request that never became one. */
export const rawProblem = (status: number, detail: string): string => {
  const body = JSON.stringify(problem(status, detail));
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${problemType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "X-Content-Type-Options: nosniff",
    "Connection: close",
    "",
    body,
  ].join("\r\n");
};
