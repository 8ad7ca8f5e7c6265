/** The supervision tree of a whole node as it is specified, read without starting anything: as data, text and Mermaid. */
import { nodeTopology, runTopology, type Starter } from "../../actors/topology.ts";
import { ServicesConfig } from "../../contracts/config.ts";
import type { ChildSpec, RestartType, Strategy, SupervisorSpec } from "../../supervision/spec.ts";

export interface TreeNode {
  readonly id: string;
  readonly restart: RestartType;
  /** Of a supervisor. */
  readonly strategy?: Strategy;
  /** In the order in which they start. */
  readonly children: readonly TreeNode[];
}

export const strategyWords: Readonly<Record<Strategy, string>> = {
  one_for_one: "a crash restarts the one child",
  rest_for_one: "a crash restarts the child and all that started after it",
  one_for_all: "a crash restarts all children",
};

const nodeOf = ({ id, restart, supervises }: ChildSpec): TreeNode => ({
  id,
  restart,
  ...(supervises === undefined ? {} : { strategy: supervises.strategy }),
  children: supervises === undefined ? [] : supervises.children.map(nodeOf),
});

const rootOf = ({ id, strategy, children }: SupervisorSpec, added: readonly ChildSpec[]): TreeNode => ({
  id,
  restart: "permanent",
  strategy,
  children: [...children, ...added].map(nodeOf),
});

/** Only to be named: the tree is read, not started. */
const unstarted: Starter = () => Promise.reject(new Error("expected the tree to be read only, it was started"));

/** With every service, and one run. */
export const programTree = (): TreeNode => {
  const bounds = ServicesConfig.parse({});
  const node = nodeTopology(
    {
      oona: unstarted,
      urza: unstarted,
      nissa: unstarted,
      tezzeret: unstarted,
      urabrask: unstarted,
      gate: unstarted,
      warden: unstarted,
      tamiyo: unstarted,
      emrakul: unstarted,
      letters: unstarted,
      steward: unstarted,
      http: unstarted,
    },
    bounds,
  );
  return rootOf(node, [runTopology("<id>", { kasmina: unstarted, tolaria: unstarted }, bounds)]);
};

export const treeText = (tree: TreeNode): string => {
  const below = ({ children }: TreeNode, indent: string): string[] =>
    children.flatMap((child, index) => {
      const last = index === children.length - 1;
      const told = [
        ...(child.strategy === undefined ? [] : [child.strategy]),
        ...(child.restart === "permanent" ? [] : [child.restart]),
      ];
      return [
        `${indent}${last ? "└─" : "├─"} ${child.id}${told.length > 0 ? ` (${told.join(", ")})` : ""}`,
        ...below(child, `${indent}${last ? "   " : "│  "}`),
      ];
    });
  return `${[`${tree.id} (${tree.strategy ?? ""})`, ...below(tree, "")].join("\n")}\n`;
};

/** A flowchart; quotes and brackets of a name are written by their codes. */
export const treeMermaid = (tree: TreeNode): string => {
  const escaped = (text: string): string => text.replaceAll(/[#;:<>"{}&]/g, (each) => `#${each.codePointAt(0)};`);
  const lines: string[] = [];
  const add = (node: TreeNode, parent: string | undefined): void => {
    const id = `n${lines.length}`;
    const label = escaped(node.strategy === undefined ? node.id : `${node.id} (${node.strategy})`);
    lines.push(
      `${parent === undefined ? "" : `${parent} --> `}${id}${node.strategy === undefined ? `("${label}")` : `["${label}"]`}`,
    );
    for (const child of node.children) add(child, id);
  };
  add(tree, undefined);
  return `${["flowchart LR", ...lines.map((line) => `    ${line}`)].join("\n")}\n`;
};
