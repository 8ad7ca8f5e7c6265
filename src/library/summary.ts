/** A model as a table: its layers, then what was grown onto them. */
import type { Host } from "../contracts/graph.ts";
import { bind } from "../graph/bind.ts";
import { seedParameters, seedsOf } from "../interchange/lineage.ts";

const thousands = (count: number): string => count.toLocaleString("en-US");

/** The layers whose pre-activation a seed adds to, and the value that it reads. */
const joinsOf = (host: Host, seedId: string): string => {
  const sum = host.graph.nodes.find(({ id }) => id === `${seedId}:sum`);
  const target = host.layers.find(({ preActivation }) => preActivation === sum?.id);
  const reads = host.graph.nodes.find(
    ({ id, inputs }) => id.startsWith(`${seedId}/`) && inputs.some((input) => !input.startsWith(`${seedId}/`)),
  );
  const source = host.layers.find(({ input }) => reads?.inputs.includes(input) ?? false);
  return `${source?.name ?? "input"} → ${target?.name ?? "output"}`;
};

export const summarize = (host: Host): string => {
  const { types } = bind(host.graph, { batch: 1, mode: "eval" });
  const size = (names: readonly string[]): number =>
    host.graph.parameters
      .filter(({ name }) => names.includes(name))
      .reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
  const layers = host.layers.map(({ name, kind, preActivation, parameters }) => [
    name,
    kind,
    `[N, ${types.get(preActivation)?.shape.slice(1).join(", ") ?? ""}]`,
    thousands(size(parameters)),
  ]);
  const seeds = seedsOf(host).map((seedId) => [seedId, "grown", joinsOf(host, seedId), thousands(seedParameters(host, seedId))]);
  const named = new Set(host.layers.flatMap(({ parameters }) => parameters));
  const others = host.graph.parameters
    .filter(({ name, cohort }) => cohort === "host" && !named.has(name))
    .map(({ name }) => name);
  const rest = others.length === 0 ? [] : [["(other)", `${others.length} tensors`, "", thousands(size(others))]];
  const rows = [["layer", "kind", "output", "parameters"], ...layers, ...rest, ...seeds];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 3 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  const total = host.graph.parameters.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
  const grown = seedsOf(host).reduce((sum, seedId) => sum + seedParameters(host, seedId), 0);
  const rule = "-".repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  return [
    `${host.name}: ${host.task}, ${host.classes} ${host.task === "classification" ? "classes" : "outputs"}`,
    line(rows[0]!),
    rule,
    ...rows.slice(1).map(line),
    rule,
    `${thousands(total)} parameters, ${thousands(grown)} of them grown`,
  ].join("\n");
};
