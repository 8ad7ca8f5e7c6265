/** Picks the engine for a device setting by trying it, and says why the others were not taken: what `esper doctor` shows. */
import { describeError } from "../contracts/errors.ts";
import type { Program, Tensor } from "../contracts/graph.ts";
import { createEngine, type Engine, type EngineName, type EngineOptions, engineNames } from "./engine.ts";

export type EngineTrial =
  | { readonly name: EngineName; readonly kind: "works"; readonly version: string }
  | { readonly name: EngineName; readonly kind: "fails"; readonly reason: string }
  | { readonly name: EngineName; readonly kind: "untried"; readonly reason: string };

export type EngineSelection =
  | { readonly kind: "selected"; readonly engine: Engine; readonly trials: readonly EngineTrial[] }
  | { readonly kind: "none"; readonly trials: readonly EngineTrial[] };

export type EngineFactory = (name: EngineName, options: EngineOptions) => Promise<Engine>;

/** relu(x · w) on numbers that float32 holds exactly. */
const tinyProgram: Program = {
  inputs: [
    { name: "x", dtype: "float32", shape: [1, 2] },
    { name: "w", dtype: "float32", shape: [2, 2] },
  ],
  nodes: [
    { id: "z", op: "matMul", inputs: ["x", "w"], attributes: { transposeA: false, transposeB: false } },
    { id: "y", op: "relu", inputs: ["z"], attributes: {} },
  ],
  outputs: [{ name: "y", value: "y" }],
};

const tinyFeeds: Readonly<Record<string, Tensor>> = {
  x: { dtype: "float32", shape: [1, 2], data: Float32Array.of(1, 2) },
  w: { dtype: "float32", shape: [2, 2], data: Float32Array.of(3, -4, 5, 1) },
};

const tinyResult = [13, 0];

/** Undefined when the engine computes as it should, else what is wrong. */
const faultOf = async (engine: Engine): Promise<string | undefined> => {
  const executable = await engine.load(await engine.compile(tinyProgram));
  try {
    const { y } = await executable.run(tinyFeeds);
    const found = Array.from(y?.data ?? []);
    const right = found.length === tinyResult.length && found.every((value, index) => value === tinyResult[index]);
    return right ? undefined : `trial program: expected ${tinyResult.join(", ")}, found ${found.join(", ")}`;
  } finally {
    await executable.dispose();
  }
};

const tryEngine = async (
  name: EngineName,
  options: EngineOptions,
  create: EngineFactory,
): Promise<{ readonly trial: EngineTrial; readonly engine?: Engine }> => {
  let engine: Engine | undefined;
  try {
    engine = await create(name, options);
    const fault = await faultOf(engine);
    if (fault === undefined) return { trial: { name, kind: "works", version: engine.version }, engine };
    await engine.dispose();
    return { trial: { name, kind: "fails", reason: fault } };
  } catch (error) {
    await engine?.dispose();
    return { trial: { name, kind: "fails", reason: describeError(error) } };
  }
};

/**
 * `auto` takes the first that works of `engineNames`; a name takes that one or none. Never falls back from a name, and
 * never throws for an engine that does not work. The caller disposes of the engine.
 */
export const selectEngine = async (
  device: "auto" | EngineName,
  options: EngineOptions,
  create: EngineFactory = createEngine,
): Promise<EngineSelection> => {
  const trials: EngineTrial[] = [];
  let selected: Engine | undefined;
  for (const name of engineNames) {
    if (device !== "auto" && device !== name) {
      trials.push({ name, kind: "untried", reason: `the device setting asks for ${device}` });
    } else if (selected !== undefined) {
      trials.push({ name, kind: "untried", reason: `${selected.name} comes first and works` });
    } else {
      const { trial, engine } = await tryEngine(name, options, create);
      trials.push(trial);
      selected = engine;
    }
  }
  return selected === undefined ? { kind: "none", trials } : { kind: "selected", engine: selected, trials };
};
