/** The steward of a node's runs, under the supervisor's login: takes runs that are asked for while the node stays, and ends the node. */

import type { FirstCommand } from "../contracts/command-steering.ts";
import type { CommandReceipt } from "../contracts/commands.ts";
import type { StartConfig } from "../contracts/config.ts";
import type { Requester } from "../contracts/roles.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, startActor } from "./shell.ts";

/** The node's side of it. */
export interface StewardPorts {
  /** Puts a run at the end of the queue. */
  readonly start: (run: {
    readonly requestId: string;
    readonly config: StartConfig;
    readonly resume?: string | undefined;
    readonly first?: readonly FirstCommand[] | undefined;
    /** Who asks. */
    readonly by: Requester;
  }) =>
    | { readonly kind: "queued"; readonly position: number; readonly name: string }
    | { readonly kind: "refused"; readonly code: "not_staying" | "limit" | "invalid"; readonly reason: string };
  readonly end: (reason: string) => void;
}

export const startSteward = (ports: ActorPorts, { start, end }: StewardPorts): Promise<RunningChild> =>
  startActor("supervisor", ports, async ({ answer, enqueue, log }) => {
    await answer("control.node.admitted", ({ by, command }): CommandReceipt => {
      const { requestId } = command;
      switch (command.kind) {
        case "start": {
          const taken = start({ ...command, by });
          if (taken.kind === "refused") return { kind: "refused", requestId, code: taken.code, reason: taken.reason };
          const { position, name } = taken;
          const detail = `${name} waits for its turn; it begins when no other run is going on, while this node is up`;
          return { kind: "queued", requestId, runName: name, position, detail };
        }
        case "shutdown": {
          log.info("the node is asked to end", { by: by.principal, reason: command.reason });
          // After the answer.
          enqueue("the end of the node", () => end(command.reason));
          return { kind: "done", requestId, detail: "the node ends; a run that is going on is stopped with a checkpoint" };
        }
        default:
          return { kind: "refused", requestId, code: "invalid", reason: `${command.kind} is not answered by the node` };
      }
    });
  });
