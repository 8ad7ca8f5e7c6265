/** Sessions of every kind of host: a ResNet with a crippled stage, a transformer, a regression, a host that is brought along. */
import { afterEach, describe, expect, it } from "vitest";
import { DamageConfig } from "../../src/contracts/config-damage.ts";
import { ModelConfig } from "../../src/contracts/config-model.ts";
import type { DatasetBuffers, SampleBuffer } from "../../src/contracts/dataset.ts";
import type { SessionSpec } from "../../src/contracts/plan.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { mlp } from "../../src/graph/hosts/index.ts";
import { initializeParameters } from "../../src/graph/initialize.ts";
import { createRandom } from "../../src/graph/random.ts";
import { trainStep } from "../../src/graph/step.ts";
import type { ImportedHost } from "../../src/workers/lane.ts";
import { Session } from "../../src/workers/session/session.ts";
import { dataset, nativeEngine, spec } from "./fixture.ts";

const sessions: Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.dispose();
});

const open = async (changes: Partial<SessionSpec>, data: DatasetBuffers = dataset, imported?: ImportedHost): Promise<Session> => {
  const { damage: _, ...undamaged } = spec;
  const ports = { engine: await nativeEngine(), nowMs: () => 0, tell: () => undefined };
  const table = new SeedStateTable(1);
  const given = imported === undefined ? {} : { imported };
  const request = { spec: { ...undamaged, ...changes }, dataset: data, table, seedIds: [], ...given };
  const session = await Session.open(request, ports);
  sessions.push(session);
  return session;
};

const runHost = (session: Session, steps: number) =>
  session.run(
    { runId: spec.runId, epoch: session.status.epoch + 1, before: [], work: { kind: "host", steps }, measureSignal: false },
    {},
  );

const split = (count: number, inputs: ArrayLike<number>, targets: Int32Array | Float32Array, table: boolean): SampleBuffer => {
  const bytes = table ? Float32Array.from(inputs) : Int32Array.from(inputs);
  const shared = (view: Int32Array | Float32Array): SharedArrayBuffer => {
    const buffer = new SharedArrayBuffer(view.byteLength);
    new Uint8Array(buffer).set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    return buffer;
  };
  return { count, inputs: shared(bytes), targets: shared(targets) };
};

const [tokens, vocabulary] = [6, 5];

/** Each token is the one before it plus one or two, by its place: what comes next can be learned from what was. */
const textSplit = (count: number, seed: number): SampleBuffer => {
  const random = createRandom(seed);
  const [x, y] = [new Int32Array(count * tokens), new Int32Array(count * tokens)];
  for (let sample = 0; sample < count; sample++) {
    let token = random.integer(vocabulary);
    for (let t = 0; t < tokens; t++) {
      x[sample * tokens + t] = token;
      token = (token + 1 + (t % 2)) % vocabulary;
      y[sample * tokens + t] = token;
    }
  }
  return split(count, x, y, false);
};

const text: DatasetBuffers = {
  ...{ ...dataset, name: "text", kind: "tokens", inputShape: [tokens], rows: tokens, classes: vocabulary, mean: [], sd: [] },
  ...{ train: textSplit(400, 1), validation: textSplit(100, 2), test: textSplit(100, 3) },
};

const columns = 4;

const tableSplit = (count: number, seed: number): SampleBuffer => {
  const random = createRandom(seed);
  const x = Float32Array.from({ length: count * columns }, () => random.normal());
  const y = Float32Array.from({ length: count * 2 }, (_, i) => {
    const row = columns * Math.floor(i / 2);
    return i % 2 === 0 ? Math.tanh(x[row]! + x[row + 1]!) : x[row + 2]! * 0.5 - 0.2 * x[row + 3]!;
  });
  return split(count, x, y, true);
};

const table: DatasetBuffers = {
  ...{ ...dataset, name: "table", kind: "table", task: "regression", inputShape: [columns], classes: 2, mean: [], sd: [] },
  ...{ train: tableSplit(512, 1), validation: tableSplit(128, 2), test: tableSplit(128, 3) },
};

describe("hosts in a session", () => {
  it("a ResNet with a crippled stage trains and names its damaged layers; its sites have the shapes of maps", async () => {
    const model = ModelConfig.parse({ name: "resnet18", width: 4, blocks: [1, 1] });
    const session = await open({ model, damage: DamageConfig.parse({ site: "s2", kind: "dead", live: 1 }) });
    expect(session.status.damagedSites).toEqual(["s2.b1.c1", "s2.b1.c2", "s2.b1.shortcut"]);
    const { sites } = session.status.host;
    expect(sites.find(({ site }) => site === "s2.b1.c1")).toMatchObject({
      ...{ inputWidth: 4, width: 8, inputShape: [4, 8, 8], shape: [8, 4, 4] },
    });
    expect(sites.every(({ slopeFlops }) => slopeFlops > 0)).toBe(true);
    const { validation, trainLoss, anomalies } = await runHost(session, 20);
    expect(anomalies).toEqual([]);
    expect(trainLoss).toBeGreaterThan(0);
    expect(validation!.samples).toBe(300);
  });

  it("a transformer learns what comes next; its sites have the shapes of tokens", async () => {
    const model = ModelConfig.parse({ name: "transformer", layers: 1, width: 8, heads: 2 });
    const session = await open({ model, damage: DamageConfig.parse({ site: "b1.mlp", kind: "rank", live: 2 }) }, text);
    expect(session.status.damagedSites).toEqual(["b1.mlp.in", "b1.mlp.out"]);
    expect(session.status.host.sites[2]).toMatchObject({ site: "b1.mlp.in", width: 32, inputShape: [6, 8], shape: [6, 32] });
    const first = await runHost(session, 5);
    await runHost(session, 60);
    const last = await runHost(session, 60);
    expect(last.validation!.accuracy).toBeGreaterThan(first.validation!.accuracy);
    expect(last.validation!.loss).toBeLessThan(0.7 * first.validation!.loss);
  });

  it("a regression is trained on squared errors and judged by R²", async () => {
    const session = await open({ model: ModelConfig.parse({ name: "mlp", widths: [16] }) }, table);
    expect(session.host.task).toBe("regression");
    await runHost(session, 60);
    const { validation } = await runHost(session, 60);
    expect(validation!.accuracy).toBeGreaterThan(0.8);
    expect(validation!.accuracy).toBeLessThanOrEqual(1);
  });

  it("K4: the budget of a damaged structure is that of the undamaged host, or what the spec says", async () => {
    const healthy = await open({});
    const budget = spec.hostSteps * healthy.status.host.stepFlops;
    expect(healthy.status.flopsMax).toBe(budget);
    for (const kind of ["rank", "narrow"] as const) {
      const damaged = await open({ damage: DamageConfig.parse({ site: "h2", kind, live: 2 }) });
      expect(damaged.status.host.stepFlops).toBeLessThan(healthy.status.host.stepFlops);
      expect(damaged.status.flopsMax).toBe(budget);
    }
    expect((await open({ flopsMax: 12_345 })).status.flopsMax).toBe(12_345);
  });

  it("an imported host starts with its own parameters and may be damaged like any other", async () => {
    const host = mlp({ name: "mine", inputShape: [1, 8, 8], widths: [10, 10], classes: 4, activation: "tanh" });
    const parameters = Object.fromEntries(initializeParameters(host.graph.parameters, createRandom(77)));
    const model = ModelConfig.parse({ name: "file", file: "mine.onnx" });
    const session = await open({ model }, dataset, { host, parameters });
    expect(session.host).toEqual(host);
    const first = session.snapshot();
    expect(Buffer.from(first.tensors["host/h2/weight"]?.data.buffer ?? new ArrayBuffer(0))).toEqual(
      Buffer.from(parameters["h2/weight"]!.data.buffer),
    );
    const damaged = await open({ model, damage: DamageConfig.parse({ site: "h1", live: 2 }) }, dataset, { host, parameters });
    expect(damaged.status.damagedSites).toEqual(["h1"]);
    await expect(open({ model })).rejects.toThrow(/import it/);
    const { flops } = trainStep({ host, optimizer: spec.optimizer, trainableCohorts: ["host"], batch: spec.batchSize });
    expect(session.status.host.stepFlops).toBe(flops);
  });
});
