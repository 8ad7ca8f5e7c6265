/** What a germination grows, or takes out, from the options of `esper ctl germinate`. */
import { blueprintKinds, hasWidth } from "../../contracts/blueprint-kinds.ts";
import { InputError } from "../../contracts/errors.ts";
import type { PruneTarget } from "../../contracts/pruning.ts";

type Given = Readonly<Record<string, unknown>>;

/** `h2` means its first seed. */
export const seedOf = (text: string | undefined): string | undefined =>
  text === undefined || text.startsWith("seed:") ? text : `seed:${text}`;

/** Undefined where the configuration is to choose. */
export const blueprintOf = ({ blueprint, blueprintHash: hash, width }: Given): Given | undefined => {
  if (hash !== undefined) {
    if (blueprint === undefined && width === undefined) return { hash };
    throw new InputError("expected --blueprint-hash alone, got it beside --blueprint or --width; the hash says both");
  }
  const kind = blueprintKinds.find((each) => each === blueprint);
  if (kind === undefined) return width === undefined ? undefined : { kind: "dense", hiddenWidth: width };
  if (width === undefined && hasWidth(kind))
    throw new InputError(`expected --width beside --blueprint ${kind}, got none; give its units, channels, rank or head width`);
  return { kind, hiddenWidth: width ?? 1 };
};

/** What is to go at the layer that a seed is named for; undefined where nothing is. */
export const pruneOf = ({ seed, pruneUnits: units, pruneBypass: bypass }: Given): PruneTarget | undefined => {
  const site = String(seed ?? "")
    .replace(/^seed:/, "")
    .replace(/\.prune$/, "");
  if (units !== undefined && bypass !== undefined)
    throw new InputError("expected --prune-units or --prune-bypass, got both; one trial takes out one thing");
  if (Array.isArray(units)) return { kind: "units", site, units: units.map(Number), constants: [] };
  const seedId = typeof bypass === "string" ? seedOf(bypass) : undefined;
  return seedId === undefined ? undefined : { kind: "bypass", site, seedId };
};
