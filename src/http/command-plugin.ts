/** Serves the routes that are commands. */
import type { FastifyPluginAsync, FastifyRequest } from "fastify";
import { anyCommand, commandBuilder } from "./command-request.ts";
import { anyCommandPath, commandRoutes } from "./command-routes.ts";
import { createGateway } from "./gateway.ts";
import type { HttpPorts } from "./ports.ts";

const idBytes = 9;

const keyOf = ({ headers }: FastifyRequest): string | undefined => {
  const key = headers["idempotency-key"];
  return typeof key === "string" ? key : undefined;
};

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? { ...value } : {};

export const commandPlugin: FastifyPluginAsync<Pick<HttpPorts, "bus" | "clock" | "config" | "entropy">> = async (app, ports) => {
  const send = createGateway(ports);
  const newId = (): string => `http-${ports.entropy.token(idBytes)}`;
  for (const route of commandRoutes) {
    const build = commandBuilder(route);
    app.route({
      method: route.method,
      url: route.path.replace("{id}", ":id"),
      handler: (request, reply) => {
        const { id } = fieldsOf(request.params);
        const source = {
          id: typeof id === "string" ? id : undefined,
          query: fieldsOf(request.query),
          body: request.body,
          key: keyOf(request),
        };
        return send(request, reply, build(source, newId));
      },
    });
  }
  app.post(anyCommandPath, (request, reply) => send(request, reply, anyCommand(request.body, keyOf(request), newId)));
};
