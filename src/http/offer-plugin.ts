/**
 * What a person may choose from before a command is sent: configurations that this node can start, and dead letters.
 *
 * O1 It only reads: what is chosen comes back as a command, through the Gate.
 */
import type { FastifyPluginAsync, FastifyReply } from "fastify";
import type { DeadLetterAnswer } from "../contracts/dead-letter.ts";
import type { InputOf } from "../contracts/subjects.ts";
import { rolesOf, rolesOfCommand } from "./access.ts";
import { createAsk } from "./ask.ts";
import type { HttpPorts } from "./ports.ts";
import { sendProblem } from "./problem.ts";

const pageOf = (text: string | undefined): number | undefined => {
  if (text === undefined) return 0;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
};

export const offerPlugin: FastifyPluginAsync<Pick<HttpPorts, "bus" | "config" | "configs">> = async (
  app,
  { bus, config, configs },
) => {
  const ask = createAsk({ bus, config });
  const sendLetters = async (reply: FastifyReply, query: InputOf<"query.dead_letters">): Promise<FastifyReply> => {
    const outcome = await ask("query.dead_letters", query);
    if (outcome.kind !== "reply")
      return sendProblem(reply.header("retry-after", 1), 503, `the desk of dead letters gave no answer (${outcome.kind})`);
    const answer: DeadLetterAnswer = outcome.value;
    if (answer.kind === "unknown") return sendProblem(reply, 404, answer.reason);
    return reply.send(answer);
  };
  const letterRoles = { config: { roles: rolesOf("query.dead_letters") } };
  app.get<{ Querystring: { after?: string } }>("/dead-letters", letterRoles, async ({ query }, reply) => {
    const afterId = pageOf(typeof query.after === "string" || query.after === undefined ? query.after : "");
    if (afterId === undefined) return sendProblem(reply, 400, "expected `after` as the id of a dead letter, or none");
    return sendLetters(reply, { kind: "list", afterId });
  });
  app.get<{ Params: { id: string } }>("/dead-letters/:id", letterRoles, async ({ params }, reply) => {
    const id = pageOf(params.id);
    if (id === undefined || id < 1) return sendProblem(reply, 400, "expected the id of a dead letter, a number from 1");
    return sendLetters(reply, { kind: "show", id });
  });
  app.get("/configs", { config: { roles: rolesOfCommand("start") } }, async (_request, reply) =>
    reply.send({ configs: configs === undefined ? [] : await configs() }),
  );
};
