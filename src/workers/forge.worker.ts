/** Entry of a forge thread: compiles one kernel at a time and keeps nothing between tasks but the engine. */
import type { Engine, EngineName } from "../engine/engine.ts";
import { createEngine } from "../engine/engine.ts";
import { compileKernel } from "./session/forge.ts";
import type { CompileTask, TaskReply } from "./wire.ts";
import { answer } from "./wire.ts";

const engines = new Map<EngineName, Engine>();

const engineFor = async (name: EngineName): Promise<Engine> => {
  const engine = engines.get(name) ?? (await createEngine(name, { threads: 1 }));
  engines.set(name, engine);
  return engine;
};

export default ({ key, host }: CompileTask): Promise<TaskReply<unknown>> =>
  answer(async () => {
    const startMs = performance.now();
    const compiled = await compileKernel(await engineFor(key.engine), key, host);
    return { ...compiled, compileMs: performance.now() - startMs };
  });
