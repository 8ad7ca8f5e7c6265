/** Draws the first values of parameters. Each takes its own stream by its name, so that the order of parameters does not matter. */
import type { Initializer, Parameter, Tensor } from "../contracts/graph.ts";
import type { RandomSource } from "../contracts/ports.ts";
import { sizeOf } from "./shapes.ts";

const sampler = (initializer: Initializer, random: RandomSource): (() => number) => {
  switch (initializer.kind) {
    case "constant":
      return () => initializer.value;
    case "heNormal": {
      const sd = Math.sqrt(2 / initializer.fanIn);
      return () => sd * random.normal();
    }
    case "glorotUniform": {
      const limit = Math.sqrt(6 / (initializer.fanIn + initializer.fanOut));
      return () => limit * (2 * random.uniform() - 1);
    }
    case "normal":
      return () => initializer.sd * random.normal();
  }
};

/** Parameter name → float32 tensor. The random source itself is not advanced. */
export const initializeParameters = (parameters: readonly Parameter[], random: RandomSource): Map<string, Tensor> =>
  new Map(
    parameters.map(({ name, shape, initializer }) => {
      const draw = sampler(initializer, random.fork(name));
      return [name, { dtype: "float32", shape, data: Float32Array.from({ length: sizeOf(shape) }, draw) }];
    }),
  );
