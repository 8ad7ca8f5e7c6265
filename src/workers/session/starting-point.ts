/** Where a session starts: the host that the spec names or brings, its first parameters, and the damage done to it. */
import { isDeepStrictEqual } from "node:util";
import type { Host, Tensor } from "../../contracts/graph.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { damagedLayers, damageParameters, damageStructure } from "../../graph/damage/index.ts";
import { hostFor } from "../../graph/hosts/index.ts";
import { initializeParameters } from "../../graph/initialize.ts";
import { trainStep } from "../../graph/step.ts";
import type { OpenRequest } from "../lane.ts";
import { cohortsOf } from "./programs.ts";

export interface StartingPoint {
  readonly host: Host;
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** In topological order. */
  readonly damagedSites: readonly string[];
  /** FLOPs of one step of the host without damage; absent where the damage left its structure alone. */
  readonly undamagedStepFlops?: number;
}

/** The host of the configuration with fresh parameters, or the imported one with its own; damaged where the spec says so. */
export const startingPoint = ({ spec, dataset, imported }: OpenRequest, root: RandomSource): StartingPoint => {
  const { optimizer, batchSize: batch, damage } = spec;
  const whole = imported?.host ?? hostFor(spec.model, dataset);
  const stream = root.fork("damage");
  const damagedSites = damage === undefined ? [] : damagedLayers(whole, damage, stream);
  const host = damage === undefined ? whole : damageStructure(whole, damagedSites, damage);
  const budget =
    host === whole
      ? {}
      : { undamagedStepFlops: trainStep({ host: whole, optimizer, trainableCohorts: cohortsOf(whole), batch }).flops };
  const fresh = initializeParameters(host.graph.parameters, root.fork("parameters"));
  const parameters = new Map(
    [...fresh].map(([name, tensor]) => {
      const own = imported?.parameters[name];
      return [name, own !== undefined && isDeepStrictEqual(own.shape, tensor.shape) ? own : tensor];
    }),
  );
  if (damage === undefined) return { host, parameters, damagedSites, ...budget };
  const damaged = damageParameters(host, damagedSites, damage, parameters, stream);
  return { host, parameters: new Map([...parameters, ...damaged]), damagedSites, ...budget };
};
