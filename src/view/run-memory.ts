/**
 * What the reader of events remembers of a run, because a message that comes later is read by it: the configuration, the sites of seeds,
 * embargoes, what is held still, and germinations that were accepted and have not begun. Bounded.
 */
import type { Holds, KasminaControlCommand } from "../contracts/commands.ts";
import { concernsRun } from "../contracts/commands.ts";
import type { MorphogeneticConfig } from "../contracts/config-morphogenetic.ts";
import type { TrialPatch } from "../contracts/view.ts";
import { viewBounds } from "./bounds.ts";

const planned = 64;

export class RunMemory {
  config: MorphogeneticConfig | undefined;
  /** False for an arm that trains without growth: it has no seeds. */
  growth: boolean | undefined;
  holds: Holds = { adaptationPaused: false, pausedSites: [], pins: [] };
  /** By seed, what is known of a germination before it begins. */
  readonly #plans = new Map<string, TrialPatch>();
  readonly #sites = new Map<string, string>();
  readonly #embargoes = new Map<string, number>();

  plant(seedId: string, site: string): void {
    if (this.#sites.size < viewBounds.seedsMax) this.#sites.set(seedId, site);
  }

  plan(seedId: string, patch: TrialPatch): void {
    const known = this.#plans.get(seedId);
    this.#plans.delete(seedId);
    this.#plans.set(seedId, { ...known, ...patch });
    const oldest = this.#plans.keys().next().value;
    if (this.#plans.size > planned && oldest !== undefined) this.#plans.delete(oldest);
  }

  takePlan(seedId: string): TrialPatch {
    const plan = this.#plans.get(seedId) ?? {};
    this.#plans.delete(seedId);
    return plan;
  }

  /** Undefined as the window: none. True when something changed. */
  embargo(seedId: string, untilEpoch: number | undefined): boolean {
    const site = this.#sites.get(seedId);
    if (site === undefined || this.#embargoes.get(site) === untilEpoch) return false;
    if (untilEpoch === undefined) return this.#embargoes.delete(site);
    this.#embargoes.set(site, untilEpoch);
    return true;
  }

  embargoes(): Record<string, number> {
    return Object.fromEntries(this.#embargoes);
  }

  /** The holds after a command was accepted, or, `undone`, refused after all. */
  hold(command: KasminaControlCommand, undone: boolean): boolean {
    const { holds } = this;
    const put = (names: readonly string[], name: string, add: boolean): string[] => [
      ...names.filter((each) => each !== name),
      ...(add ? [name] : []),
    ];
    if (command.kind === "pin" || command.kind === "unpin") {
      this.holds = { ...holds, pins: put(holds.pins, command.target, (command.kind === "pin") !== undone) };
      return true;
    }
    if ((command.kind !== "pause" && command.kind !== "resume") || concernsRun(command)) return false;
    const paused = (command.kind === "pause") !== undone;
    this.holds =
      command.site === undefined
        ? { ...holds, adaptationPaused: paused }
        : { ...holds, pausedSites: put(holds.pausedSites, command.site, paused) };
    return true;
  }
}
