/**
 * Parameter updates as nodes of the graph. What changes from step to step (learning rate, bias corrections) comes in as scalars, one
 * set per cohort, so that a program is compiled once.
 *
 * Adam's slots hold decayed sums, m ← β₁·m + g and v ← β₂·v + g², without the factors (1 − β): these are in the scalars. The update
 * is that of Kingma & Ba (2015), for two operations fewer per parameter.
 */
import type { Parameter, Tensor } from "../contracts/graph.ts";
import type { OptimizerConfig } from "../contracts/optimizer.ts";
import type { Emit } from "./operators/operator.ts";
import type { Dims } from "./shapes.ts";

/** A tensor that an optimizer keeps per parameter; it starts at zero. */
export interface Slot {
  readonly name: string;
  readonly parameter: string;
  readonly cohort: string;
  readonly shape: Dims;
}

export type ScalarKind = "stepSize" | "epsilon" | "decay";

/** The name of a cohort's scalar input, for example `stepSize:host`. */
export const scalarName = (kind: ScalarKind, cohort: string): string => `${kind}:${cohort}`;

const scalarKinds = (config: OptimizerConfig): readonly ScalarKind[] => {
  switch (config.kind) {
    case "sgd":
      return ["stepSize"];
    case "adam":
      return ["stepSize", "epsilon"];
    case "adamw":
      return config.weightDecay > 0 ? ["stepSize", "epsilon", "decay"] : ["stepSize", "epsilon"];
  }
};

export const scalarNames = (config: OptimizerConfig, cohort: string): string[] =>
  scalarKinds(config).map((kind) => scalarName(kind, cohort));

const slotSuffixes = (config: OptimizerConfig): readonly string[] => {
  if (config.kind === "sgd") return config.momentum > 0 ? ["#velocity"] : [];
  return ["#m", "#v"];
};

/** The parameter that a tensor of a learner belongs to: itself, or the one that it is a slot of. */
export const parameterOf = (name: string): string => name.replace(/#(?:velocity|m|v)$/, "");

/** The slots of one parameter: `<parameter>#velocity`, or `<parameter>#m` and `<parameter>#v`. */
export const slotsOf = (config: OptimizerConfig, { name, cohort, shape }: Parameter): Slot[] =>
  slotSuffixes(config).map((suffix) => ({ name: `${name}${suffix}`, parameter: name, cohort, shape }));

const scalarValues = (config: OptimizerConfig, step: number, rate: number): Record<ScalarKind, number> => {
  if (config.kind === "sgd") return { stepSize: rate, epsilon: 0, decay: 1 };
  // m̂ = (1 − β₁)·m / (1 − β₁ᵗ) and v̂ likewise, with all constants moved into the step size and epsilon.
  const first = (1 - config.beta1) / (1 - config.beta1 ** step);
  const second = Math.sqrt((1 - config.beta2) / (1 - config.beta2 ** step));
  return { stepSize: (rate * first) / second, epsilon: config.epsilon / second, decay: 1 - rate * config.weightDecay };
};

/**
 * The scalar feeds of one cohort for one step. `stepCount` counts the cohort's own steps from 1; `learningRateScale` multiplies the
 * configured learning rate.
 */
export const optimizerScalars = (
  config: OptimizerConfig,
  cohort: string,
  stepCount: number,
  learningRateScale = 1,
): Record<string, Tensor> => {
  const values = scalarValues(config, stepCount, config.learningRate * learningRateScale);
  return Object.fromEntries(
    scalarKinds(config).map((kind) => [
      scalarName(kind, cohort),
      { dtype: "float32", shape: [], data: Float32Array.of(values[kind]) },
    ]),
  );
};

/**
 * What a slot is multiplied by when its parameter goes on at another step count, so that what Adam estimates from it, bias correction
 * included, stays the same: a decayed sum of few gradients counts for more than one of many. 1 for a slot without a correction.
 */
export const recountFactor = (config: OptimizerConfig, slot: string, stepsBefore: number, stepsAfter: number): number => {
  if (config.kind === "sgd" || stepsBefore < 1 || stepsAfter < 1) return 1;
  const beta = slot.endsWith("#m") ? config.beta1 : slot.endsWith("#v") ? config.beta2 : 0;
  return (1 - beta ** stepsAfter) / (1 - beta ** stepsBefore);
};

/** √(Σ g²) over all gradients. */
export const globalNorm = (b: Emit, gradients: readonly string[]): string => {
  const squares = gradients.map((gradient) =>
    b.sum(
      b.mul(gradient, gradient),
      b.type(gradient).shape.map((_, axis) => axis),
      false,
    ),
  );
  return b.unary(
    "sqrt",
    squares.reduce((sum, square) => b.add(sum, square), b.scalar(0)),
  );
};

/** min(1, clip / norm): exactly 1 while the norm is within the limit. Pascanu et al. (2013). */
export const clipFactor = (b: Emit, norm: string, clipNorm: number): string => {
  const limit = b.scalar(clipNorm);
  return b.div(limit, b.add(b.unary("relu", b.sub(norm, limit)), limit));
};

export interface Update {
  /** The parameter's new value. */
  readonly parameter: string;
  /** Slot name → its new value. */
  readonly slots: ReadonlyMap<string, string>;
}

const withL2 = (b: Emit, gradient: string, parameter: string, weightDecay: number): string =>
  weightDecay === 0 ? gradient : b.add(gradient, b.mul(parameter, b.scalar(weightDecay)));

/**
 * Far below any gradient that matters and far above the denormal numbers of float32. A decayed sum whose gradients have ended would
 * otherwise stick among those, where processors are several times slower: adding and taking away this number keeps it a zero or a normal number.
 */
const flushLevel = 1e-24;

const decayedSum = (b: Emit, slot: string, decay: number, gradient: string): string =>
  b.sub(b.add(b.add(b.mul(slot, b.scalar(decay)), gradient), b.scalar(flushLevel)), b.scalar(flushLevel));

/** Adds the update of one parameter. Its slots and its cohort's scalars must have been declared. */
export const updateParameter = (b: Emit, config: OptimizerConfig, parameter: Parameter, gradient: string): Update => {
  const { name, cohort } = parameter;
  const stepSize = scalarName("stepSize", cohort);
  const slots = slotsOf(config, parameter).map((slot) => slot.name);
  if (config.kind === "sgd") {
    const g = withL2(b, gradient, name, config.weightDecay);
    const [slot] = slots;
    if (slot === undefined) return { parameter: b.sub(name, b.mul(g, stepSize)), slots: new Map() };
    const velocity = decayedSum(b, slot, config.momentum, g);
    return { parameter: b.sub(name, b.mul(velocity, stepSize)), slots: new Map([[slot, velocity]]) };
  }
  const g = config.kind === "adam" ? withL2(b, gradient, name, config.weightDecay) : gradient;
  const [first, second] = [slots[0]!, slots[1]!];
  const m = decayedSum(b, first, config.beta1, g);
  const v = b.add(b.mul(second, b.scalar(config.beta2)), b.mul(g, g));
  const direction = b.div(m, b.add(b.unary("sqrt", v), scalarName("epsilon", cohort)));
  const base = config.kind === "adamw" && config.weightDecay > 0 ? b.mul(name, scalarName("decay", cohort)) : name;
  return {
    parameter: b.sub(base, b.mul(direction, stepSize)),
    slots: new Map([
      [first, m],
      [second, v],
    ]),
  };
};
