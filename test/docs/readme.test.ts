/** Everything the README shows is typed here as it stands there, in the order in which it stands there. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Report } from "../../src/contracts/report.ts";
import { importModel } from "../../src/interchange/import-model.ts";
import { expectClose, logitsOf, runOnnx } from "../interchange/support.ts";
import { children, commands, type Ended, ownTable, ownText, root, run, snippets, spiral, start } from "./support.ts";

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
  const reportIn = async (file: string): Promise<Report> => Report.parse(JSON.parse(await readFile(join(folder, file), "utf8")));
  /** The README's RUN and EPOCH stand for those of a run that kept what it grew. */
  const withRun = async (line: string): Promise<string> => {
    const arms = [await reportIn("report.json"), await reportIn("quickstart.json")].flatMap((report) => report.arms);
    const kept = arms.find(({ seeds }) => seeds.some(({ outcome }) => outcome === "FOSSILIZED"));
    const [epoch, runId] = kept!.checkpoint!.split("/").toReversed();
    return line.replace("RUN", runId!).replace("EPOCH", epoch!);
  };
  const typeForRun = async (line: string): Promise<Ended> => type(line, await withRun(line));

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "esper-readme-"));
    for (const name of ["configs", "examples"]) await symlink(join(root, name), join(folder, name));
    await writeFile(join(folder, "table.csv"), ownTable(800));
    await writeFile(join(folder, "text.txt"), ownText(2500));
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
    const report = await reportIn("quickstart.json");
    expect(report.arms.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      "no-growth done",
      "grown done",
      "healthy done",
    ]);
    const [alone, grown, healthy] = report.arms.map(({ testAccuracy }) => testAccuracy!);
    expect(report.arms[1]!.damageFound).toBe(true);
    expect(grown! - alone!).toBeGreaterThan(0.8 * (healthy! - alone!));
    for (const shown of ["severity", "Tamiyo germinate", "forecast", "FINE_TUNING → FOSSILIZED", "event log"])
      expect(output).toContain(shown);
  }, 240_000);

  it("npm test sets up and runs every test, npm run bench:growth every figure", async () => {
    const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
    expect(scripts["test"]).toBe("node scripts/setup.mjs --dev && vitest run");
    expect(scripts["bench:growth"]).toBe("node scripts/setup.mjs --dev && node --import tsx bench/growth.ts");
    tried.add("npm test");
  });

  it("the library's snippets: a model grows and is exported; adapters go to a file and onto their base again", async () => {
    const own = join(folder, "own");
    await mkdir(join(own, "node_modules"), { recursive: true });
    await symlink(root, join(own, "node_modules", "esper"));
    const [grows, adapts, ...others] = snippets;
    expect(others).toEqual([]);
    const data = (arms: number): string => `const { x, y } = ${JSON.stringify(spiral(1200, arms))};\n`;
    await writeFile(join(own, "grow.mjs"), `${data(5)}${grows}\nconsole.log(JSON.stringify({ grown, validation }));`);
    const first = await run("node grow.mjs", own);
    expect(first.code, first.output).toBe(0);
    const { grown, validation } = JSON.parse(first.output) as { grown: string[]; validation: { accuracy: number } };
    expect(grown).toEqual(["seed:h2"]);
    expect(validation.accuracy).toBeGreaterThan(0.9);

    const trained = `import { wrap } from "esper";
      const trained = await wrap({ name: "mlp", widths: [16, 16] });
      await trained.fit({ x: x.map(([a, b]) => [b, -a]), y }, { epochs: 10, growth: false });
      await trained.export("model.onnx");
      const logits = (await trained.predict(x)).data;`;
    const told = `const difference = (a, b) => Math.max(...a.map((value, i) => Math.abs(value - b[i])));
      const [adapted, again] = [(await model.predict(x)).data, (await base.predict(x)).data];
      const bare = (await base.withoutAdapters().predict(x)).data;
      console.log(JSON.stringify({ adapters: model.adapters().length, again: difference(adapted, again), bare: difference(logits, bare) }));`;
    await writeFile(join(own, "adapt.mjs"), `${data(5)}${trained}\n${adapts}\n${told}`);
    const second = await run("node adapt.mjs", own);
    expect(second.code, second.output).toBe(0);
    expect(JSON.parse(second.output)).toEqual({ adapters: expect.any(Number), again: 0, bare: 0 });
    expect((JSON.parse(second.output) as { adapters: number }).adapters).toBeGreaterThan(0);
  }, 60_000);

  it("the example grows a repair, and onnxruntime gives the exported file the logits that our own arithmetic gives it", async () => {
    const line = "node examples/grow-your-own.mjs";
    const { output } = await type(line, `${line} ${folder}`);
    expect(output).toMatch(/FINE_TUNING → FOSSILIZED/);
    expect(output).toContain("kept: seed:h2");
    expect(Number(/held-out accuracy: ([\d.]+)/.exec(output)![1])).toBeGreaterThan(0.95);
    const path = join(folder, "grown.onnx");
    const { host, parameters, lineage } = await importModel(path);
    expect(lineage!.seeds.map(({ seedId }) => seedId)).toEqual(["seed:h2"]);
    const { x } = spiral(70, 7);
    const batch = { dtype: "float32" as const, shape: [70, 2], data: Float32Array.from(x.flat()) };
    expectClose(await runOnnx(await readFile(path), batch), await logitsOf(host, parameters, batch));
  }, 60_000);

  it("the tour: doctor, train, report", async () => {
    expect((await type("esper doctor")).output).toContain("engine native");
    await type("esper train --model mlp --dataset mnist --epochs 8 --damage h2:dead --report report.json");
    const { damage, arms } = await reportIn("report.json");
    expect(damage).toMatchObject({ sites: ["h2"], kind: "dead" });
    expect(arms[0]!.damageFound).toBe(true);
  }, 120_000);

  it("the tour: models and data of one's own", async () => {
    expect((await typeForRun("esper export --run RUN --out model.onnx")).output).toContain("1 seed kept");
    expect((await typeForRun("esper export --run RUN --merged --out merged.onnx")).output).toMatch(/merged|stays beside/);
    await typeForRun("esper export --checkpoint .esper/checkpoints/RUN/EPOCH --out web-model");
    expect((await readdir(join(folder, "web-model"))).toSorted()).toEqual(["model.json", "weights.bin"]);
    expect((await type("esper train --dataset table.csv --task regression --epochs 20")).output).toMatch(/test R² 0\.[89]/);
    expect((await type("esper train --dataset text.txt --epochs 2")).output).toContain("transformer on text");
    const imported = await type("esper train --model model.onnx --dataset mnist --epochs 1");
    expect(Number(/test accuracy ([\d.]+) %/.exec(imported.output)![1])).toBeGreaterThan(90);
  }, 120_000);

  it("the tour: adapters", async () => {
    expect((await typeForRun("esper adapters list --run RUN")).output).toMatch(/seed:h\d +\d+ parameters/);
    await typeForRun("esper adapters save --run RUN --out adapters.safetensors");
    await typeForRun("esper export --run RUN --base --out base.safetensors");
    await type("esper adapters load --base base.safetensors --file adapters.safetensors --out adapted.onnx");
    const [adapted, whole] = [await importModel(join(folder, "adapted.onnx")), await importModel(join(folder, "model.onnx"))];
    expect(adapted.parameters).toEqual(whole.parameters);
    const line = "esper train --config configs/adapt.yaml --model base.safetensors --dataset fashion-mnist";
    const { output } = await type(line);
    expect(output).toContain("FINE_TUNING → FOSSILIZED");
  }, 120_000);

  const untilItAnswers = async (): Promise<void> => {
    for (let tries = 0; ; tries += 1) {
      const { code } = await run("esper ctl status --json", folder);
      if (code === 0) return;
      expect(tries, "the node never answered").toBeLessThan(120);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };

  it("the tour: a second terminal steers a running node", async () => {
    const node = start("esper train --model mlp --dataset mnist --epochs 500 --arms grown", folder);
    await untilItAnswers();
    await type("esper status");
    const status = JSON.parse((await type("esper ctl status --json")).output) as { kind: string };
    expect(status.kind).toBe("status");
    await type("esper ctl pause");
    await type("esper ctl resume");
    await type("esper ctl germinate --seed seed:h2 --to h3");
    // Each is legal in one state of the seed and refused in the others, and the germination waits for its window.
    await type("esper ctl rollback --seed seed:h2", undefined, [0, 7]);
    await type("esper ctl release --seed seed:h2", undefined, [0, 7]);
    await type("esper ctl cull --seed seed:h2", undefined, [0, 7]);
    expect((await type("esper ctl resolve --seed seed:h2 --verdict keep", undefined, [7])).output).toContain("refused");
    // A seed in trial cannot be pinned; this one never was in one.
    expect((await type("esper ctl pin --target h1")).output).toContain("accepted");
    expect((await type("esper ctl budget")).output).toContain("parameters");
    expect((await type("esper performance")).output).toMatch(/closed/i);
    expect((await type("esper services")).output).toContain("tezzeret");
    expect((await type("esper dlq list")).output).toMatch(/no dead letters/);
    await type("esper ctl stop");
    expect((await node.ended).code).toBe(0);
    expect((await type("esper artifacts list")).output).toContain("checkpoint");
    await type("esper artifacts verify");
    expect((await type("esper ledger verify")).output).toContain("intact");
    expect((await type("esper ledger show --kind command")).output).toContain("pin");
    await type("esper ledger export --out ledger.jsonl");
    expect(await readFile(join(folder, "ledger.jsonl"), "utf8")).toContain('"kind":"command"');
  }, 120_000);

  it("the tour: resume from a checkpoint", async () => {
    const checkpoints = join(folder, ".esper", "checkpoints");
    const [runId] = (await readdir(checkpoints)).filter((name) => name.endsWith("-no-growth"));
    const epochs = (await readdir(join(checkpoints, runId!))).map(Number).toSorted((a, b) => a - b);
    const line = "esper train --resume .esper/checkpoints/RUN/EPOCH";
    await type(line, line.replace("RUN", runId!).replace("EPOCH", String(epochs[0])));
  }, 120_000);

  it("the tour: an experiment and its report", async () => {
    const { output } = await type("esper experiment --config configs/experiment-tiny.yaml --out tiny");
    expect(output).toContain("tiny: 8 of 8 jobs");
    expect(await readFile(join(folder, "tiny", "report.html"), "utf8")).toContain("<svg");
    const again = await type("esper experiment --config configs/experiment-tiny.yaml --out tiny --resume");
    expect(again.output).toContain("8 of them finished before");
  }, 120_000);

  it("the tour: machines", async () => {
    expect((await type("esper machines seed")).output).toContain("FOSSILIZED");
    await type("esper machines seed --format svg --theme dark --out seed.svg");
    expect(await readFile(join(folder, "seed.svg"), "utf8")).toContain("FOSSILIZED");
    expect((await type("esper machines run --format mermaid")).output).toContain("stateDiagram-v2");
    expect((await type("esper machines topology")).output).toContain("kasmina");
  });

  it("the page: a node serves it, a recorded run opens without one, and a token can be had", async () => {
    await type("esper start --config configs/debug.yaml --open");
    tried.add("esper visualize --open");
    const page = start("esper visualize --open", folder);
    const url = await page.said(/http:\/\/127\.0\.0\.1:\d+/);
    const answer = await fetch(new URL("/", url));
    expect([answer.status, answer.headers.get("content-security-policy")]).toEqual([
      200,
      expect.stringContaining("default-src 'self'"),
    ]);
    expect(await answer.text()).toContain("<script");
    page.child.kill("SIGINT");
    expect((await page.ended).code).toBe(0);
    expect((await type("esper token --role operator")).output).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/m);
  }, 240_000);

  it("a node that stays: tables, policy, a further run, its end", async () => {
    const line = "esper start --config configs/quickstart.yaml --stay";
    tried.add(line);
    const node = start(line, folder);
    await untilItAnswers();
    expect((await type("esper seeds")).output).toContain("h2");
    await type("esper layers");
    await type("esper decisions --since 1");
    await type("esper kernels");
    await type("esper escalations");
    expect((await type("esper ctl policy")).output).toMatch(/[0-9a-f]{12}/);
    expect((await type("esper ctl start --config configs/debug.yaml")).code).toBe(0);
    await type("esper ctl shutdown");
    expect((await node.ended).code).toBe(0);
  }, 240_000);

  it("the HTTP API, line by line", async () => {
    const node = start("esper train --model mlp --dataset mnist --epochs 500 --arms grown", folder);
    await untilItAnswers();
    const { http } = JSON.parse(await readFile(join(folder, ".esper", "operator.json"), "utf8")) as { http: string };
    const token = /^[\w-]+\.[\w-]+\.[\w-]+$/m.exec((await type("esper token --role operator --for 8h")).output)![0];
    const asked = commands.filter((command) => command.startsWith("curl "));
    expect(asked.length).toBeGreaterThan(8);
    const answers = new Map<string, string>();
    for (const line of asked) {
      const { output } = await type(line, line.replace("TOKEN", token).replace("http://127.0.0.1:8770", http));
      answers.set(line.split("8770")[1]!, output);
    }
    expect(JSON.parse(answers.get("/status")!)).toMatchObject({ kind: "status" });
    expect(JSON.parse(answers.get("/seeds/h2/germinate")!)).toMatchObject({ kind: "accepted" });
    expect(answers.get("/metrics")).toContain("# TYPE");
    await run("esper ctl stop", folder);
    expect((await node.ended).code).toBe(0);
    await type("esper openapi --out openapi.json");
    expect(JSON.parse(await readFile(join(folder, "openapi.json"), "utf8"))).toMatchObject({
      openapi: expect.stringMatching(/^3\.1/),
    });
  }, 240_000);

  it("leaves no command of the README untried", () => {
    expect(commands.filter((line) => !tried.has(line))).toEqual([]);
  });
});
