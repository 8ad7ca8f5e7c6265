/** The routes that are no commands, as the document describes them. */
import type { z } from "zod";
import { DeadLetterAnswer } from "../contracts/dead-letter.ts";
import { Alerts, Health } from "../contracts/observed.ts";
import { OfferedConfigs } from "../contracts/offer.ts";
import { Performance } from "../contracts/performance.ts";
import { type PersonRole, personRoles } from "../contracts/roles.ts";
import { rolesOf, rolesOfCommand } from "./access.ts";

export interface Operation {
  /** With `{name}`, as OpenAPI writes it. */
  readonly path: string;
  readonly about: string;
  readonly roles: readonly PersonRole[];
  readonly parameters?: readonly { readonly name: string; readonly in: "path" | "query" | "header"; readonly about: string }[];
  /** Status → what is answered: a schema's name, or a media type. */
  readonly answers: Readonly<Record<number, { readonly about: string; readonly schema?: string; readonly type?: string }>>;
}

/** Schemas that only these routes use. */
export const operationSchemas: Readonly<Record<string, z.ZodType>> = {
  Health,
  Readiness: Health.pick({ ready: true, reasons: true }),
  Liveness: Health.pick({ live: true }),
  Alerts,
  Performance,
  OfferedConfigs,
  DeadLetterAnswer,
};

export const operations: readonly Operation[] = [
  {
    path: "/health",
    about: "Whether the node is alive and ready, and how each actor is.",
    roles: personRoles,
    answers: { 200: { about: "Ready.", schema: "Health" }, 503: { about: "Alive, not ready.", schema: "Health" } },
  },
  {
    path: "/health/live",
    about: "Whether the process answers.",
    roles: personRoles,
    answers: { 200: { about: "It does.", schema: "Liveness" } },
  },
  {
    path: "/health/ready",
    about: "Whether every actor is up.",
    roles: personRoles,
    answers: { 200: { about: "Ready.", schema: "Readiness" }, 503: { about: "Not ready.", schema: "Readiness" } },
  },
  {
    path: "/metrics",
    about: "Prometheus' text format.",
    roles: rolesOf("query.observed"),
    answers: { 200: { about: "Metrics.", type: "text/plain" } },
  },
  {
    path: "/alerts",
    about: "What asks for a person's attention, and what did.",
    roles: rolesOf("query.alerts"),
    parameters: [{ name: "active", in: "query", about: "`true`: only alerts that last." }],
    answers: { 200: { about: "Alerts, those that last first.", schema: "Alerts" } },
  },
  {
    path: "/performance",
    about: "Circuit breakers with counts and latencies, actors with their queues.",
    roles: rolesOf("query.performance"),
    answers: { 200: { about: "How the node does.", schema: "Performance" } },
  },
  {
    path: "/configs",
    about: "Configurations that a run may be started with: the node's own, and those that come with the program.",
    roles: rolesOfCommand("start"),
    answers: { 200: { about: "Each with its name and what it is.", schema: "OfferedConfigs" } },
  },
  {
    path: "/dead-letters",
    about: "Messages that no actor could handle.",
    roles: rolesOf("query.dead_letters"),
    parameters: [{ name: "after", in: "query", about: "Only letters of a greater id: the next page." }],
    answers: { 200: { about: "The letters, and how many are kept.", schema: "DeadLetterAnswer" } },
  },
  {
    path: "/dead-letters/{id}",
    about: "A dead letter with its message.",
    roles: rolesOf("query.dead_letters"),
    parameters: [{ name: "id", in: "path", about: "Its number." }],
    answers: {
      200: { about: "The letter.", schema: "DeadLetterAnswer" },
      404: { about: "No such letter.", schema: "Problem" },
    },
  },
  {
    path: "/artifacts/{hash}",
    about: "An asset of the library as the bytes that its hash is of.",
    roles: rolesOf("query.observed"),
    parameters: [
      { name: "hash", in: "path", about: "SHA-256, 64 hexadecimal digits." },
      { name: "Range", in: "header", about: "One range of bytes, for example `bytes=0-1023`." },
      { name: "If-None-Match", in: "header", about: "The entity tag of what is there already." },
    ],
    answers: {
      200: { about: "All of it; the entity tag is its hash.", type: "application/json" },
      206: { about: "The range that was asked for.", type: "application/json" },
      304: { about: "It is there already." },
      416: { about: "No such range.", schema: "Problem" },
    },
  },
  {
    path: "/view/stream",
    about: "What the page shows, as server-sent events: the whole state, then what changes, at most 20 times a second.",
    roles: personRoles,
    parameters: [{ name: "Last-Event-ID", in: "header", about: "The last event that came: the stream goes on from there." }],
    answers: {
      200: { about: "Events `snapshot`, `delta` and `end`.", type: "text/event-stream" },
      404: { about: "Recorded runs only.", schema: "Problem" },
      503: { about: "Too many streams, or the node ends.", schema: "Problem" },
    },
  },
  {
    path: "/view/snapshot",
    about: "What the page shows, whole, as it is now.",
    roles: personRoles,
    answers: { 200: { about: "The state.", type: "application/json" }, 404: { about: "Recorded runs only.", schema: "Problem" } },
  },
  {
    path: "/view/machines",
    about: "The statecharts, drawn from their definitions.",
    roles: personRoles,
    answers: { 200: { about: "Each machine with its layout.", type: "application/json" } },
  },
  {
    path: "/view/runs",
    about: "Recorded runs, and whether a node is behind them.",
    roles: personRoles,
    answers: { 200: { about: "The runs.", type: "application/json" } },
  },
  {
    path: "/view/runs/{id}/events",
    about: "A recorded run's changes, piece by piece.",
    roles: personRoles,
    parameters: [
      { name: "id", in: "path", about: "The run." },
      { name: "from", in: "query", about: "As the answer before named it in `next`; left out, from the beginning." },
    ],
    answers: {
      200: { about: "Changes, and `next` where there are more.", type: "application/json" },
      404: { about: "No such run.", schema: "Problem" },
    },
  },
  {
    path: "/view/runs/{id}/checkpoints",
    about: "Checkpoints of a recorded run that are there, by window.",
    roles: personRoles,
    parameters: [{ name: "id", in: "path", about: "The run." }],
    answers: {
      200: { about: "The checkpoints.", type: "application/json" },
      404: { about: "No such run.", schema: "Problem" },
    },
  },
  {
    path: "/openapi.json",
    about: "This document.",
    roles: personRoles,
    answers: { 200: { about: "OpenAPI 3.1.", type: "application/json" } },
  },
];
