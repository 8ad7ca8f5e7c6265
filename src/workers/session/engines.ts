/** The engines of a thread, each loaded once, and another one for each to hold its numbers against. */
import type { Engine, EngineName } from "../../engine/engine.ts";
import { createEngine } from "../../engine/engine.ts";

/** The quickest first. */
const referencesOf: Readonly<Record<EngineName, readonly EngineName[]>> = {
  native: ["wasm", "cpu"],
  wasm: ["native", "cpu"],
  cpu: ["native", "wasm"],
};

const engines = new Map<string, Promise<Engine>>();

/** @param threads Of the engine's own, one unless said. */
export const sharedEngine = (name: EngineName, threads = 1): Promise<Engine> => {
  const key = `${name}:${threads}`;
  const known = engines.get(key) ?? createEngine(name, { threads });
  engines.set(key, known);
  known.catch(() => engines.delete(key));
  return known;
};

/** @throws AggregateError when no other engine can be loaded. */
export const referenceEngine = async (name: EngineName): Promise<Engine> => {
  const reasons: unknown[] = [];
  for (const other of referencesOf[name]) {
    try {
      return await sharedEngine(other);
    } catch (error) {
      reasons.push(error);
    }
  }
  throw new AggregateError(
    reasons,
    `expected another engine beside ${name} to measure against, none can be loaded; run esper doctor`,
  );
};
