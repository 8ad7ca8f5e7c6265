/**
 * The benches of speed in one run (those of growth: growth.ts): `npm run bench [-- NAME …] [-- --quick] [-- --write]`. `--write` puts the results into bench/RESULTS.md.
 * Nothing else should run on the machine meanwhile.
 */
import { parseArgs } from "node:util";
import { artifactsTable, benchArtifacts } from "./artifacts.ts";
import { benchBus, busTable } from "./bus.ts";
import { benchCommand, commandTable } from "./command.ts";
import { benchCommandLoad, loadTable, quickLoad } from "./command-load.ts";
import { benchDecision, decisionTable } from "./decision.ts";
import { benchDormant, dormantTable } from "./dormant.ts";
import { benchForge, forgeTable } from "./forge.ts";
import { benchFuzz, fuzzTable, quickFuzz } from "./fuzz.ts";
import { benchHttp, httpTable } from "./http.ts";
import { benchLedger, ledgerTable } from "./ledger.ts";
import { benchPage, pageTable } from "./page.ts";
import { readPart, withSections, writePart } from "./results-file.ts";
import { machineLine } from "./support.ts";
import { benchTrainStep, trainStepTable } from "./train-step.ts";
import { benchView, viewTable } from "./view.ts";

interface Bench {
  readonly title: string;
  readonly target: string;
  run(quick: boolean): Promise<string>;
}

const benches: Readonly<Record<string, Bench>> = {
  "train-step": {
    title: "Training step: 784-128-128-10, batch 128, Adam",
    target: "native ≥ 10 × tensorflow.js on wasm as shipped",
    run: async (quick) => `\`\`\`\n${trainStepTable(await benchTrainStep({ rounds: quick ? 2 : 8, stepsPerRound: 25 }))}\n\`\`\``,
  },
  dormant: {
    title: "Dormant seeds: a host step with N seeds asleep, boundary included, against the host alone",
    target: "overhead < 0.5 %",
    run: async (quick) => dormantTable(await benchDormant({ rounds: quick ? 4 : 40 })),
  },
  forge: {
    title: "Training while Tezzeret's lane compiles kernel after kernel",
    target: "median within 5 %",
    run: async (quick) => forgeTable(await benchForge({ rounds: quick ? 3 : 30 })),
  },
  decision: {
    title: "Tamiyo's decision: telemetry in, command out, without the network",
    target: "p99 < 10 ms, goal 1 ms",
    run: async (quick) => decisionTable(benchDecision({ decisions: quick ? 500 : 5_000 })),
  },
  command: {
    title: "A command over NATS while training runs",
    target: "p99 < 10 ms",
    run: async (quick) => commandTable(await benchCommand({ commands: quick ? 100 : 1_000 })),
  },
  "command-load": {
    title: "A step of training while commands come, beside the same run left alone",
    target: "within 5 %",
    run: async (quick) => loadTable(await benchCommandLoad(quick ? quickLoad : {})),
  },
  http: {
    title: "Commands over HTTP beside NATS: one Gate, one disk, 64 askers at once",
    target: "≥ 10,000/s, p99 < 20 ms",
    run: async (quick) => httpTable(await benchHttp(quick ? { commands: 500 } : {})),
  },
  fuzz: {
    title: "What makes no sense, sent to a whole node over NATS and HTTP",
    target: "≥ 100,000: 0 crashes, 0 untyped answers, 0 changes, heap flat",
    run: async (quick) => fuzzTable(await benchFuzz(quick ? quickFuzz : {})),
  },
  ledger: {
    title: "The ledger: told in the transaction of the command, checked and replayed",
    target: "–",
    run: async (quick) => ledgerTable(await benchLedger(quick ? { commands: 100, rounds: 3, entries: 2_000 } : {})),
  },
  artifacts: {
    title: "Signed artifacts: verified when they are loaded, named by a signed index",
    target: "–",
    run: async (quick) => artifactsTable(await benchArtifacts(quick ? { rounds: 3, calls: 10, names: 100 } : {})),
  },
  bus: {
    title: "The bus alone",
    target: "–",
    run: async (quick) => busTable(await benchBus(quick ? { requests: 200, publishes: 200 } : {})),
  },
  view: {
    title:
      "The page's wire: 50,000 updates a second over 10,000 seeds, and opening a recorded run of 1,000 windows × 1,000 seeds",
    target: "event to page p99 < 150 ms; a run opens in < 2 s",
    run: async (quick) => viewTable(await benchView(quick ? { seconds: 2, windows: 100 } : {})),
  },
  page: {
    title: "The page in a real browser: headless Chromium, which draws in software on the cores that train and serve",
    target: "see the last column",
    run: async (quick) => pageTable(await benchPage({ quick })),
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, write: { type: "boolean", default: false } },
});
const chosen = positionals.length === 0 ? Object.keys(benches) : positionals;
const sections: string[] = [];
for (const name of chosen) {
  const bench = benches[name];
  if (bench === undefined) throw new Error(`expected one of ${Object.keys(benches).join(", ")}, got ${name}`);
  console.error(`— ${name}`);
  const section = `## ${bench.title}\n\nTarget: ${bench.target}.\n\n${await bench.run(values.quick)}\n`;
  console.log(section);
  sections.push(section);
}
if (values.write) {
  const head = `Written by \`npm run bench -- --write\` on ${machineLine()}. Times are medians; compare ratios, not milliseconds.`;
  const before = readPart("speed");
  // Another machine's figures are nothing to stand beside these.
  const kept = before.startsWith(head) ? before : head;
  writePart("speed", withSections(kept, sections));
}
