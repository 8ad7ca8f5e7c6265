/** What was grown, apart from its base: listed, saved, loaded, switched off; through the library and through the command line. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { runCommandLine } from "../../src/cli/program.ts";
import { sessionSpecOf } from "../../src/config/session-spec.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { mlp } from "../../src/graph/hosts/index.ts";
import { importModel } from "../../src/interchange/import-model.ts";
import { lineageOf } from "../../src/interchange/lineage.ts";
import { exportSafetensors } from "../../src/interchange/safetensors.ts";
import { settleSeeds } from "../../src/library/adapters.ts";
import { datasetOf } from "../../src/library/user-data.ts";
import { wrap } from "../../src/library/wrap.ts";
import { openArtifacts } from "../../src/node/artifacts.ts";
import { openNodeLedger } from "../../src/node/ledger.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { openDatabase } from "../../src/store/database.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { migrations } from "../../src/store/migrations.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { Session } from "../../src/workers/session/session.ts";
import { createTestContext } from "../cli/context.ts";
import { grown } from "../interchange/hosts.ts";
import { draw, floats, logitsOf, temporaryFolder, trainedParameters } from "../interchange/support.ts";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const base = mlp({ name: "base", inputShape: [6], widths: [8, 8, 8], classes: 3 });
const twice = grown(grown(base, "h1", "h2", "seed:h1", "dense"), "h2", "h3", "seed:h2", "low-rank");
const parameters = trainedParameters(twice, "adapters");
const baseParameters = Object.fromEntries(base.graph.parameters.map(({ name }) => [name, parameters[name]!]));
const x = floats([5, 6], "adapted");

const write = (name: string, host: typeof base, tensors: typeof parameters): string => {
  const path = join(folder.path, `${name}.safetensors`);
  writeFileSync(path, exportSafetensors({ host, parameters: tensors, lineage: lineageOf(host, tensors) }));
  return path;
};

describe("a grown model", () => {
  test("D1: lists its adapters, and without them it is its base, bit for bit", async () => {
    const model = await wrap(write("grown", twice, parameters));
    expect(model.adapters().map(({ seedId, parameters: count }) => [seedId, count])).toEqual([
      ["seed:h1", 6 * 4 + 4 + 4 * 8 + 8],
      ["seed:h2", expect.any(Number)],
    ]);
    const bare = model.withoutAdapters();
    expect(bare.host).toEqual(base);
    expect(bare.adapters()).toEqual([]);
    const wanted = await logitsOf(base, baseParameters, x);
    expect((await bare.predict(x)).data).toEqual(wanted);
    expect((await model.predict(x)).data).not.toEqual(wanted);
    expect(model.summary()).toMatch(/seed:h1 +grown +h1 → h2 +\d+\n *seed:h2 +grown +h2 → h3 +\d+/);
  });

  test("D2: adapters go to a file and onto their base again, and onto no other", async () => {
    const model = await wrap(write("grown", twice, parameters));
    const path = join(folder.path, "adapters.safetensors");
    await model.saveAdapters(path);
    const bare = await wrap(write("base", base, baseParameters));
    await bare.loadAdapters(path);
    expect((await bare.predict(x)).data).toEqual((await model.predict(x)).data);

    const others = { ...baseParameters, "h1/bias": floats([8], "another bias") };
    const other = await wrap(write("other", base, others));
    await expect(other.loadAdapters(path)).rejects.toThrow(/expected the base [0-9a-f]{12}.*other weights/);
    await expect(bare.withoutAdapters().saveAdapters(path)).rejects.toThrow(/expected a model that has grown/);
    await expect(bare.loadAdapters(join(folder.path, "base.safetensors"))).rejects.toThrow(/expected adapters that Esper saved/);
    await expect(importModel(path)).rejects.toThrow(/expected a model that Esper exported/);
  });

  test("its seeds get names of their own before it may grow at the same sites again", async () => {
    const settled = settleSeeds({ host: twice, parameters });
    expect([...new Set(settled.host.graph.parameters.map(({ cohort }) => cohort))]).toEqual(["host", "seed:h1-g1", "seed:h2-g1"]);
    expect(await logitsOf(settled.host, settled.parameters, x)).toEqual(await logitsOf(twice, parameters, x));
    const again = grown(settled.host, "h1", "h2", "seed:h1", "dense");
    const both = settleSeeds({ host: again, parameters: trainedParameters(again, "again") });
    expect([...new Set(both.host.graph.parameters.map(({ cohort }) => cohort))]).toEqual([
      "host",
      "seed:h1-g1",
      "seed:h2-g1",
      "seed:h1-g2",
    ]);
  });
});

describe("a checkpoint on the command line", () => {
  const data = { x: floats([200, 6], "data"), y: Int32Array.from({ length: 200 }, (_, i) => i % 3) };

  const checkpointed = async (): Promise<string> => {
    const dataDir = join(folder.path, "node");
    mkdirSync(dataDir, { recursive: true });
    const config = EsperConfig.parse({ dataset: { batchSize: 16 }, morphogenetic: { signal: { samples: 64 } } });
    const options = { inputShape: [6], channelsLast: false, tokens: false, validationSplit: 0.2, randomSeed: 1, known: {} };
    const dataset = datasetOf(data, undefined, options);
    const engine = await createEngine("native", { threads: 1 });
    const spec = sessionSpecOf({ runId: "r-1", config, dataset, engine: "native", damaged: false });
    const request = { spec, dataset, imported: { host: twice, parameters }, table: new SeedStateTable(0), seedIds: [] };
    const session = await Session.open(request, { engine, nowMs: () => 0, tell: () => undefined });
    const { state: saved, tensors } = session.snapshot();
    await session.dispose();
    const clock = createSystemClock();
    const database = openDatabase({ file: dataPaths(dataDir).database, migrations, busyTimeoutMs: 1_000 });
    const services = { assetBytesMax: 1e6, artifacts: config.services.artifacts };
    const common = { database, fileSystem: nodeFileSystem, clock, log: silentLog };
    const paths = dataPaths(dataDir);
    const { ledger, signer } = await openNodeLedger({ ...common, paths: paths.ledger, headEntriesMax: 9 });
    const opened = { ...common, paths, signer, ledger, toolchain: "test", services, checkpoint: { bytesMax: 1e9 } };
    const { checkpoints, close } = await openArtifacts(opened);
    const counted = { place: null, rollbacksHere: 0, rollbacks: 0 };
    const state = {
      version: 1,
      runId: "r-1",
      arm: "grown",
      epoch: 4,
      elapsedMs: 0,
      rollbacks: counted,
      config,
      session: saved,
      boundary: null,
      transitions: [],
    };
    await checkpoints.save({ runId: "r-1", epoch: 4, tensors, state });
    await close();
    database.close();
    return dataDir;
  };

  test("is exported as every format, and its adapters are listed and written apart", async () => {
    const dataDir = await checkpointed();
    const run = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
      const under = createTestContext(async () => {
        throw new Error("no node is started here");
      });
      const code = await runCommandLine([...args, "--data-dir", dataDir], under.context);
      return { code, out: under.out.text(), err: under.err.text() };
    };
    const wanted = await logitsOf(twice, parameters, x);
    for (const [format, name] of [
      ["onnx", "m.onnx"],
      ["safetensors", "m.safetensors"],
      ["tfjs", "web"],
    ] as const) {
      const out = join(folder.path, name);
      const { code, out: text, err } = await run("export", "--run", "r-1", "--format", format, "--out", out);
      expect([code, err]).toEqual([0, ""]);
      expect(text).toContain("run r-1 after window 4, 2 seeds kept");
      const back = await importModel(out);
      const found = await logitsOf(back.host, back.parameters, x);
      found.forEach((value, i) => {
        expect(value).toBeCloseTo(wanted[i]!, 4);
      });
      if (format !== "tfjs")
        expect(back.lineage).toMatchObject({ runId: "r-1", seeds: [{ seedId: "seed:h1" }, { seedId: "seed:h2" }] });
    }
    const folderOf = join(dataDir, "checkpoints", "r-1", "4");
    const listed = await run("adapters", "list", "--checkpoint", folderOf, "--json");
    expect(JSON.parse(listed.out)).toMatchObject({
      runId: "r-1",
      epoch: 4,
      adapters: [{ seedId: "seed:h1" }, { seedId: "seed:h2" }],
    });
    expect((await run("adapters", "list", "--run", "r-1")).out).toMatch(/seed:h1 {2}68 parameters in 4 tensors/);
    const apart = join(folder.path, "apart.safetensors");
    expect((await run("adapters", "export", "--run", "r-1", "--out", apart)).code).toBe(0);
    const bare = await wrap(write("base", base, baseParameters));
    await bare.loadAdapters(apart);
    expect((await bare.predict(x)).data).toEqual(wanted);

    expect((await run("adapters", "save", "--run", "r-1", "--out", apart)).out).toContain(apart);
    const saved = await run("adapters", "list", "--file", apart, "--json");
    expect(JSON.parse(saved.out)).toMatchObject({ base: JSON.parse(listed.out).base, adapters: JSON.parse(listed.out).adapters });
    const [ownBase, adapted] = [join(folder.path, "own-base.onnx"), join(folder.path, "adapted.safetensors")];
    expect((await run("export", "--run", "r-1", "--base", "--out", ownBase)).out).toContain("the base alone");
    expect((await wrap(ownBase)).adapters()).toEqual([]);
    const loaded = await run("adapters", "load", "--base", ownBase, "--file", apart, "--out", adapted);
    expect([loaded.code, loaded.out]).toEqual([0, expect.stringContaining("own-base.onnx with seed:h1, seed:h2")]);
    expect((await (await wrap(adapted)).predict(x)).data).toEqual(wanted);
    const others = { ...baseParameters, "h1/bias": floats([8], "another bias") };
    const other = write("other", base, others);
    expect(await run("adapters", "load", "--base", other, "--file", apart, "--out", adapted)).toMatchObject({
      code: 2,
      err: expect.stringContaining("found a base with other weights"),
    });
    expect(await run("adapters", "list", "--file", ownBase)).toMatchObject({ code: 4 });
    expect(await run("adapters", "list", "--file", apart, "--run", "r-1")).toMatchObject({
      code: 2,
      err: expect.stringContaining("expected one of --file, --run and --checkpoint"),
    });

    expect(await run("export", "--out", apart)).toMatchObject({
      code: 2,
      err: expect.stringContaining("--run with the id of a run, or --checkpoint"),
    });
    expect(await run("export", "--run", "r-2", "--out", apart)).toMatchObject({
      code: 2,
      err: expect.stringContaining("found none of r-2"),
    });
    expect(await run("export", "--run", "r-1", "--format", "pt", "--out", apart)).toMatchObject({
      code: 2,
      err: expect.stringContaining('the format onnx, tfjs, safetensors, found "pt"'),
    });
    expect(await run("export", "--checkpoint", join(dataDir, "checkpoints"), "--out", apart)).toMatchObject({ code: 4 });
  });
});

describe("a frozen base", () => {
  /** All but one unit of h2 are dead: the base passes on almost nothing of its input. */
  const crippled = (): typeof baseParameters => {
    const bias = Float32Array.from({ length: 8 }, (_, i) => (i === 0 ? 0 : -30));
    return { ...baseParameters, "h2/bias": { dtype: "float32", shape: [8], data: bias } };
  };
  const samples = Array.from({ length: 900 }, (_, i) => [...draw([6], `frozen ${i}`)]);
  const labels = samples.map(([a, b]) => (a! > 0 ? (b! > 0 ? 2 : 1) : 0));

  test("grows adapters to the data, and switched off it predicts as before, bit for bit", async () => {
    const model = await wrap(write("frozen", base, crippled()));
    const before = (await model.predict(samples)).data;
    const start = await model.evaluate({ x: samples, y: labels });
    const result = await model.fit(
      { x: samples, y: labels },
      {
        epochs: 60,
        batchSize: 32,
        optimizer: { kind: "adam", learningRate: 0.01 },
        growth: {
          base: "frozen",
          signal: { warmupSteps: 1, everyEpochs: 1 },
          training: { steps: 60 },
          grafting: { steps: 20 },
          fineTuning: { steps: 60 },
        },
      },
    );
    expect(result.grown.length).toBeGreaterThan(0);
    expect(model.adapters().map(({ seedId }) => seedId)).toEqual(result.grown);
    expect((await model.withoutAdapters().predict(samples)).data).toEqual(before);
    const after = await model.evaluate({ x: samples, y: labels });
    expect(after.loss).toBeLessThan(start.loss);
    expect(model.lineage.seeds[0]).toMatchObject({ seedId: result.grown[0], blueprint: { kind: expect.any(String) } });

    const path = join(folder.path, "frozen-adapters.safetensors");
    await model.saveAdapters(path);
    const fresh = await wrap(write("frozen", base, crippled()));
    await fresh.loadAdapters(path);
    expect((await fresh.predict(samples)).data).toEqual((await model.predict(samples)).data);
  }, 60_000);
});
