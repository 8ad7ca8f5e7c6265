/**
 * What the server measures of itself: requests by route and status, their time, and its process.
 *
 * U1 Labels are bounded: a route is known by its pattern, never by what a client wrote.
 */
import type { FastifyInstance } from "fastify";
import { Counter, Histogram, Registry } from "prom-client";
import { registerProcessMetrics } from "./process-metrics.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const bucketsSeconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Measures all requests of the server until it closes. */
export const addOwnMetrics = (app: FastifyInstance): Registry => {
  const registry = new Registry();
  const registers = [registry];
  const endProcessMetrics = registerProcessMetrics(registry);
  app.addHook("onClose", async () => endProcessMetrics());
  const requests = new Counter({
    name: "esper_http_requests_total",
    help: "Requests answered over HTTP.",
    labelNames: ["method", "route", "status"] as const,
    registers,
  });
  const seconds = new Histogram({
    name: "esper_http_request_seconds",
    help: "From a request's head to the end of its answer.",
    labelNames: ["method", "route"] as const,
    buckets: bucketsSeconds,
    registers,
  });
  // U1
  app.addHook("onResponse", async (request, reply) => {
    const method = methods.includes(request.method) ? request.method : "other";
    const route = request.routeOptions.url ?? "none";
    requests.inc({ method, route, status: reply.statusCode });
    seconds.observe({ method, route }, reply.elapsedTime / 1000);
  });
  return registry;
};
