/** What the benches share: a median that can be trusted, a table, and the way a script is run. */
import { availableParallelism, cpus } from "node:os";
import { pathToFileURL } from "node:url";
import type { EsperConfig } from "../src/contracts/config.ts";
import type { SessionSpec } from "../src/contracts/plan.ts";

/** The q-quantile by the nearest rank. */
export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};
export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Sample standard deviation. */
export const deviation = (values: readonly number[]): number => {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / Math.max(1, values.length - 1));
};

/** A Markdown table. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

export const machineLine = (): string =>
  `${cpus()[0]?.model.trim() ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.version}, ${process.platform} ${process.arch}`;

/** True in the script that was started, false where it was imported. */
export const isMain = (url: string): boolean => url === pathToFileURL(process.argv[1] ?? "").href;

export const print = (result: unknown, asTable: string): void => {
  process.stdout.write(`${process.argv.includes("--json") ? JSON.stringify(result, undefined, 2) : asTable}\n`);
};

/** A session on the native engine with one thread and no end of FLOPs: the host alone is what is timed. */
export const hostSpec = (config: EsperConfig, runId: string, epochSteps: number): SessionSpec => ({
  runId,
  model: config.model,
  optimizer: config.optimization.optimizer,
  schedule: "constant",
  warmupSteps: 0,
  batchSize: 128,
  randomSeed: 1,
  engine: "native",
  threads: 1,
  hostSteps: 1_000_000,
  epochSteps,
  morphogenetic: config.morphogenetic,
  governor: config.governor,
  progressHz: 4,
});
