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
 * │  ├─ letters dead letters: kept, shown, sent again
 * │  ├─ steward the node's runs: taken while it stays, and its end
 * │  └─ http    the HTTP server: API, metrics, page
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
  /** Left out where forges on other machines do their part. */
  readonly tezzeret?: Starter | undefined;
  readonly urabrask?: Starter | undefined;
  readonly gate: Starter;
  readonly warden: Starter;
  readonly tamiyo: Starter;
  readonly emrakul: Starter;
  readonly letters: Starter;
  readonly steward: Starter;
  /** Left out where the configuration wants no HTTP server. */
  readonly http?: Starter | undefined;
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

const forgeChildren = ({ tezzeret, urabrask }: Pick<ServiceStarters, "tezzeret" | "urabrask">, bounds: Bounds): ChildSpec[] => {
  const children = [
    ...(tezzeret === undefined ? [] : [worker("tezzeret", tezzeret, bounds)]),
    ...(urabrask === undefined ? [] : [worker("urabrask", urabrask, bounds)]),
  ];
  return children.length === 0 ? [] : [supervisorChild(supervisor("forge", "one_for_one", bounds, children))];
};

/** A node that works for others alone: its link to their bus, and who does the work. */
export const forgeTopology = (
  start: Pick<ServiceStarters, "oona" | "tezzeret" | "urabrask">,
  bounds: Bounds,
  joinMsMax: number,
): SupervisorSpec =>
  supervisor("esper", "rest_for_one", bounds, [
    worker("oona", start.oona, { ...bounds, startMs: bounds.startMs + joinMsMax }),
    ...forgeChildren(start, bounds),
  ]);

/** The services of a node. Runs are added to it while it is up. */
export const nodeTopology = (start: ServiceStarters, bounds: Bounds): SupervisorSpec =>
  supervisor("esper", "rest_for_one", bounds, [
    worker("oona", start.oona, bounds),
    worker("urza", start.urza, bounds),
    worker("nissa", start.nissa, bounds),
    ...forgeChildren(start, bounds),
    supervisorChild(
      supervisor("control", "one_for_one", bounds, [
        worker("gate", start.gate, bounds),
        worker("warden", start.warden, bounds),
        worker("tamiyo", start.tamiyo, bounds),
        worker("emrakul", start.emrakul, bounds),
        worker("letters", start.letters, bounds),
        worker("steward", start.steward, bounds),
        ...(start.http === undefined ? [] : [worker("http", start.http, bounds)]),
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
