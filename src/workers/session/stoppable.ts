/**
 * An engine whose work ends when a shared word is set: what is under way is finished, nothing more is begun. A thread that is ended amid a
 * step of a native engine takes the whole process with it, so that work on one must be stopped before the thread may go.
 */
import { ServiceError } from "../../contracts/errors.ts";
import type { Engine } from "../../engine/engine.ts";

/** @param stop one 32-bit word, 0 until the work is to end. @throws ServiceError from then on */
export const expectWanted = (stop: SharedArrayBuffer): void => {
  if (Atomics.load(new Int32Array(stop), 0) !== 0) throw new ServiceError("the work was given up; ask for it again");
};

/** An engine whose `compile`, `load` and `run` throw a ServiceError once the word is set. */
export const stoppable = (engine: Engine, stop: SharedArrayBuffer): Engine => {
  const check = (): void => expectWanted(stop);
  return {
    name: engine.name,
    version: engine.version,
    compile: async (program) => {
      check();
      return engine.compile(program);
    },
    load: async (compiled) => {
      check();
      const executable = await engine.load(compiled);
      return {
        inputs: executable.inputs,
        outputs: executable.outputs,
        memoryBytes: executable.memoryBytes,
        run: async (feeds, options) => {
          check();
          return executable.run(feeds, options);
        },
        dispose: () => executable.dispose(),
      };
    },
    dispose: () => engine.dispose(),
  };
};
