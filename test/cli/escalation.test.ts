/** A jury that is split asks the operator, who answers from another terminal. Runs the built command line. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Report } from "../../src/contracts/report.ts";

const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const children = new Set<ChildProcess>();
let folder = "";

/** Small enough for a second, and a judge of cost that no gain satisfies: three judges keep, one culls. */
const config = `
randomSeed: 3
arms: [grown]
model: { name: mlp, widths: [32, 32] }
dataset: { name: mnist, batchSize: 64, validationSamples: 1000, trainSamplesMax: 8000 }
damage: { site: h2, kind: dead, live: 2 }
optimization: { epochs: 200, epochSteps: 25 }
morphogenetic:
  signal: { samples: 256, warmupSteps: 25, everyEpochs: 2 }
  training: { steps: 25 }
  grafting: { steps: 10 }
  stabilization: { slopeMax: 1 }
  fineTuning: { steps: 20 }
  jury: { keepMin: 1, costGainMin: 100, escalationEpochsMax: 1000 }
`;

const esper = (...args: string[]): { ended: Promise<{ code: number; output: string }>; output: () => string } => {
  const child = spawn(process.execPath, [main, ...args], { cwd: folder, env: { ...process.env, NO_COLOR: "1" } });
  children.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<{ code: number; output: string }>((resolve) =>
    child.on("exit", (code) => {
      children.delete(child);
      resolve({ code: code ?? -1, output });
    }),
  );
  return { ended, output: () => output };
};

/** Looks again until it is so. */
const until = async (what: string, isSo: () => boolean): Promise<void> => {
  for (let tries = 0; !isSo(); tries += 1) {
    expect(tries, what).toBeLessThan(600);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "esper-escalation-"));
  writeFileSync(join(folder, "jury.yaml"), config);
});
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

test("esper ctl resolve answers an open escalation, and only that", async () => {
  const node = esper("start", "--config", "jury.yaml", "--report", "report.json");
  await until("the jury was never split", () => node.output().includes("answer with `esper ctl resolve --seed seed:h2"));
  const other = await esper("ctl", "resolve", "--seed", "h1", "--verdict", "keep").ended;
  expect([other.code, other.output]).toEqual([7, expect.stringContaining("RESOLVE is legal while an escalation is open")]);
  const answered = await esper("ctl", "resolve", "--seed", "h2", "--verdict", "keep", "--reason", "seen it", "--json").ended;
  expect([answered.code, JSON.parse(answered.output)]).toEqual([0, expect.objectContaining({ kind: "accepted" })]);
  await until("the escalation was never settled", () => node.output().includes("settled by operator: keep"));
  expect((await esper("ctl", "stop").ended).code).toBe(0);
  expect((await node.ended).code).toBe(0);
  const { arms } = Report.parse(JSON.parse(readFileSync(join(folder, "report.json"), "utf8")));
  const seed = arms[0]!.seeds.find(({ id }) => id === "seed:h2")!;
  expect(seed).toMatchObject({ outcome: "FOSSILIZED", escalation: { settledBy: "operator" } });
  expect(seed.judgements!.map(({ judge, vote }) => `${judge} ${vote}`)).toContain("cost cull");
}, 120_000);
