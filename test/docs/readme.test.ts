/** Everything the README shows is typed here as it stands there, in the order in which it stands there. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Report } from "../../src/contracts/report.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = await readFile(join(root, "README.md"), "utf8");
const commands = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.trim().split("\n"));

interface Ended {
  readonly code: number;
  readonly output: string;
}

const children = new Set<ChildProcess>();

/** Runs the built command line in `folder`; `esper` stands for it, as the README says. */
const start = (line: string, folder: string): { child: ChildProcess; ended: Promise<Ended> } => {
  const [name, ...args] = line.split(" ");
  if (name !== "esper") throw new Error(`expected a line that begins with esper, got ${line}`);
  const child = spawn(process.execPath, [join(root, "dist/main.js"), ...args], {
    cwd: folder,
    env: { ...process.env, NO_COLOR: "1" },
  });
  children.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<Ended>((resolve) =>
    child.on("exit", (code) => {
      children.delete(child);
      resolve({ code: code ?? -1, output });
    }),
  );
  return { child, ended };
};
const run = (line: string, folder: string): Promise<Ended> => start(line, folder).ended;

describe("README", () => {
  let folder: string;
  const tried = new Set<string>();
  const type = async (line: string, actual = line, allowed: readonly number[] = [0]): Promise<Ended> => {
    expect(commands).toContain(line);
    tried.add(line);
    const ended = await run(actual, folder);
    expect(allowed, `${line}\n${ended.output}`).toContain(ended.code);
    return ended;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "esper-readme-"));
    await symlink(join(root, "configs"), join(folder, "configs"));
  });
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  it("npm start sets up, then runs the quickstart to a report in which the damaged layer was found and repaired", async () => {
    const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
    expect(scripts["start"]).toBe("node scripts/setup.mjs && node dist/main.js start --config configs/quickstart.yaml");
    tried.add("npm start");
    // What runs this test has run the set-up; the rest of the line is typed here.
    const { code, output } = await run("esper start --config configs/quickstart.yaml --report quickstart.json", folder);
    expect(code, output).toBe(0);
    const report = Report.parse(JSON.parse(await readFile(join(folder, "quickstart.json"), "utf8")));
    expect(report.arms.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      "no-growth done",
      "grown done",
      "healthy done",
    ]);
    const [alone, grown, healthy] = report.arms.map(({ testAccuracy }) => testAccuracy!);
    expect(report.arms[1]!.damageFound).toBe(true);
    expect(grown! - alone!).toBeGreaterThan(0.8 * (healthy! - alone!));
    for (const shown of ["gap", "Tamiyo germinate", "forecast", "FINE_TUNING → FOSSILIZED", "event log"])
      expect(output).toContain(shown);
  }, 240_000);

  it("npm test sets up and runs every test", async () => {
    const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
    expect(scripts["test"]).toBe("node scripts/setup.mjs --dev && vitest run");
    tried.add("npm test");
  });

  it("the tour: doctor, train, report", async () => {
    expect((await type("esper doctor")).output).toContain("engine native");
    await type("esper train --model mlp --dataset mnist --epochs 2 --damage h2:dead --report report.json");
    const report = Report.parse(JSON.parse(await readFile(join(folder, "report.json"), "utf8")));
    expect(report.damage).toMatchObject({ sites: ["h2"], kind: "dead" });
  }, 120_000);

  it("the tour: a second terminal steers a running node", async () => {
    const node = start("esper train --model mlp --dataset mnist --epochs 500 --arms grown", folder);
    for (let tries = 0; ; tries += 1) {
      const { code } = await run("esper ctl status --json", folder);
      if (code === 0) break;
      expect(tries, "the node never answered").toBeLessThan(60);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await type("esper status");
    const status = JSON.parse((await type("esper ctl status --json")).output) as { kind: string };
    expect(status.kind).toBe("status");
    await type("esper ctl pause");
    await type("esper ctl resume");
    await type("esper ctl germinate --seed seed:h2 --to h3");
    // Refused while the germination waits for its window, accepted after it.
    await type("esper ctl cull --seed seed:h2", undefined, [0, 7]);
    await type("esper ctl stop");
    expect((await node.ended).code).toBe(0);
  }, 120_000);

  it("the tour: resume from a checkpoint", async () => {
    const checkpoints = join(folder, ".esper", "checkpoints");
    const [runId] = (await readdir(checkpoints)).filter((name) => name.endsWith("-no-growth"));
    const epochs = (await readdir(join(checkpoints, runId!))).map(Number).toSorted((a, b) => a - b);
    const line = "esper train --resume .esper/checkpoints/RUN/EPOCH";
    await type(line, line.replace("RUN", runId!).replace("EPOCH", String(epochs[0])));
  }, 120_000);

  it("the tour: machines", async () => {
    expect((await type("esper machines seed")).output).toContain("FOSSILIZED");
    const { output } = await type("esper machines --format json");
    expect(Object.keys(JSON.parse(output) as object).length).toBeGreaterThan(0);
  });

  it("leaves no command of the README untried", () => {
    expect(commands.filter((line) => !tried.has(line))).toEqual([]);
  });
});
