/** Ready is: every actor is up, and every supervisor at rest. */
import { expect, it } from "vitest";
import { healthOf } from "../../src/node/health.ts";
import type { ChildNode, ChildStatus, SupervisorPhase, SupervisorTree } from "../../src/supervision/spec.ts";

const child = (id: string, status: ChildStatus, nested: SupervisorTree | null = null): ChildNode => ({
  id,
  path: `esper/${id}`,
  ref: id,
  kind: "worker",
  restart: "permanent",
  status,
  generation: 1,
  stats: null,
  nested,
});
const tree = (phase: SupervisorPhase, children: readonly ChildNode[], path = "esper"): SupervisorTree => ({
  id: path,
  path,
  strategy: "one_for_one",
  phase,
  restartsInPeriod: 0,
  abandoned: 0,
  children,
});
const of = (given: SupervisorTree) => healthOf(given, { nowMs: () => 1, monotonicMs: () => 1, schedule: () => () => undefined });

it("is ready when all are up, or over for good", () => {
  expect(of(tree("running", [child("urza", "up"), child("tolaria", "finished")]))).toMatchObject({ ready: true, reasons: [] });
});

it.each<[string, SupervisorTree, string]>([
  ["one that waits to be started", tree("running", [child("urza", "waiting")]), "esper/urza is waiting"],
  ["one that starts", tree("running", [child("urza", "starting")]), "esper/urza is starting"],
  [
    "one below",
    tree("running", [child("forge", "up", tree("running", [child("forge/tezzeret", "stopping")], "esper/forge"))]),
    "esper/forge/tezzeret is stopping",
  ],
  [
    "a supervisor that restarts its own",
    tree("running", [child("forge", "up", tree("restarting", [], "esper/forge"))]),
    "esper/forge is restarting",
  ],
  ["the node's end", tree("stopping", []), "esper is stopping"],
])("is not ready for %s, and says why", (_, given, reason) => {
  expect(of(given)).toMatchObject({ live: true, ready: false, reasons: [reason] });
});
