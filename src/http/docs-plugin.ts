/** `/openapi.json` and `/docs`: the document, and the same to be read and tried. Everything comes from this server. */
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyPluginAsync } from "fastify";
import { contentPolicy } from "./guard.ts";
import { apiVersion, openApiDocument } from "./openapi.ts";

/** The reader's own pictures stand in its style sheet. */
const readerPolicy = contentPolicy.replace("img-src 'self'", "img-src 'self' data:");

export const docsPlugin: FastifyPluginAsync = async (app) => {
  const text = JSON.stringify(openApiDocument(apiVersion));
  app.get("/openapi.json", (_request, reply) => reply.type("application/json; charset=utf-8").send(text));
  await app.register(swagger, {
    mode: "static",
    specification: { document: JSON.parse(text) },
  });
  await app.register(swaggerUi, {
    routePrefix: "/docs",
    staticCSP: readerPolicy,
    uiConfig: { deepLinking: true, validatorUrl: null, docExpansion: "list", defaultModelsExpandDepth: 0 },
  });
};
