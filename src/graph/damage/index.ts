/** Damage for experiments: what a configuration asks for, done to a host before training. */
import type { DamageConfig } from "../../contracts/config-damage.ts";
import type { Host } from "../../contracts/graph.ts";
import { limitRank, narrow } from "./structure.ts";

export { damageParameters } from "./parameters.ts";
export { damagedLayers } from "./sites.ts";

/** The host with damage that lies in its structure, `rank` and `narrow`; for other kinds the host itself. */
export const damageStructure = (
  host: Host,
  layers: readonly string[],
  { kind, live }: Pick<DamageConfig, "kind" | "live">,
): Host => {
  if (kind !== "rank" && kind !== "narrow") return host;
  return layers.reduce((damaged, name) => (kind === "rank" ? limitRank(damaged, name, live) : narrow(damaged, name, live)), host);
};
