/** The engine that a model runs on, and another one that kernels are checked against; that one starts when it is first needed. */
import { describeError, ServiceError } from "../contracts/errors.ts";
import { createEngine, type Engine, type EngineName } from "../engine/engine.ts";
import { selectEngine } from "../engine/select.ts";

export interface EngineChoice {
  /** `auto` takes the first that works of native (ONNX Runtime), wasm and cpu (tensorflow.js). */
  readonly device?: "auto" | EngineName;
  /** Threads of the engine. Default 1. */
  readonly threads?: number;
}

export interface Engines {
  readonly engine: Engine;
  reference(): Promise<Engine>;
}

/** tensorflow.js beside ONNX Runtime, and the other way round: what only one of them computes shows. */
const otherThan = (name: EngineName): EngineName => (name === "native" ? "wasm" : name === "wasm" ? "native" : "wasm");

const startReference = async (name: EngineName, threads: number): Promise<Engine> => {
  try {
    return await createEngine(otherThan(name), { threads });
  } catch (error) {
    // Plain JavaScript works everywhere.
    if (name !== "cpu") return createEngine("cpu", { threads });
    throw new ServiceError(
      `engine: expected a second engine to check kernels against, found: ${describeError(error)}; run esper doctor`,
    );
  }
};

export const openEngines = async ({ device = "auto", threads = 1 }: EngineChoice): Promise<Engines> => {
  const selection = await selectEngine(device, { threads });
  if (selection.kind === "none") {
    const reasons = selection.trials
      .map((trial) => `${trial.name}: ${trial.kind === "works" ? "works" : trial.reason}`)
      .join("; ");
    throw new ServiceError(`wrap: expected an engine for device ${device}, none works (${reasons}); choose another device`, {
      path: "device",
    });
  }
  const { engine } = selection;
  let started: Promise<Engine> | undefined;
  return {
    engine,
    reference: () => {
      started ??= startReference(engine.name, threads);
      return started;
    },
  };
};
