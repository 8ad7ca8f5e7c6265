/** What a kernel is measured to be: sound ones pass, and each fault shows in its own number. */
import { beforeAll, describe, expect, it } from "vitest";
import type { CompiledKernelArtifact, KernelKey } from "../../src/contracts/assets.ts";
import { KernelCharacterization } from "../../src/contracts/characterization.ts";
import { ValidationConfig } from "../../src/contracts/config-validation.ts";
import type { Host, Tensor } from "../../src/contracts/graph.ts";
import type { Engine, Executable } from "../../src/engine/engine.ts";
import { createRandom } from "../../src/graph/random.ts";
import { validationGate } from "../../src/machines/gates.ts";
import { kernelTags } from "../../src/policy/kernel-tags.ts";
import { characterizeKernel } from "../../src/workers/session/characterize.ts";
import { referenceEngine } from "../../src/workers/session/engines.ts";
import { compileKernel } from "../../src/workers/session/forge.ts";
import { Driver, kernelKey, nativeEngine } from "./fixture.ts";

const config = ValidationConfig.parse({});
const kernelHash = "a".repeat(64);
let host: Host;
let key: KernelKey;
let artifact: CompiledKernelArtifact;
let engine: Engine;
let reference: Engine;

beforeAll(async () => {
  const driver = await Driver.open();
  host = driver.session.host;
  key = await kernelKey(driver.session);
  engine = await nativeEngine();
  reference = await referenceEngine("native");
  ({ artifact } = await compileKernel(engine, key, host));
  await driver.session.dispose();
});

/** Time that goes by one millisecond a look. */
const ticking = () => {
  let ticks = 0;
  return (): number => ticks++;
};
const measure = async (changes: Partial<Parameters<typeof characterizeKernel>[2]> = {}, of = artifact) =>
  characterizeKernel(of, host, { engine, reference, config, random: createRandom(1), nowMs: ticking(), ...changes });
const judge = (measured: KernelCharacterization, tags: readonly string[] = [], request = key.request) =>
  validationGate(
    { kernelHash, machine: "test", engine: "native", hostHash: key.hostHash, blueprint: request, tags: [...tags], measured },
    kernelHash,
    config,
  );

/** The engine with the outputs of its loaded programs changed on the way out. */
const meddled = (
  inner: Engine,
  change: (outputs: Awaited<ReturnType<Executable["run"]>>, run: number) => Awaited<ReturnType<Executable["run"]>>,
): Engine => ({
  ...inner,
  name: inner.name,
  version: inner.version,
  compile: (program) => inner.compile(program),
  load: async (compiled) => {
    const program = await inner.load(compiled);
    let runs = 0;
    return {
      inputs: program.inputs,
      outputs: program.outputs,
      memoryBytes: program.memoryBytes,
      run: async (feeds, options) => change(await program.run(feeds, options), runs++),
      dispose: () => program.dispose(),
    };
  },
  dispose: async () => undefined,
});
const scale = (tensor: Tensor, factor: number): Tensor => ({
  ...tensor,
  data: Float32Array.from(tensor.data, (value) => value * factor),
});

describe("characterizeKernel", () => {
  it("C3 a sound kernel: everything is measured, its gate passes, and all but the times is the same again", async () => {
    const [one, two] = [await measure(), await measure()];
    expect(KernelCharacterization.parse(one)).toEqual(one);
    expect({ ...one, latency: 0 }).toEqual({ ...two, latency: 0 });
    // A unit of the host that never fires hands no gradient on.
    expect(one.deadShare).toBeLessThan(0.1);
    expect(one.stability).toMatchObject({ steps: 50, finite: true });
    expect(one.latency.kernelStep.runs).toBeGreaterThanOrEqual(20);
    expect(one.latency.grownEvaluate.runs).toBeGreaterThanOrEqual(20);
    expect(one.drift!.maxAbsolute).toBeGreaterThan(0);
    expect(one.drift!.relative).toBeLessThan(1e-4);
    expect(one.flops.grownEvaluate).toBeGreaterThan(one.flops.hostEvaluate);
    expect(one.memoryBytes).toBeGreaterThan(0);
    const tags = kernelTags(one, config);
    expect(tags).toEqual(expect.arrayContaining(["low-drift", "stable", "live-gradient"]));
    expect(judge(one, tags)).toMatchObject({ passed: true, reason: expect.stringContaining("stable") });
  });

  it("a kernel that no gradient reaches is dead", async () => {
    // What the optimizer gave back is thrown away, so that no data ever show in a parameter.
    const still = meddled(engine, (outputs) =>
      Object.fromEntries(
        Object.entries(outputs).map(([name, tensor]) => [name, name.includes(key.seedId) ? scale(tensor, 0) : tensor]),
      ),
    );
    const dead = await measure({ engine: still });
    expect(dead.deadShare).toBe(1);
    expect(judge(dead)).toMatchObject({
      passed: false,
      measured: true,
      reason: expect.stringMatching(/without gradient 1, at most/),
    });
    expect(kernelTags(dead, config)).toContain("dead-gradient");
  });

  it("C2 a loss that is not finite is told as such and has no ratio", async () => {
    const broken = await measure({
      engine: meddled(engine, (outputs, run) =>
        run > 10 && outputs["loss"] !== undefined ? { ...outputs, loss: scale(outputs["loss"], Number.NaN) } : outputs,
      ),
    });
    expect(broken.stability).toEqual({ steps: 50, finite: false });
    expect(judge(broken)).toMatchObject({ passed: false, reason: expect.stringMatching(/not finite/) });
    expect(kernelTags(broken, config)).toContain("unstable");
  });

  it("a loss that explodes, a first step that jumps, logits that differ: each fails by its own number", async () => {
    const growing = meddled(engine, (outputs, run) =>
      outputs["loss"] === undefined ? outputs : { ...outputs, loss: scale(outputs["loss"], 1 + run) },
    );
    expect(judge(await measure({ engine: growing })).passed).toBe(false);
    const other = await measure({
      reference: meddled(reference, (outputs) => ({ ...outputs, logits: scale(outputs["logits"]!, 1.01) })),
    });
    expect(other.drift!.relative).toBeCloseTo(0.01, 3);
    expect(judge(other)).toMatchObject({ passed: false, reason: expect.stringMatching(/between engines/) });
    const sound = await measure();
    expect(judge({ ...sound, firstStepSpike: 1.5 })).toMatchObject({
      passed: false,
      reason: expect.stringMatching(/first step 1.5/),
    });
  });

  it("what is missing fails: no drift, no spike, too few steps, another kernel, a problem", async () => {
    const sound = await measure();
    const { drift: _drift, ...noDrift } = sound;
    const { firstStepSpike: _spike, ...noSpike } = sound;
    expect(judge(noDrift)).toMatchObject({ passed: false, measured: false });
    expect(judge(noSpike)).toMatchObject({ passed: false, measured: false });
    expect(judge({ ...sound, stability: { ...sound.stability, steps: 49 } }).passed).toBe(false);
    expect(validationGate(undefined, kernelHash, config)).toMatchObject({ passed: false, measured: false });
  });

  it.each(
    (["dense", "low-rank", "widening", "no-op"] as const).flatMap((kind) =>
      (["zero", "he"] as const).map((initialization) => ({ kind, initialization })),
    ),
  )("$kind started with $initialization passes its gate", async ({ kind, initialization }) => {
    const request = { kind, initialization, hiddenWidth: 16 };
    const { artifact: made } = await compileKernel(engine, { ...key, request }, host);
    expect(judge(await measure({}, made), [], request)).toMatchObject({ passed: true });
  });

  it("refuses another host", async () => {
    await expect(
      characterizeKernel(
        artifact,
        { ...host, name: "other" },
        { engine, reference, config, random: createRandom(1), nowMs: ticking() },
      ),
    ).rejects.toThrow(/fetch the host that the kernel names/);
  });
});
