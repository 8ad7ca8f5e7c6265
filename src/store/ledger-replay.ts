/**
 * Rebuilds from the ledger's entries alone where every run, seed and budget stands, and reads the same from the tables.
 *
 * W1 A seed's transitions are followed as those of the event log: a gap or an illegal step is a DataError.
 * W2 A run that goes on from a checkpoint stands where the entries after that say.
 * W3 The two standings are equal, or each difference is named.
 */
import { isDeepStrictEqual } from "node:util";
import type { BudgetStanding } from "../contracts/budget.ts";
import { DataError } from "../contracts/errors.ts";
import { type LedgerEntry, moveBudget, noBudget, type RunStanding } from "../contracts/ledger.ts";
import { LifecycleState } from "../contracts/lifecycle.ts";
import { type DatabaseReader, integer, optional, text } from "./database.ts";
import { anything, checkContract, decodeJson, hashJson } from "./json.ts";
import { followTransition, type SeedStanding } from "./replay.ts";
import { runOutcome } from "./run-store.ts";

export type Standings = ReadonlyMap<string, RunStanding>;

interface ReplayedRun extends Omit<RunStanding, "seeds"> {
  paused: boolean;
  outcome: RunStanding["outcome"];
  budget: BudgetStanding | null;
  readonly seeds: Map<string, SeedStanding>;
}

const beginning = (arm: string): ReplayedRun => ({ arm, paused: false, outcome: null, seeds: new Map(), budget: null });

/** Takes entries in order; memory is that of the runs and seeds, not of the entries. */
export class LedgerReplay {
  readonly #runs = new Map<string, ReplayedRun>();

  take(entry: LedgerEntry): void {
    const { runId } = entry.subject;
    if (runId === undefined) return;
    const what = `ledger entry ${entry.index}`;
    const known = (): ReplayedRun => {
      const run = this.#runs.get(runId);
      if (run !== undefined) return run;
      throw new DataError(`${what}: expected a run that the ledger saw begin, found ${runId}; the ledger is damaged`);
    };
    switch (entry.kind) {
      case "run_started":
        this.#runs.set(runId, beginning(entry.payload.arm));
        return;
      case "run_finished": {
        const { outcome: kind, reason } = entry.payload;
        known().outcome = { kind, reason };
        return;
      }
      case "rewind":
        this.#runs.set(runId, beginning(known().arm)); // W2
        return;
      case "command":
        if (entry.payload.paused !== undefined) known().paused = entry.payload.paused;
        return;
      case "transition": {
        const { seeds } = known();
        const { seedId } = entry.payload;
        seeds.set(seedId, followTransition(seeds.get(seedId), entry.payload, what)); // W1
        return;
      }
      case "budget": {
        const run = known();
        run.budget = moveBudget(run.budget ?? noBudget, entry.payload);
        return;
      }
      case "decision":
      case "escalation":
      case "refusals":
      case "index_made":
      case "heads_restored":
        return;
    }
  }

  standings(): Standings {
    return new Map([...this.#runs].map(([runId, run]) => [runId, { ...run, seeds: Object.fromEntries(run.seeds) }]));
  }
}

/** Where the tables say that every run stands. `budgetOf` reads the budget out of a boundary's snapshots. */
export const readStandings = (
  database: Pick<DatabaseReader, "prepare">,
  budgetOf: (snapshots: unknown) => BudgetStanding,
): Standings => {
  const seeds = database.prepare(
    "SELECT seed_id, state, MAX(sequence) AS sequence FROM seed_transitions WHERE run_id = ? GROUP BY seed_id",
  );
  const last = database.prepare("SELECT snapshots FROM boundaries WHERE run_id = ? ORDER BY epoch DESC LIMIT 1");
  const standings = new Map<string, RunStanding>();
  for (const row of database.prepare("SELECT * FROM runs ORDER BY run_id").all()) {
    const runId = text(row, "run_id");
    const stored = text(last.get(runId) ?? { snapshots: row["base_snapshots"] }, "snapshots");
    const snapshots = decodeJson(stored, anything, `snapshots of run ${runId}`);
    const outcome = optional(row, "outcome", text);
    standings.set(runId, {
      arm: text(row, "arm"),
      paused: integer(row, "paused") === 1,
      outcome: outcome === undefined ? null : runOutcome(outcome, text(row, "reason")),
      seeds: Object.fromEntries(
        seeds.all(runId).map((seed) => {
          const seedId = text(seed, "seed_id");
          const state = checkContract(text(seed, "state"), LifecycleState, `state of ${seedId} in run ${runId}`);
          return [seedId, { state, sequence: integer(seed, "sequence") }];
        }),
      ),
      budget: snapshots === null ? null : budgetOf(snapshots),
    });
  }
  return standings;
};

/** Equal standings have equal hashes. */
export const hashOfStandings = (standings: Standings): string =>
  hashJson(
    [...standings].sort(([a], [b]) => (a < b ? -1 : 1)),
    "standing of the runs",
  );

/** W3: what differs, in words. */
export const differences = (told: Standings, stored: Standings): readonly string[] => {
  const found: string[] = [];
  for (const runId of new Set([...told.keys(), ...stored.keys()])) {
    const [a, b] = [told.get(runId), stored.get(runId)];
    if (a === undefined) found.push(`run ${runId}: the ledger does not tell of it`);
    else if (b === undefined) found.push(`run ${runId}: only the ledger tells of it`);
    else {
      for (const part of ["arm", "paused", "outcome", "budget"] as const)
        if (!isDeepStrictEqual(a[part], b[part]))
          found.push(`run ${runId}, ${part}: the ledger says ${JSON.stringify(a[part])}, the tables ${JSON.stringify(b[part])}`);
      for (const seedId of new Set([...Object.keys(a.seeds), ...Object.keys(b.seeds)])) {
        const [x, y] = [a.seeds[seedId], b.seeds[seedId]];
        if (!isDeepStrictEqual(x, y))
          found.push(`run ${runId}, ${seedId}: the ledger says ${JSON.stringify(x)}, the tables ${JSON.stringify(y)}`);
      }
    }
  }
  return found;
};
