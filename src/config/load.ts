/**
 * Loads the configuration: defaults, then the YAML file, then the environment, then the command line; the last one wins.
 * All problems are told at once.
 */
import { readFileSync, statSync } from "node:fs";
import { isScalar, LineCounter, parse, parseDocument } from "yaml";
import { EsperConfig } from "../contracts/config.ts";
import { describeError, InputError } from "../contracts/errors.ts";
import { hiddenLayersOf, layersAt, prefixesOf } from "../contracts/host-layers.ts";
import { configKeys, environmentName } from "./keys.ts";
import { describeIssue, didYouMean, type Problem } from "./problems.ts";
import { describeCame, describeText, describeYamlFault, ofCharacters } from "./quoting.ts";

type Tree = Readonly<Record<string, unknown>>;

/** A value that the command line sets, for example `{path: ["optimization", "epochs"], value: 3, origin: "--epochs"}`. */
export interface ConfigOverride {
  readonly path: readonly string[];
  readonly value: unknown;
  /** Where it came from, for messages. */
  readonly origin: string;
}

export interface ConfigSources {
  readonly file?: string | undefined;
  /** Variables of the process; those that begin with `ESPER_` are read, and an unknown one is an error. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly overrides?: readonly ConfigOverride[];
}

export interface ConfigText {
  readonly text: string;
  /** Its name in messages. */
  readonly file: string;
}

const configBytesMax = 1_048_576;
const environmentPrefix = "ESPER_";

/** Reads the file and resolves every source. Throws InputError that lists all problems. */
export const loadConfig = (sources: ConfigSources): EsperConfig =>
  resolveConfig(
    sources.file === undefined ? undefined : readConfigFile(sources.file),
    sources.environment ?? {},
    sources.overrides ?? [],
  );

const readConfigFile = (file: string): ConfigText => {
  try {
    const { size } = statSync(file);
    if (size > configBytesMax) {
      throw new InputError(
        `expected a configuration of at most ${configBytesMax} bytes, got ${size} in ${file}; is it the right file?`,
        { file },
      );
    }
    return { text: readFileSync(file, "utf8"), file };
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `expected a readable configuration file, got ${describeError(error)}; check the path after --config`,
      { file },
      { cause: error },
    );
  }
};

/** The pure part of `loadConfig`. */
export const resolveConfig = (
  source: ConfigText | undefined,
  environment: Readonly<Record<string, string | undefined>> = {},
  overrides: readonly ConfigOverride[] = [],
): EsperConfig => {
  const document = source ? parseYaml(source) : { tree: {}, placeOf: () => "" };
  const fromEnvironment = readEnvironment(environment);
  const layers = [...fromEnvironment.overrides, ...overrides];
  const tree = layers.reduce<Tree>((base, override) => withOverride(base, override), document.tree);
  const problems = [...fromEnvironment.problems];
  const parsed = EsperConfig.safeParse(tree);
  if (!parsed.success) {
    const found = parsed.error.issues.flatMap((issue) => describeIssue(issue, tree));
    problems.push(...found.map((problem) => `${problem.text}${originOf(problem, layers, document.placeOf)}`));
  } else {
    problems.push(...checkNames(parsed.data).map((problem) => `${problem.text}${originOf(problem, layers, document.placeOf)}`));
  }
  if (problems.length === 0 && parsed.success) return parsed.data;
  const where = source ? ` in ${source.file}` : "";
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  const next =
    "hosts" in document.tree
      ? "this is an experiment: run it with `esper experiment --config FILE`"
      : 'correct each; every key is described in README.md, "Configuration"';
  throw new InputError(
    `expected a valid configuration, got ${count}${where}:\n${problems.map((line) => `  - ${line}`).join("\n")}\n${next}`,
    source ? { file: source.file } : {},
  );
};

interface ParsedYaml {
  readonly tree: Tree;
  /** ` (line 3)` for a path that the file sets. */
  placeOf(path: readonly string[]): string;
}

const parseYaml = ({ text, file }: ConfigText): ParsedYaml => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const broken = document.errors[0];
  if (broken) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw new InputError(
      `expected well-formed YAML, got ${describeYamlFault(broken)} at ${file} line ${line}, column ${col}; correct that line`,
      { file },
    );
  }
  let tree: unknown;
  try {
    tree = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new InputError(`expected plain YAML, got ${describeYamlFault(error)} in ${file}; write the values out`, { file });
  }
  if (tree === null || tree === undefined) tree = {};
  if (!isTree(tree)) {
    throw new InputError(
      `expected "key: value" lines at the top of ${file}, found ${describeCame(tree)}; see configs/quickstart.yaml`,
      { file },
    );
  }
  const placeOf = (path: readonly string[]): string => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length).map(indexOrName), true);
      const range = isScalar(node) || hasRange(node) ? node.range : undefined;
      if (range) return ` (line ${lines.linePos(range[0]).line})`;
    }
    return "";
  };
  return { tree, placeOf };
};

const indexOrName = (part: string): string | number => (/^\d+$/.test(part) ? Number(part) : part);

const hasRange = (node: unknown): node is { range: [number, number, number] | null } =>
  typeof node === "object" && node !== null && "range" in node;

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);

/** `ESPER_OPTIMIZATION__` of a name that is no key of it: what follows may be a secret in the wrong place. */
const knownGroup = (name: string, known: readonly string[]): string => {
  const parts = name.split("__");
  for (let length = parts.length - 1; length > 0; length--) {
    const group = `${parts.slice(0, length).join("__")}__`;
    if (known.some((one) => one.startsWith(group))) return group;
  }
  return environmentPrefix;
};

/** Reads `ESPER_…` variables: `__` stands between levels, values are YAML scalars or flow lists. */
const readEnvironment = (
  environment: Readonly<Record<string, string | undefined>>,
): { overrides: ConfigOverride[]; problems: string[] } => {
  const byName = new Map(configKeys.keys.filter((key) => !key.group).map((key) => [environmentName(key.path), key.path]));
  const overrides: ConfigOverride[] = [];
  const problems: string[] = [];
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(environmentPrefix) || text === undefined) continue;
    const path = byName.get(name);
    if (!path) {
      const meant = didYouMean(name, [...byName.keys()]);
      const hint =
        meant === undefined ? "the names follow the keys, for example ESPER_OPTIMIZATION__EPOCHS" : `did you mean ${meant}?`;
      const group = knownGroup(name, [...byName.keys()]);
      problems.push(`${group}…: unknown variable${ofCharacters(name)} in the environment, ${hint}`);
      continue;
    }
    try {
      overrides.push({ path, value: parse(text, { logLevel: "error", prettyErrors: false }), origin: name });
    } catch (error) {
      problems.push(`${name}: expected a YAML value, found ${describeText(text)} with ${describeYamlFault(error)}`);
    }
  }
  // A union's choice goes first, so that the keys that depend on it find it made.
  const choosesUnion = (path: readonly string[]): boolean =>
    configKeys.unions.some((union) => [...union.path, union.discriminator].join(".") === path.join("."));
  return { overrides: overrides.sort((a, b) => Number(choosesUnion(b.path)) - Number(choosesUnion(a.path))), problems };
};

/** Sets one value. Choosing another member of a union drops the keys of the one before; setting a key of a union that is absent takes its default member. */
const withOverride = (base: Tree, { path, value }: ConfigOverride, at: readonly string[] = []): Tree => {
  const [name, ...rest] = path;
  if (name === undefined) return base;
  const union = configKeys.unions.find((one) => one.path.join(".") === at.join("."));
  const chosen = union ? (base[union.discriminator] ?? union.fallback) : undefined;
  if (union && rest.length === 0 && name === union.discriminator && value !== chosen) return { [name]: value };
  const start: Tree =
    union && chosen !== undefined && base[union.discriminator] === undefined ? { ...base, [union.discriminator]: chosen } : base;
  if (rest.length === 0) return { ...start, [name]: value };
  const inner = start[name];
  return { ...start, [name]: withOverride(isTree(inner) ? inner : {}, { path: rest, value, origin: "" }, [...at, name]) };
};

const originOf = (problem: Problem, layers: readonly ConfigOverride[], placeOf: (path: readonly string[]) => string): string => {
  const text = problem.path.join(".");
  const layer = layers.findLast((one) => text === one.path.join(".") || text.startsWith(`${one.path.join(".")}.`));
  return layer ? ` (from ${layer.origin})` : placeOf(problem.path);
};

/** How many names an error lists. */
const listedMax = 8;

/** Checks what a schema cannot: that the damaged layer is one of the host's. What is in a file is known only when it is imported. */
const checkNames = ({ damage, model }: EsperConfig): Problem[] => {
  const layers = hiddenLayersOf(model);
  if (damage === undefined || layers === undefined) return [];
  const { site, live } = damage;
  const meant = site === "random" ? layers : layersAt(layers, site);
  if (meant.length === 0) {
    const names = layers.map(({ name }) => name);
    const closest = didYouMean(site, [...names, ...prefixesOf(layers), "random"]);
    const hint = closest === undefined ? "" : `, did you mean ${closest}?`;
    const listed = names.length > listedMax ? `${names.slice(0, listedMax).join(", ")}, …` : names.join(", ");
    const text = `damage.site: expected random or a hidden layer (${listed}), found "${site}"${hint}`;
    return [{ path: ["damage", "site"], place: "damage.site", text }];
  }
  const width = Math.max(...meant.map((layer) => layer.width));
  if (live < width) return [];
  const text = `damage.live: expected less than the layer's ${width} units, found ${live}`;
  return [{ path: ["damage", "live"], place: "damage.live", text }];
};
