/** What the benches share: a median that can be trusted, a table, and the way a script is run. */
import { availableParallelism, cpus } from "node:os";
import { pathToFileURL } from "node:url";

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
