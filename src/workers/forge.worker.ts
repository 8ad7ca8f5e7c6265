/** Entry of a forge thread: compiles and measures one kernel at a time and keeps nothing between tasks but its engines. */
import { createRandom } from "../graph/random.ts";
import { characterizeKernel } from "./session/characterize.ts";
import { referenceEngine, sharedEngine } from "./session/engines.ts";
import { compileKernel } from "./session/forge.ts";
import { expectWanted, stoppable } from "./session/stoppable.ts";
import type { ForgeTask, TaskReply } from "./wire.ts";
import { answer } from "./wire.ts";

const randomSeed = 1;

const perform = async (task: ForgeTask): Promise<unknown> => {
  const { stop } = task;
  // Work that was given up while it waited is not begun.
  expectWanted(stop);
  switch (task.kind) {
    case "compile": {
      const startMs = performance.now();
      const compiled = await compileKernel(stoppable(await sharedEngine(task.key.engine), stop), task.key, task.host);
      return { ...compiled, compileMs: performance.now() - startMs };
    }
    case "characterize": {
      const { artifact, host, config } = task;
      const { engine: name } = artifact.key;
      const [engine, reference] = [stoppable(await sharedEngine(name), stop), stoppable(await referenceEngine(name), stop)];
      const options = { engine, reference, config, random: createRandom(randomSeed), nowMs: () => performance.now() };
      return characterizeKernel(artifact, host, options);
    }
    case "warm":
      await sharedEngine(task.engine);
      await referenceEngine(task.engine);
      return undefined;
  }
};

export default (task: ForgeTask): Promise<TaskReply<unknown>> => answer(() => perform(task));
