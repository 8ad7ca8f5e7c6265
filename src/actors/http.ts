/**
 * Http, the door for programs and pages that do not speak NATS: a server that turns each request into a message under a login of its own.
 *
 * W1 It reaches the other actors over the bus alone, and may say there what the subject table lets it.
 * W2 When the actor ends, the server takes no request any more and its connections are closed.
 */
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

/** What the server sees of its actor. */
export type HttpScope = Pick<ActorScope, "bus" | "clock" | "log" | "signal">;

export interface HttpDoor {
  close(): Promise<void>;
}

/** @param open starts the server; rejects when it cannot listen */
export const startHttp = (ports: ActorPorts, open: (scope: HttpScope) => Promise<HttpDoor>): Promise<RunningChild> =>
  startActor("http", ports, async ({ bus, clock, log, signal, onEnd }) => {
    const door = await open({ bus, clock, log, signal }); // W1
    onEnd(() => door.close()); // W2
  });
