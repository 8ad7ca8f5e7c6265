/** Which layers a damage means: by name, by the prefix of a block or stage, or drawn at random. */
import type { DamageConfig } from "../../contracts/config-damage.ts";
import { GraphError, InputError } from "../../contracts/errors.ts";
import type { Host } from "../../contracts/graph.ts";
import { layersAt } from "../../contracts/host-layers.ts";
import type { RandomSource } from "../../contracts/ports.ts";
import { anatomyOf, feederOf, type LayerAnatomy } from "./anatomy.ts";

/** How much of a layer there is to damage, and why not where there is nothing. */
type Extent = { readonly kind: "possible"; readonly size: number } | { readonly kind: "impossible"; readonly reason: string };

/** The layer whose units die when this one is to be dead: a linear layer before a sum dies by the units that feed it. */
export const dyingLayer = (host: Host, anatomy: LayerAnatomy): LayerAnatomy | undefined => {
  if (anatomy.activation === "relu" || anatomy.normalization !== undefined) return anatomy;
  const closed = (candidate: LayerAnatomy | undefined): boolean =>
    candidate?.readers !== undefined && candidate.readers.length > 0 && candidate.activation !== "other";
  if (closed(anatomy)) return anatomy;
  const feeder = anatomy.activation === "linear" ? feederOf(host, anatomy.name) : undefined;
  return closed(feeder) ? feeder : undefined;
};

const possible = (size: number): Extent => ({ kind: "possible", size });
const impossible = (reason: string): Extent => ({ kind: "impossible", reason });

const extentOf = (host: Host, anatomy: LayerAnatomy, kind: DamageConfig["kind"]): Extent => {
  const { units, inputs } = anatomy.weight;
  switch (kind) {
    case "dead": {
      const dying = dyingLayer(host, anatomy);
      return dying === undefined
        ? impossible("its units add to a sum or pass an activation that has no dead side")
        : possible(dying.weight.units);
    }
    case "saturated":
      return anatomy.activation === "linear" || anatomy.activation === "other"
        ? impossible("it has no activation of its own")
        : possible(units);
    case "rank":
      return possible(Math.min(units, inputs));
    case "narrow":
      return anatomy.readers?.every(({ direct }) => direct) === true
        ? possible(units)
        : impossible("its width is bound to that of other layers");
    case "initialization":
      return possible(units);
  }
};

const refuse = (key: "site" | "live" | "layers" | "kind", expected: string, found: unknown, next: string): InputError =>
  new InputError(`damage.${key}: expected ${expected}, found ${String(found)}; ${next}`, { path: `damage.${key}` });

/**
 * The layers that a damage hits, in topological order. Of a prefix or a run of adjacent layers those are left out that this kind
 * cannot hit: a linear convolution does not saturate, a residual stream does not narrow.
 * @throws InputError when there is no such layer, or nothing there that this damage could do.
 */
export const damagedLayers = (host: Host, damage: DamageConfig, random: RandomSource): string[] => {
  const { site, kind, live, layers } = damage;
  const layersOfHost = host.layers.filter((layer) => layer.kind !== "output");
  const hidden = layersOfHost.map(({ name }) => name);
  const extents = new Map(hidden.map((name) => [name, extentFor(host, name, kind)]));
  const fits = (name: string): boolean => {
    const extent = extents.get(name)!;
    return extent.kind === "possible" && live < extent.size;
  };
  const whyNot = (name: string): InputError => {
    const extent = extents.get(name)!;
    return extent.kind === "impossible"
      ? refuse("kind", `a kind that ${name} can have`, kind, `${extent.reason}; choose another kind or site`)
      : refuse("live", `fewer than the ${extent.size} of ${name}`, live, "nothing would be damaged; lower it");
  };
  if (site === "random") {
    const starts = hidden.filter((_, i) => i + layers <= hidden.length && hidden.slice(i, i + layers).every(fits));
    if (starts.length === 0)
      throw hidden.length < layers ? tooMany(layers, hidden.length) : whyNot(hidden.find((name) => !fits(name))!);
    const start = hidden.indexOf(starts[random.fork("site").integer(starts.length)]!);
    return hidden.slice(start, start + layers);
  }
  const named = layersAt(layersOfHost, site).map(({ name }) => name);
  if (named.length === 0) {
    throw refuse("site", `\`random\`, one of ${hidden.join(", ")} or a prefix of theirs`, site, "name a hidden layer");
  }
  const isLayer = hidden.includes(site);
  if (!isLayer && layers > 1)
    throw refuse("layers", `1 where the site ${site} is a prefix`, layers, "name the first layer, or leave it out");
  const start = hidden.indexOf(named[0]!);
  if (isLayer && start + layers > hidden.length) throw tooMany(layers, hidden.length - start);
  const meant = isLayer ? hidden.slice(start, start + layers) : named;
  const hit = meant.filter(fits);
  if (hit.length === 0 || (isLayer && hit[0] !== site)) throw whyNot(meant[0]!);
  return hit;
};

const tooMany = (layers: number, left: number): InputError =>
  refuse("layers", `at most the ${left} hidden layers from the site on`, layers, "lower it or start earlier");

const extentFor = (host: Host, name: string, kind: DamageConfig["kind"]): Extent => {
  try {
    return extentOf(host, anatomyOf(host, name), kind);
  } catch (error) {
    if (error instanceof GraphError) return impossible(error.message);
    throw error;
  }
};
