/** Loads the description of an experiment: YAML, checked against its schema; every problem is told at once, with its line. */
import { readFileSync, statSync } from "node:fs";
import { isNode, LineCounter, parseDocument } from "yaml";
import { describeError, describeFault, InputError } from "../contracts/errors.ts";
import { ExperimentConfig } from "../contracts/experiment.ts";
import { describeYamlFault } from "./quoting.ts";

const bytesMax = 1_048_576;

/** @throws InputError. */
export const loadExperiment = (file: string): ExperimentConfig => {
  let text: string;
  try {
    const { size } = statSync(file);
    if (size > bytesMax) throw new InputError(`expected at most ${bytesMax} bytes, found ${size}`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new InputError(
      `expected a readable experiment in ${file}, found: ${describeError(error)}; check the path after --config`,
      { file },
      { cause: error },
    );
  }
  return parseExperiment(text, file);
};

/** @param file Its name in messages. */
export const parseExperiment = (text: string, file: string): ExperimentConfig => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw new InputError(
      `expected well-formed YAML, found ${describeYamlFault(broken)} at ${file} line ${line}, column ${col}; correct that line`,
      {
        file,
      },
    );
  }
  let tree: unknown;
  try {
    tree = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    throw new InputError(`expected plain YAML, found ${describeYamlFault(error)} in ${file}; write the values out`, { file });
  }
  const parsed = ExperimentConfig.safeParse(tree);
  if (parsed.success) return parsed.data;
  const lineOf = (path: readonly PropertyKey[]): string => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return ` (line ${lines.linePos(node.range[0]).line})`;
    }
    return "";
  };
  const problems = parsed.error.issues.map((issue) => {
    const { path } = issue;
    const place = path.map(String).join(".");
    return `  - ${place === "" ? "top" : place}: ${describeFault(issue)}${lineOf(path)}`;
  });
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  const isRun = typeof tree === "object" && tree !== null && !("hosts" in tree) && ("model" in tree || "optimization" in tree);
  const next = isRun
    ? "this is a run's configuration: start it with `esper start --config FILE`"
    : "correct each; configs/experiment-repair.yaml is an example";
  throw new InputError(`expected a valid experiment, found ${count} in ${file}:\n${problems.join("\n")}\n${next}`, { file });
};
