/** The tree that is drawn is the tree that is built. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nodeTopology, runTopology } from "../../src/actors/topology.ts";
import { ServicesConfig } from "../../src/contracts/config.ts";
import type { ChildSpec, SupervisorTree } from "../../src/supervision/spec.ts";
import { Supervisor } from "../../src/supervision/supervisor.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { idle } from "./support.ts";

const bounds = ServicesConfig.parse({});

const draw = (tree: SupervisorTree, indent = ""): string[] =>
  tree.children.flatMap((child, i) => {
    const last = i === tree.children.length - 1;
    const inner = child.nested;
    const name = inner === null ? child.id : `${inner.id} (${inner.strategy})`;
    const below = inner === null ? [] : draw(inner, `${indent}${last ? "   " : "│  "}`);
    return [`${indent}${last ? "└─" : "├─"} ${name}`, ...below];
  });

const starters = {
  oona: idle,
  urza: idle,
  nissa: idle,
  tezzeret: idle,
  urabrask: idle,
  gate: idle,
  warden: idle,
  http: idle,
  tamiyo: idle,
  emrakul: idle,
  letters: idle,
  steward: idle,
};

const build = async (): Promise<SupervisorTree> => {
  const supervisor = new Supervisor(nodeTopology(starters, bounds), { clock: createSimulatedClock() });
  await supervisor.start();
  await supervisor.addChild(runTopology("<id>", { kasmina: idle, tolaria: idle }, bounds));
  return supervisor.tree();
};

describe("topology", () => {
  it.each(["ARCHITECTURE.md", "src/actors/topology.ts"])("%s draws the tree that is built", async (file) => {
    const tree = await build();
    const drawn = readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.replace(/^ \* /, "").trimEnd());
    const start = drawn.findIndex((line) => line.startsWith("esper (rest_for_one"));
    const rows = drawn.slice(start + 1, start + 1 + draw(tree).length);
    // What is told of a child beside its name and its strategy is prose.
    const named = rows.map((line) =>
      line.replace(/^([│ ]*[├└]─ \S+)(?: +\((\w+_for_\w+)[^)]*\))?.*$/, (_, child, strategy) =>
        strategy === undefined ? child : `${child} (${strategy})`,
      ),
    );
    expect(named).toEqual(draw(tree));
    expect(tree.strategy).toBe("rest_for_one");
  });

  it("a run's Tolaria may end, everything else is kept up", () => {
    const spec: ChildSpec = runTopology("r-1", { kasmina: idle, tolaria: idle }, bounds);
    expect(spec.id).toBe("run:r-1");
    expect(nodeTopology(starters, bounds).children.map((child) => child.restart)).toEqual(Array(5).fill("permanent"));
  });
});
