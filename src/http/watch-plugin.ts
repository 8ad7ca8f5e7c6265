/**
 * How the node does: `/health`, `/performance`, `/alerts`, `/metrics`.
 *
 * W1 A node whose actors cannot be asked is alive and not ready: it says so with 503.
 */
import type { FastifyPluginAsync, FastifyReply } from "fastify";
import { Registry } from "prom-client";
import type { RequestOutcome } from "../bus/bus.ts";
import type { Health } from "../contracts/observed.ts";
import { rolesOf } from "./access.ts";
import { type Ask, answerOf, createAsk } from "./ask.ts";
import { nodeMetrics } from "./node-metrics.ts";
import type { HttpPorts } from "./ports.ts";
import { sendProblem } from "./problem.ts";

const sendAnswer = <T>(reply: FastifyReply, outcome: RequestOutcome<T>): FastifyReply =>
  outcome.kind === "reply"
    ? reply.type("application/json; charset=utf-8").send(JSON.stringify(outcome.value))
    : sendProblem(reply.header("retry-after", 1), 503, `who knows it gave no answer (${outcome.kind}); try again in a moment`);

/** W1 */
const healthFrom = async (ask: Ask, atMs: number): Promise<Health> =>
  answerOf(await ask("query.health", {})) ?? {
    atMs,
    live: true,
    ready: false,
    reasons: ["Nissa, who watches the actors, gave no answer"],
    actors: [],
  };

export interface WatchOptions extends Pick<HttpPorts, "bus" | "config" | "clock"> {
  /** What the server measures of itself. */
  readonly own: Registry;
}

export const watchPlugin: FastifyPluginAsync<WatchOptions> = async (app, { bus, config, clock, own }) => {
  const ask = createAsk({ bus, config });
  app.get("/health", async (_request, reply) => {
    const health = await healthFrom(ask, clock.nowMs());
    return reply.code(health.ready ? 200 : 503).send(health);
  });
  app.get("/health/live", (_request, reply) => reply.send({ live: true }));
  app.get("/health/ready", async (_request, reply) => {
    const { ready, reasons } = await healthFrom(ask, clock.nowMs());
    return reply.code(ready ? 200 : 503).send({ ready, reasons });
  });
  app.get("/performance", { config: { roles: rolesOf("query.performance") } }, async (_request, reply) =>
    sendAnswer(reply, await ask("query.performance", {})),
  );
  app.get<{ Querystring: { active?: string } }>(
    "/alerts",
    { config: { roles: rolesOf("query.alerts") } },
    async ({ query }, reply) => sendAnswer(reply, await ask("query.alerts", { activeOnly: query.active === "true" })),
  );
  app.get("/metrics", { config: { roles: rolesOf("query.observed") } }, async (_request, reply) => {
    const [performance, health, alerts, observed, commands] = await Promise.all([
      ask("query.performance", {}).then(answerOf),
      ask("query.health", {}).then(answerOf),
      ask("query.alerts", { activeOnly: true }).then(answerOf),
      ask("query.observed", {}).then(answerOf),
      ask("query.commands", {}).then(answerOf),
    ]);
    const told = await nodeMetrics({ performance, health, alerts, observed, commands });
    return reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(`${told}\n${await own.metrics()}`);
  });
};
