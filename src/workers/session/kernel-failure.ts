/** A kernel's programs, wrapped so that what they throw can be told from a bug: the kernel is at fault, and the host's own path goes on. */
import { describeError } from "../../contracts/errors.ts";
import type { Executable } from "../../engine/engine.ts";

export class KernelFailure extends Error {
  constructor(cause: unknown) {
    super(`a program of the kernel threw: ${describeError(cause)}`, { cause });
    this.name = "KernelFailure";
  }
}

/** The same program, whose `run` rejects with a KernelFailure and nothing else. */
export const guardKernel = (program: Executable): Executable => ({
  inputs: program.inputs,
  outputs: program.outputs,
  memoryBytes: program.memoryBytes,
  run: async (feeds, options) => {
    try {
      return await program.run(feeds, options);
    } catch (error) {
      throw new KernelFailure(error);
    }
  },
  dispose: () => program.dispose(),
});
