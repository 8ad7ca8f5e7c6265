/**
 * One live XState actor per seed, for whoever watches; they follow what was decided and stored.
 *
 * V1 A live seed is told an event only after its outcome is durable.
 * V2 A live seed and the stored one never differ: a difference is a bug and ends Kasmina.
 */
import { type Actor, createActor } from "xstate";
import type { LifecycleState } from "../contracts/lifecycle.ts";
import type { SeedStateTable } from "../contracts/seed-state.ts";
import { type KasminaRunState, seedPlaces, seedRow, seedSites } from "../machines/kasmina-state.ts";
import type { SeedEvent, SeedOutcome } from "../machines/seed-context.ts";
import { restoreSeed, seedMachine } from "../machines/seed-machine.ts";

export class LiveSeeds {
  readonly #actors = new Map<string, Actor<typeof seedMachine>>();
  readonly #table: SeedStateTable;

  /** Starts an actor for every seed of the run, from its stored state where it has one. */
  constructor(state: KasminaRunState, table: SeedStateTable, onError: (error: unknown) => void) {
    this.#table = table;
    const { runId, config, epochSteps } = state.setup;
    const sites = seedSites(state.host).map(({ site }) => site);
    for (const { seedId, site } of seedPlaces(sites, config)) {
      const stored = state.seeds[seedId];
      const input = { runId, seedId, site, config, epochSteps };
      const actor =
        stored === undefined
          ? createActor(seedMachine, { input, id: seedId })
          : createActor(seedMachine, { input, id: seedId, snapshot: restoreSeed(stored, { config, epochSteps }) });
      // Without a listener for errors XState throws them where nobody can catch them.
      actor.subscribe({ error: onError });
      actor.start();
      this.#actors.set(seedId, actor);
      this.#show(state, seedId, stateOf(actor));
    }
  }

  get size(): number {
    return this.#actors.size;
  }

  /** V1, V2 */
  follow(
    state: KasminaRunState,
    steps: readonly { readonly seedId: string; readonly event: SeedEvent; readonly outcome: SeedOutcome }[],
  ): void {
    for (const { seedId, event, outcome } of steps) {
      const actor = this.#actors.get(seedId);
      if (actor === undefined) throw new Error(`expected a live actor for ${seedId}, found none: a bug`);
      actor.send(event);
      const got = actor.getSnapshot().context.outcome;
      if (got?.kind !== outcome.kind)
        throw new Error(
          `${seedId}: expected the live actor to answer ${event.type} with ${outcome.kind}, got ${got?.kind}: a bug`,
        );
      this.#show(state, seedId, stateOf(actor));
    }
  }

  stop(): void {
    for (const actor of this.#actors.values()) actor.stop();
    this.#actors.clear();
  }

  #show(state: KasminaRunState, seedId: string, lifecycle: LifecycleState): void {
    const row = seedRow(state, seedId);
    if (row !== undefined) this.#table.setLifecycle(row, lifecycle);
  }
}

const stateOf = (actor: Actor<typeof seedMachine>): LifecycleState => actor.getSnapshot().value;
