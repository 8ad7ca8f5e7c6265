/**
 * Who supervises whom, with which strategy and why. Read this first.
 *
 * esper (rest_for_one: what stands later needs what stands earlier)
 * ├─ oona       the bus
 * ├─ urza       the library
 * ├─ nissa      the event log and what people see
 * ├─ forge      (one_for_one: who compiles does not need who measures)
 * │  ├─ tezzeret
 * │  └─ urabrask
 * ├─ control    (one_for_one: who grows does not need who prunes; while Gate or Warden is away a command is refused, not lost)
 * │  ├─ gate    the one door for every command
 * │  ├─ warden  whether a change may be
 * │  ├─ tamiyo
 * │  ├─ emrakul
 * │  └─ letters dead letters: kept, shown, sent again
 * └─ run:<id>   (one_for_all: Tolaria's windows and Kasmina's seeds must tell the same story)
 *    ├─ kasmina
 *    └─ tolaria
 */
import type { ServicesConfig } from "../contracts/config.ts";
import { supervisorChild } from "../supervision/nested.ts";
import type { ChildSpec, RunningChild, StartContext, SupervisorSpec } from "../supervision/spec.ts";

export type Starter = (context: StartContext) => Promise<RunningChild>;

export interface ServiceStarters {
  readonly oona: Starter;
  readonly urza: Starter;
  readonly nissa: Starter;
  readonly tezzeret: Starter;
  readonly urabrask: Starter;
  readonly gate: Starter;
  readonly warden: Starter;
  readonly tamiyo: Starter;
  readonly emrakul: Starter;
  readonly letters: Starter;
}

export interface RunStarters {
  readonly kasmina: Starter;
  readonly tolaria: Starter;
}

type Bounds = Pick<ServicesConfig, "shutdownMs" | "startMs" | "restartsMax" | "restartPeriodMs">;

const backoff = { initialMs: 50, factor: 2, maxMs: 2_000 };

const worker = (id: string, start: Starter, bounds: Bounds, restart: ChildSpec["restart"] = "permanent"): ChildSpec => ({
  id,
  kind: "worker",
  restart,
  start,
  maxStartMs: bounds.startMs,
  shutdownMs: bounds.shutdownMs,
});

const supervisor = (
  id: string,
  strategy: SupervisorSpec["strategy"],
  bounds: Bounds,
  children: readonly ChildSpec[],
): SupervisorSpec => ({
  id,
  strategy,
  intensity: { restartsMax: bounds.restartsMax, periodMs: bounds.restartPeriodMs },
  backoff,
  children,
});

/** The services of a node. Runs are added to it while it is up. */
export const nodeTopology = (start: ServiceStarters, bounds: Bounds): SupervisorSpec =>
  supervisor("esper", "rest_for_one", bounds, [
    worker("oona", start.oona, bounds),
    worker("urza", start.urza, bounds),
    worker("nissa", start.nissa, bounds),
    supervisorChild(
      supervisor("forge", "one_for_one", bounds, [
        worker("tezzeret", start.tezzeret, bounds),
        worker("urabrask", start.urabrask, bounds),
      ]),
    ),
    supervisorChild(
      supervisor("control", "one_for_one", bounds, [
        worker("gate", start.gate, bounds),
        worker("warden", start.warden, bounds),
        worker("tamiyo", start.tamiyo, bounds),
        worker("emrakul", start.emrakul, bounds),
        worker("letters", start.letters, bounds),
      ]),
    ),
  ]);

/** One run: it is over when Tolaria ends normally, and then stays down. */
export const runTopology = (runId: string, start: RunStarters, bounds: Bounds): ChildSpec =>
  supervisorChild(
    supervisor(`run:${runId}`, "one_for_all", bounds, [
      worker("kasmina", start.kasmina, bounds),
      worker("tolaria", start.tolaria, bounds, "transient"),
    ]),
  );
