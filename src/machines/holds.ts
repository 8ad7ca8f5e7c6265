/**
 * What people hold still in a run: adaptation as a whole, at single layers, and what they pinned. Pure.
 *
 * H1 A pinned seed or layer is never grown on, pruned from, or culled: nothing begins there, and a pin is refused while a trial is open there.
 * H2 While adaptation is paused, in the run or at a layer, nothing new begins there; an open trial goes on to its verdict.
 */
import type { Holds, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import { concernsRun } from "../contracts/commands.ts";
import type { PruneTarget } from "../contracts/pruning.ts";

export const noHolds: Holds = { adaptationPaused: false, pausedSites: [], pins: [] };
export const holdsMax = 1024;

export interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
}

/** What a germination touches. */
export interface Touched {
  readonly seedId: string;
  readonly fromSite: string;
  readonly toSite: string;
  readonly prune?: PruneTarget | undefined;
}

/** The names under which what is touched may be pinned. */
export const namesOf = ({ seedId, fromSite, toSite, prune }: Touched): readonly string[] => [
  seedId,
  fromSite,
  toSite,
  ...(prune?.kind === "bypass" ? [prune.seedId] : []),
];

/** Why nothing may begin there; undefined when it may. H1, H2 */
export const heldStill = ({ adaptationPaused, pausedSites, pins }: Holds, touched: Touched): Refusal | undefined => {
  const pinned = namesOf(touched).find((name) => pins.includes(name));
  if (pinned !== undefined) return { code: "pinned", reason: `${pinned} is pinned; unpin it first` };
  if (adaptationPaused)
    return { code: "adaptation_paused", reason: "adaptation of this run is paused; resume it with scope adaptation" };
  const paused = [touched.fromSite, touched.toSite].find((site) => pausedSites.includes(site));
  return paused === undefined
    ? undefined
    : { code: "adaptation_paused", reason: `adaptation at ${paused} is paused; resume that site` };
};

export type HoldCommand = Extract<KasminaControlCommand, { kind: "pause" | "resume" | "pin" | "unpin" }>;

const without = (names: readonly string[], name: string): string[] => names.filter((each) => each !== name);
const withName = (names: readonly string[], name: string): string[] => [...without(names, name), name];

/** The holds after a command; one that concerns the run itself changes none. */
export const applyHold = (holds: Holds, command: HoldCommand): Holds => {
  switch (command.kind) {
    case "pin":
      return { ...holds, pins: withName(holds.pins, command.target) };
    case "unpin":
      return { ...holds, pins: without(holds.pins, command.target) };
    case "pause":
    case "resume": {
      if (concernsRun(command)) return holds;
      const pause = command.kind === "pause";
      const { site } = command;
      if (site === undefined) return { ...holds, adaptationPaused: pause };
      const { pausedSites } = holds;
      return { ...holds, pausedSites: pause ? withName(pausedSites, site) : without(pausedSites, site) };
    }
  }
};

/** Why a command would change nothing, or too much; undefined when it may. Whether the names exist is not looked at here. */
export const refuseHold = (holds: Holds, command: HoldCommand): Refusal | undefined => {
  const same = applyHold(holds, command);
  const unchanged = (Object.keys(same) as (keyof Holds)[]).every((key) => {
    const [before, after] = [holds[key], same[key]];
    return Array.isArray(before) && Array.isArray(after) ? before.length === after.length : before === after;
  });
  if (same.pins.length > holdsMax || same.pausedSites.length > holdsMax)
    return { code: "limit", reason: `at most ${holdsMax} pins and paused sites` };
  if (!unchanged) return undefined;
  switch (command.kind) {
    case "pin":
      return { code: "pinned", reason: `${command.target} is pinned already` };
    case "unpin":
      return { code: "illegal_transition", reason: `${command.target} is not pinned` };
    case "pause":
      return {
        code: "already_paused",
        reason: `adaptation ${command.site === undefined ? "" : `at ${command.site} `}is paused already`,
      };
    case "resume":
      return { code: "not_paused", reason: `adaptation ${command.site === undefined ? "" : `at ${command.site} `}is not paused` };
  }
};
