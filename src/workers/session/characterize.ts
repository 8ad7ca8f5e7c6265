/**
 * What a kernel is like on this machine, measured before it may come near a host: time, memory, gradients, the first step, many steps,
 * and whether another engine gives the same numbers.
 *
 * C1 Batches are drawn from a seeded source in the host's own input shape, and every parameter is freshly initialised: no data are needed.
 * C2 What is not finite is absent, and a kernel whose loss is not finite says so.
 * C3 Everything but the times follows from artifact, host and random source.
 */
import type { CompiledKernelArtifact, KernelProgramName } from "../../contracts/assets.ts";
import type { KernelCharacterization, Latency } from "../../contracts/characterization.ts";
import type { ValidationConfig } from "../../contracts/config-validation.ts";
import { ContractError } from "../../contracts/errors.ts";
import type { Host, Parameter, Tensor } from "../../contracts/graph.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import type { Engine, Executable } from "../../engine/engine.ts";
import { programFlops } from "../../graph/flops.ts";
import { hostHash } from "../../graph/hash.ts";
import { initializeParameters } from "../../graph/initialize.ts";
import { optimizerScalars, slotsOf } from "../../graph/optimizers.ts";
import { evaluate } from "../../graph/programs.ts";
import { ownName } from "../../graph/replace.ts";
import { alphaInput } from "../../graph/rewrite.ts";
import { trainStep, updatedName } from "../../graph/step.ts";
import { mean } from "../../growth/statistics.ts";
import { type Batch, makeBatch, zerosFor } from "./batch.ts";
import { growHost, startParameters } from "./grow.ts";
import { scalar } from "./learner.ts";
import { cohortsOf } from "./programs.ts";
import type { Stopwatch } from "./window.ts";

export interface CharacterizeOptions {
  readonly engine: Engine;
  /** Another engine, whose logits are held against. */
  readonly reference: Engine;
  readonly config: ValidationConfig;
  readonly random: RandomSource;
  readonly nowMs: Stopwatch;
}

/** Programs that a trial runs; loading them proves that they load. */
const loaded = ["kernelStep", "grownEvaluate", "jointStep", "foldedEvaluate"] as const satisfies readonly KernelProgramName[];
const batchesDrawn = 4;
const lastLosses = 10;

type Tensors = ReadonlyMap<string, Tensor>;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const finite = <K extends string>(name: K, value: number | undefined): { readonly [P in K]?: number } =>
  value === undefined || !Number.isFinite(value) ? {} : ({ [name]: value } as { readonly [P in K]?: number }); // C2

/** Rows of the smallest table that ids look up; the classes where no table is named. */
const vocabularyOf = ({ graph, classes }: Host): number => {
  const rows = graph.nodes.flatMap(({ op, inputs }) =>
    op === "gather" ? (graph.parameters.find(({ name }) => name === inputs[0])?.shape[0] ?? []) : [],
  );
  return Math.min(classes, ...rows);
};

const fill = ({ dtype, data }: Tensor, bound: number, random: RandomSource): void => {
  for (let index = 0; index < data.length; index++) data[index] = dtype === "int32" ? random.integer(bound) : random.normal();
};

/** C1 */
const drawBatches = (host: Host, program: Executable, random: RandomSource): readonly Batch[] =>
  Array.from({ length: batchesDrawn }, (_, index) => {
    const batch = makeBatch(program.inputs);
    const stream = random.fork(`batch:${index}`);
    fill(batch.x, vocabularyOf(host), stream);
    fill(batch.y, host.classes, stream);
    return batch;
  });

/** Runs a training step again and again and keeps what it changed. */
class StepRunner {
  readonly #program: Executable;
  readonly #artifact: CompiledKernelArtifact;
  readonly #frozen: Readonly<Record<string, Tensor>>;
  readonly #cohorts: readonly string[];
  readonly #random: RandomSource;
  tensors: Map<string, Tensor>;
  #steps = 0;

  constructor(
    program: Executable,
    artifact: CompiledKernelArtifact,
    start: Tensors,
    cohorts: readonly string[],
    random: RandomSource,
    frozen: Readonly<Record<string, Tensor>> = {},
  ) {
    this.#program = program;
    this.#artifact = artifact;
    this.#frozen = frozen;
    this.#cohorts = cohorts;
    this.#random = random;
    this.tensors = new Map(start);
  }

  async #run(batch: Batch): Promise<Record<string, Tensor>> {
    const scalars: Record<string, Tensor> = {};
    for (const cohort of this.#cohorts)
      Object.assign(scalars, optimizerScalars(this.#artifact.key.optimizer, cohort, this.#steps + 1, 1));
    const known: Record<string, Tensor> = { ...this.#frozen, ...scalars, x: batch.x, y: batch.y };
    const outputs = new Set(this.#program.outputs.map(({ name }) => name));
    const feeds = this.#program.inputs.map((port): [string, Tensor] => {
      const tensor = this.tensors.get(port.name) ?? known[port.name];
      if (tensor !== undefined) return [port.name, tensor];
      const fresh = zerosFor(port);
      // An optimizer's slot starts at zero; what is left are the draws of dropout.
      if (!outputs.has(updatedName(port.name)))
        for (let index = 0; index < fresh.data.length; index++) fresh.data[index] = this.#random.uniform();
      return [port.name, fresh];
    });
    return this.#program.run(Object.fromEntries(feeds));
  }

  /** The loss on a batch; nothing moves. */
  async loss(batch: Batch): Promise<number> {
    return (await this.#run(batch))["loss"]!.data[0]!;
  }

  /** The loss before the step. */
  async step(batch: Batch): Promise<number> {
    const result = await this.#run(batch);
    for (const { name } of this.#program.inputs) {
      const updated = result[updatedName(name)];
      if (updated !== undefined) this.tensors.set(name, updated);
    }
    this.#steps++;
    return result["loss"]!.data[0]!;
  }
}

const latencyOf = (timesMs: readonly number[]): Latency => {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.max(0, sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!);
  return { medianMs: at(0.5), p99Ms: at(0.99), runs: sorted.length };
};

const timed = async (runs: number, nowMs: Stopwatch, run: (index: number) => Promise<unknown>): Promise<number[]> => {
  const timesMs: number[] = [];
  for (let index = 0; index < runs; index++) {
    const startMs = nowMs();
    await run(index);
    timesMs.push(nowMs() - startMs);
  }
  return timesMs;
};

/**
 * Which of the parameters have no gradient in two steps, by name: two runs from the same start on other batches agree on such a parameter and
 * on all that the optimizer keeps of it. Two steps, because behind a zero last operation the gradient comes in the second.
 */
const deadParameters = async (
  parameters: readonly Parameter[],
  artifact: CompiledKernelArtifact,
  runnerOf: () => StepRunner,
  batches: readonly Batch[],
): Promise<ReadonlyMap<string, Uint8Array>> => {
  const after = async (chosen: readonly Batch[]): Promise<Tensors> => {
    const runner = runnerOf();
    for (const batch of chosen) await runner.step(batch);
    return runner.tensors;
  };
  const [one, two] = [await after(batches.slice(0, 2)), await after(batches.slice(2, 4))];
  return new Map(
    parameters
      .filter(({ trainable }) => trainable)
      .map((parameter) => {
        const kept = [parameter.name, ...slotsOf(artifact.key.optimizer, parameter).map(({ name }) => name)];
        const size = sizeOf(parameter);
        const pairs = kept.flatMap((name) => {
          const [a, b] = [one.get(name)?.data, two.get(name)?.data];
          return a?.length === size && b?.length === size ? [[a, b] as const] : [];
        });
        const isDead = (_: unknown, index: number): number => (pairs.every(([a, b]) => a[index] === b[index]) ? 1 : 0);
        return [parameter.name, Uint8Array.from({ length: size }, isDead)] as const;
      }),
  );
};

/**
 * Part of the kernel's parameters without a gradient. A replacement copies a part of the host: what has none in the host's own step says nothing
 * of the kernel, and in a deep host of ReLUs that is most of it.
 */
const deadShareOf = (
  kernel: ReadonlyMap<string, Uint8Array>,
  host: ReadonlyMap<string, Uint8Array>,
  ownName: (name: string) => string,
): number => {
  let [dead, all] = [0, 0];
  for (const [name, flags] of kernel) {
    const known = host.get(ownName(name));
    for (let index = 0; index < flags.length; index++) if (flags[index] === 1 && known?.[index] !== 1) dead++;
    all += flags.length;
  }
  return all === 0 ? 0 : dead / all;
};

const sizeOf = ({ shape }: Pick<Parameter, "shape">): number => shape.reduce((product, dim) => product * dim, 1);

const readFeeds = (program: Executable, sources: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(program.inputs.flatMap(({ name }) => (sources[name] === undefined ? [] : [[name, sources[name]]])));

const largest = (values: ArrayLike<number>): number => {
  let most = 0;
  for (let index = 0; index < values.length; index++) {
    const value = Math.abs(values[index]!);
    if (Number.isNaN(value)) return Number.NaN;
    most = Math.max(most, value);
  }
  return most;
};

/** @throws ContractError when the host is not the kernel's; whatever the engines throw. */
export const characterizeKernel = async (
  artifact: CompiledKernelArtifact,
  host: Host,
  options: CharacterizeOptions,
): Promise<KernelCharacterization> => {
  const { engine, reference, config, random, nowMs } = options;
  const { key } = artifact;
  const found = hostHash(host);
  if (found !== key.hostHash)
    throw new ContractError(
      `characterise: expected the host ${key.hostHash}, found ${found}; fetch the host that the kernel names`,
    );
  const open: Executable[] = [];
  const load = async (bytes: Uint8Array): Promise<Executable> => {
    const executable = await engine.load({ engine: engine.name, engineVersion: engine.version, bytes });
    open.push(executable);
    return executable;
  };
  try {
    const programs = {} as Record<(typeof loaded)[number], Executable>;
    for (const name of loaded) programs[name] = await load(new Uint8Array(Buffer.from(artifact.programs[name].bytes, "base64")));
    const own = {
      step: trainStep({ host, optimizer: key.optimizer, trainableCohorts: cohortsOf(host), batch: key.batchSize }).program,
      evaluate: evaluate({ host, batch: key.batchSize }),
    };
    const hostStep = await load((await engine.compile(own.step)).bytes);
    const hostEvaluate = await load((await engine.compile(own.evaluate)).bytes);

    const batches = drawBatches(host, programs.kernelStep, random);
    const batchAt = (index: number): Batch => batches[index % batches.length]!;
    const hostTensors = initializeParameters(host.graph.parameters, random.fork("host"));
    const { grown: grownHost } = growHost(key, host);
    const parameters = grownHost.graph.parameters.filter(({ cohort }) => cohort === key.seedId);
    const kernelTensors = startParameters(key, host, parameters, random.fork("kernel"), hostTensors);
    const frozen = { ...Object.fromEntries(hostTensors), [alphaInput(key.seedId)]: scalar(1) };
    const kernelRunner = (): StepRunner =>
      new StepRunner(programs.kernelStep, artifact, kernelTensors, [key.seedId], random.fork("dropout"), frozen);

    const hostRunnerOf = (): StepRunner =>
      new StepRunner(hostStep, artifact, hostTensors, cohortsOf(host), random.fork("dropout"));
    const copied =
      key.request.kind === "replacement"
        ? await deadParameters(host.graph.parameters, artifact, hostRunnerOf, batches)
        : new Map<string, Uint8Array>();
    const dead = deadShareOf(await deadParameters(parameters, artifact, kernelRunner, batches), copied, (name) =>
      ownName(key.seedId, name),
    );
    const runner = kernelRunner();
    const losses: number[] = [];
    const stepTimes = await timed(Math.max(config.steps, config.latencyRuns), nowMs, async (index) => {
      losses.push(await runner.step(batchAt(index)));
    });
    const first = losses[0]!;
    const spiked = kernelRunner();
    await spiked.step(batchAt(0));
    const second = await spiked.loss(batchAt(0));
    const stable = losses.every(Number.isFinite);

    const grown = { ...frozen, ...Object.fromEntries(runner.tensors), x: batchAt(0).x, y: batchAt(0).y };
    const { grownEvaluate } = programs;
    let logits: ArrayLike<number> = [];
    const evaluateTimes = await timed(config.latencyRuns, nowMs, async () => {
      logits = (await grownEvaluate.run(readFeeds(grownEvaluate, grown)))["logits"]!.data;
    });
    const hostRunner = hostRunnerOf();
    const hostStepTimes = await timed(config.latencyRuns, nowMs, (index) => hostRunner.step(batchAt(index)));
    const hostEvaluateTimes = await timed(config.latencyRuns, nowMs, () =>
      hostEvaluate.run(readFeeds(hostEvaluate, { ...frozen, x: batchAt(0).x, y: batchAt(0).y })),
    );

    const other = await reference.load(await reference.compile(evaluate({ host: grownHost, batch: key.batchSize })));
    open.push(other);
    const otherLogits = (await other.run(readFeeds(other, grown)))["logits"]!.data;
    const maxAbsolute = largest(Array.from(otherLogits, (value, index) => value - logits[index]!));
    const relative = maxAbsolute / Math.max(1, largest(otherLogits));

    return {
      latency: {
        kernelStep: latencyOf(stepTimes),
        grownEvaluate: latencyOf(evaluateTimes),
        hostStep: latencyOf(hostStepTimes),
        hostEvaluate: latencyOf(hostEvaluateTimes),
      },
      flops: {
        kernelStep: artifact.programs.kernelStep.flops,
        grownEvaluate: artifact.programs.grownEvaluate.flops,
        hostStep: programFlops(own.step),
        hostEvaluate: programFlops(own.evaluate),
      },
      memoryBytes: Math.round(sum(loaded.map((name) => programs[name].memoryBytes)) + 4 * sum(parameters.map(sizeOf))),
      parameters: artifact.parameters,
      ...(Number.isFinite(relative) ? { drift: { engine: reference.name, maxAbsolute, relative } } : {}), // C2
      deadShare: dead,
      ...finite("firstStepSpike", (second - first) / first),
      stability: {
        steps: losses.length,
        finite: stable,
        ...(stable ? finite("lossRatio", mean(losses.slice(-lastLosses)) / first) : {}),
      },
    };
  } finally {
    await Promise.all(open.map((executable) => executable.dispose()));
  }
};
