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
import { isPruneSeed } from "../contracts/pruning.ts";
import { trainStep } from "../graph/step.ts";
import { fitToData } from "../interchange/fit-to-data.ts";
import { runSolo, type SoloOutcome } from "../solo/run-solo.ts";
import type { GrownModel } from "./adapters.ts";
import type { Engines } from "./engines.ts";
import { checkNames, settings } from "./options.ts";
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
  /** Passes over the training data. Default 5. With a frozen base, which takes no steps: the windows of so many passes. */
  readonly epochs?: number;
  /**
   * What growth may cost beside them, as a multiple of what they cost; measurements take part of it also when nothing grows. Default 2, and on
   * a small model, where a trial costs more than the epochs, at least 2 GFLOP: about a second.
   */
  readonly growthBudget?: number;
  /** Samples in a step. Default 32. */
  readonly batchSize?: number;
  /** Part of the data that is held out, when there are no `validationData`. Default 0.2. */
  readonly validationSplit?: number;
  readonly validationData?: UserData;
  readonly optimizer?: z.input<typeof OptimizerConfig>;
  readonly schedule?: "constant" | "cosine";
  /**
   * Settings of growth, as under `morphogenetic` in a configuration; false trains the model alone. Where they are left out, `signal.samples`,
   * `signal.warmupSteps` and `signal.flopsFractionMax` follow the data and the model, and a frozen base grows without waiting for damage.
   */
  readonly growth?: boolean | z.input<typeof MorphogeneticConfig>;
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
const growthFlopsLeast = 2e9;
/** Measurements are paid for by the growth budget, not by the epochs. */
const signalFractionDefault = 0.25;
const warmupStepsDefault = 200;
const warmupStepsLeast = 50;
/** A short fit is measured after this part of it. */
const warmupShare = 0.25;

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

interface Scale {
  readonly host: Host;
  /** Optimizer steps, and the FLOPs of the run. */
  readonly steps: number;
  readonly flops: number;
  /** Training samples. */
  readonly train: number;
}

/** What is not said follows the data and the model: a measurement cannot take more samples than there are, nor come after the fit. */
const growthFor = (growth: FitOptions["growth"], scale: Scale): z.input<typeof MorphogeneticConfig> => {
  const { signal, ...rest } = typeof growth === "object" ? growth : {};
  const { host, steps, flops, train } = scale;
  if (train < signalSamplesMin) {
    throw new InputError(
      `training samples: expected at least ${signalSamplesMin}, found ${train} after the validation samples were set apart; give more data`,
      { path: "x" },
    );
  }
  const warmupSteps = Math.min(warmupStepsDefault, Math.max(warmupStepsLeast, Math.floor(warmupShare * steps)));
  const measured = { samples: signalSamplesFor(host, flops, train), warmupSteps, flopsFractionMax: signalFractionDefault };
  return {
    // Kernels are compiled at the boundary here: nobody waits for a forge.
    kernelLeadEpochs: 0,
    // A base that is kept as it is was not damaged: what it lacks is what the data ask for.
    ...(rest.base === "frozen" ? { placement: "always" as const } : {}),
    ...rest,
    enabled: growth !== false,
    signal: { ...measured, ...signal },
  };
};

const names = {
  epochs: true,
  growthBudget: true,
  batchSize: true,
  validationSplit: true,
  validationData: true,
  optimizer: true,
  schedule: true,
  growth: true,
  randomSeed: true,
  onEpoch: true,
  onTransition: true,
  signal: true,
} as const satisfies Record<keyof FitOptions, true>;

/** @throws InputError for an option that is not known. */
export const checkFitOptions = (options: FitOptions): void => {
  checkNames("fit", options, Object.keys(names));
};

interface Plan {
  readonly config: EsperConfig;
  readonly stepsPerPass: number;
  /** The FLOPs of the run: the epochs, and growth beside them. */
  readonly flopsMax: number;
}

const planFor = (options: FitOptions, host: Host, dataset: DatasetBuffers): Plan => {
  const { epochs = 5, batchSize = 32, optimizer = { kind: "adam" }, schedule = "constant", randomSeed = 1 } = options;
  const { growthBudget, growth } = options;
  if (growthBudget !== undefined && !(growthBudget >= 0 && growthBudget <= growthBudgetMax)) {
    throw new InputError(`fit: growthBudget: expected a number from 0 to ${growthBudgetMax}, found ${growthBudget}; 2 is usual`, {
      path: "growthBudget",
    });
  }
  const size = Math.min(batchSize, dataset.train.count);
  const stepsPerPass = Math.max(1, Math.floor(dataset.train.count / size));
  const base = settings("fit", EsperConfig, {
    randomSeed,
    model: { name: "file", file: "in memory" },
    dataset: { batchSize: size },
    optimization: { epochs, epochSteps: Math.min(stepsPerWindowMax, stepsPerPass), optimizer, schedule },
  });
  const cohorts = [...new Set(host.graph.parameters.map(({ cohort }) => cohort))];
  const step = trainStep({ host, optimizer: base.optimization.optimizer, trainableCohorts: cohorts, batch: size }).flops;
  const steps = Math.max(1, Math.floor(epochs * stepsPerPass));
  const alone = steps * step;
  const allowed = growthBudget === undefined ? Math.max(growthBudgetDefault * alone, growthFlopsLeast) : growthBudget * alone;
  const flopsMax = Math.ceil(growth === false ? alone : alone + allowed);
  const morphogenetic = growthFor(growth, { host, steps, flops: flopsMax, train: dataset.train.count });
  return { config: settings("fit", EsperConfig, { ...base, morphogenetic }), stepsPerPass, flopsMax };
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
  // A frozen base takes no steps: windows are counted.
  const frozen = growth && config.morphogenetic.base === "frozen";
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
    operator: ({ epoch, hostStep }) =>
      active.size === 0 && (frozen ? epoch * spec.epochSteps : hostStep) + spec.epochSteps >= spec.hostSteps
        ? { kind: "stop", requestId: `${runId}-${hostStep}`, reason: "the epochs are complete" }
        : undefined,
  });
  const kept = outcome.transitions.filter(({ to }) => to === "FOSSILIZED").map(({ seedId }) => seedId);
  const grown = kept.filter((seedId) => !isPruneSeed(seedId));
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
