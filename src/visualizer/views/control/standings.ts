/** Which commands are legal now for who holds the token. */
import type { CommandKind, Role } from "../../../contracts/roles.ts";
import type { CommandStanding, ViewRun, ViewState } from "../../../contracts/view.ts";
import { legalCommands } from "../../../view/legal-commands.ts";
import { claims } from "../../data/token.ts";

export type Standings = ReadonlyMap<CommandKind, CommandStanding>;

const roleNow = (): Role | undefined => claims.value?.role;

const byKind = (standings: readonly CommandStanding[]): Standings => new Map(standings.map((each) => [each.kind, each]));

export const seedStandings = (state: ViewState, runId: string, seedId: string): Standings =>
  byKind(legalCommands(state, runId, seedId, roleNow()));

/** Of the run, and of the node with its waiting commands. */
export const runStandings = (state: ViewState, runId: string | null): Standings =>
  byKind([
    ...legalCommands(state, null, null, roleNow()),
    ...(runId === null ? [] : legalCommands(state, runId, null, roleNow())),
  ]);

/** For commands to a layer, or to growth as a whole: nothing but the role and the end of the run stands against them. */
export const layerStanding = (state: ViewState, run: ViewRun, kind: CommandKind): CommandStanding => {
  const role = roleNow();
  const allowed = role !== undefined && (state.commandRoles[kind]?.includes(role) ?? false);
  const reason = !allowed
    ? `${kind} is not for the role of this token`
    : run.outcome === "running"
      ? ""
      : `the run is over: ${run.outcome}`;
  return { kind, legal: reason === "", reason, irreversible: false };
};
