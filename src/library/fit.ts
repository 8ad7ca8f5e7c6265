/** Training in the user's program: the same session, gates and policy as a node's, set up from a few options. */
import type { z } from "zod";
import { sessionSpecOf } from "../config/session-spec.ts";
import { EsperConfig, type MorphogeneticConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { InputError } from "../contracts/errors.ts";
import type { Host } from "../contracts/graph.ts";
import { isActive, type SeedTransition } from "../contracts/lifecycle.ts";
import type { FlopsAccount, Validation } from "../contracts/measure.ts";
import type { OptimizerConfig } from "../contracts/optimizer.ts";
import type { Clock } from "../contracts/ports.ts";
import { trainStep } from "../graph/step.ts";
import { fitToData } from "../interchange/fit-to-data.ts";
import { runSolo, type SoloOutcome } from "../solo/run-solo.ts";
import type { GrownModel } from "./adapters.ts";
import type { Engines } from "./engines.ts";
import type { UserData } from "./user-data.ts";

/** What happened in a window: a stretch of training after which a seed may change its state. */
export interface WindowReport {
  readonly window: number;
  /** Passes over the training data so far. */
  readonly epoch: number;
  /** What the window did: `host` trains the model; the others are the steps of a trial. */
  readonly work: string;
  readonly seedId?: string;
  readonly loss?: number;
  readonly validation?: Validation;
  readonly parameters: number;
}

export interface FitOptions {
  /** Passes over the training data. Default 5. With a frozen base, which takes no steps: what so many passes would cost. */
  readonly epochs?: number;
  /** What growth may cost beside them, as a multiple of what they cost. Default 2; measurements take part of it also when nothing grows. */
  readonly growthBudget?: number;
  /** Samples in a step. Default 32. */
  readonly batchSize?: number;
  /** Part of the data that is held out, when there are no `validationData`. Default 0.2. */
  readonly validationSplit?: number;
  readonly validationData?: UserData;
  readonly optimizer?: z.input<typeof OptimizerConfig>;
  readonly schedule?: "constant" | "cosine";
  /** Settings of growth, as under `morphogenetic` in a configuration; false trains the model alone. */
  readonly growth?: false | z.input<typeof MorphogeneticConfig>;
  /** Everything random follows from it. Default 1. */
  readonly randomSeed?: number;
  readonly onEpoch?: (report: WindowReport) => void;
  readonly onTransition?: (transition: SeedTransition) => void;
  /** Ends the run after the step that is under way; what was trained stays. */
  readonly signal?: AbortSignal;
}

export interface FitResult {
  readonly outcome: "done" | "stopped";
  readonly reason: string;
  readonly windows: readonly WindowReport[];
  /** Every change of a seed's state, with what its gate measured. */
  readonly transitions: readonly SeedTransition[];
  /** What was decided after each measurement and why, also when it was to wait. */
  readonly decisions: SoloOutcome["decisions"];
  /** Seeds that were kept in this run. */
  readonly grown: readonly string[];
  /** On the held-out samples, at the end. */
  readonly validation: Validation;
  /** On the data set's test samples; absent for arrays, which have none. */
  readonly test?: Validation;
  readonly flops: FlopsAccount;
}

const signalSamplesMin = 64;
const signalSamplesDefault = 2048;
/** Fewer make a measurement too blunt to be worth it, where the data allow more. */
const signalSamplesLeast = 256;
const stepsPerWindowMax = 98;
const growthBudgetDefault = 2;
const growthBudgetMax = 100;

/** FLOPs of a measurement for a sample and a unit of the host's layers, fitted on dense hosts of 25 to 256 units with 64 features. */
const signalFlopsPerUnit = 3200;
const signalUnitsAlways = 25;
/** A measurement should cost no more than this part of the epochs. */
const signalShareMax = 0.05;

/** On a small model a measurement of the usual size would cost more than it could bring. */
const signalSamplesFor = (host: Host, flops: number, train: number): number => {
  const units = host.layers.reduce((sum, { parameters: [weight] }) => {
    const shape = host.graph.parameters.find(({ name }) => name === weight)?.shape ?? [];
    return sum + (shape.length === 4 ? shape[0]! : (shape.at(-1) ?? 0));
  }, signalUnitsAlways);
  const affordable = Math.floor((signalShareMax * flops) / (signalFlopsPerUnit * units));
  return Math.min(train, signalSamplesDefault, Math.max(signalSamplesLeast, affordable));
};

/** A measurement cannot take more samples than there are. */
const growthFor = (
  growth: FitOptions["growth"],
  host: Host,
  flops: number,
  train: number,
): z.input<typeof MorphogeneticConfig> => {
  const { signal, ...rest } = growth === false || growth === undefined ? {} : growth;
  if (train < signalSamplesMin) {
    throw new InputError(
      `training samples: expected at least ${signalSamplesMin}, found ${train} after the validation samples were set apart; give more data`,
      { path: "x" },
    );
  }
  return { ...rest, enabled: growth !== false, signal: { samples: signalSamplesFor(host, flops, train), ...signal } };
};

const settings = <T>(schema: { safeParse(value: unknown): z.ZodSafeParseResult<T> }, value: unknown): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new InputError(
    `fit: ${issue?.path.join(".") || "options"}: ${issue?.message ?? "do not fit"}; see the configuration's reference`,
    {
      path: issue?.path.join(".") ?? "options",
    },
  );
};

interface Plan {
  readonly config: EsperConfig;
  readonly stepsPerPass: number;
  /** The FLOPs of the run: the epochs, and growth beside them. */
  readonly flopsMax: number;
}

const planFor = (options: FitOptions, host: Host, dataset: DatasetBuffers): Plan => {
  const { epochs = 5, batchSize = 32, optimizer = { kind: "adam" }, schedule = "constant", randomSeed = 1 } = options;
  const { growthBudget = growthBudgetDefault, growth } = options;
  if (!(growthBudget >= 0 && growthBudget <= growthBudgetMax)) {
    throw new InputError(`fit: growthBudget: expected a number from 0 to ${growthBudgetMax}, found ${growthBudget}; 2 is usual`, {
      path: "growthBudget",
    });
  }
  const size = Math.min(batchSize, dataset.train.count);
  const stepsPerPass = Math.max(1, Math.floor(dataset.train.count / size));
  const base = settings(EsperConfig, {
    randomSeed,
    model: { name: "file", file: "in memory" },
    dataset: { batchSize: size },
    optimization: { epochs, epochSteps: Math.min(stepsPerWindowMax, stepsPerPass), optimizer, schedule },
  });
  const cohorts = [...new Set(host.graph.parameters.map(({ cohort }) => cohort))];
  const step = trainStep({ host, optimizer: base.optimization.optimizer, trainableCohorts: cohorts, batch: size }).flops;
  const flops = Math.max(1, Math.floor(epochs * stepsPerPass)) * step;
  const config = settings(EsperConfig, { ...base, morphogenetic: growthFor(growth, host, flops, dataset.train.count) });
  const frozen = config.morphogenetic.base === "frozen";
  return { config, stepsPerPass, flopsMax: Math.ceil(growth === false || frozen ? flops : flops * (1 + growthBudget)) };
};

export interface FitRequest {
  readonly model: GrownModel;
  readonly dataset: DatasetBuffers;
  readonly options: FitOptions;
  readonly engines: Engines;
  readonly clock: Clock;
  readonly runId: string;
}

export const runFit = async (
  request: FitRequest,
): Promise<{ readonly outcome: SoloOutcome; readonly result: Omit<FitResult, "validation" | "test"> }> => {
  const { model, dataset, options, engines, clock, runId } = request;
  const { engine } = engines;
  const host = fitToData(model.host, dataset);
  const { config, stepsPerPass, flopsMax } = planFor(options, host, dataset);
  const spec = sessionSpecOf({ runId, config, dataset, engine: engine.name, damaged: false, flopsMax });
  const growth = config.morphogenetic.enabled;
  const windows: WindowReport[] = [];
  const active = new Set<string>();
  const outcome = await runSolo({
    spec,
    dataset,
    engine,
    // Without growth nothing is checked against it.
    reference: growth ? await engines.reference() : engine,
    growth,
    imported: { host, parameters: model.parameters },
    nowMs: () => clock.monotonicMs(),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onWindow: (window) => {
      const report: WindowReport = {
        window: window.epoch,
        epoch: window.hostStep / stepsPerPass,
        work: window.work,
        parameters: window.parameters,
        ...(window.seedId === undefined ? {} : { seedId: window.seedId }),
        ...(window.trainLoss === undefined ? {} : { loss: window.trainLoss }),
        ...(window.validation === undefined ? {} : { validation: window.validation }),
      };
      windows.push(report);
      options.onEpoch?.(report);
    },
    onTransition: (transition) => {
      if (isActive(transition.to)) active.add(transition.seedId);
      else active.delete(transition.seedId);
      options.onTransition?.(transition);
    },
    // An order takes effect a window later. A trial that is under way is seen to its end.
    operator: ({ hostStep }) =>
      active.size === 0 && hostStep + spec.epochSteps >= spec.hostSteps
        ? { kind: "stop", requestId: `${runId}-${hostStep}`, reason: "the epochs are complete" }
        : undefined,
  });
  const grown = outcome.transitions.filter(({ to }) => to === "FOSSILIZED").map(({ seedId }) => seedId);
  return {
    outcome,
    result: {
      outcome: outcome.outcome,
      reason: outcome.reason,
      windows,
      transitions: outcome.transitions,
      decisions: outcome.decisions,
      grown,
      flops: outcome.flops,
    },
  };
};
