/** All seeds: the grid and the table beside it, what is shown of them, and the seed that is looked at. */
import { signal } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { LifecycleState } from "../../../contracts/lifecycle.ts";
import type { ViewRun } from "../../../contracts/view.ts";
import { findSeed } from "../../../view/reduce.ts";
import { readRun, versionOf } from "../../data/store.ts";
import { after } from "../../lib/clock.ts";
import { plural, short } from "../../lib/format.ts";
import { goTo, hrefOf, route } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { stateNames } from "../../parts/state-look.ts";
import { StateMark } from "../../parts/state-mark.tsx";
import { SeedDetail } from "./seed-detail.tsx";
import { SeedGrid } from "./seed-grid.tsx";
import {
  blueprintOf,
  countStates,
  everySeed,
  type HealthBand,
  healthBands,
  isFiltered,
  orderSeeds,
  type SeedFilter,
  type SortKey,
  sortKeys,
} from "./seed-order.ts";
import { SeedTable } from "./seed-table.tsx";

const filter = signal<SeedFilter>(everySeed);
const narrow = signal<"grid" | "table">("grid");

const sortWords: Readonly<Record<SortKey, string>> = {
  host: "Order of the host",
  state: "State, furthest first",
  health: "Health, worst first",
  recent: "Newest change first",
  name: "Name",
};
const healthWords: Readonly<Record<HealthBand, string>> = {
  any: "Any health",
  poor: "Health below 0.4",
  fair: "Health 0.4 to 0.75",
  sound: "Health above 0.75",
  unmeasured: "Not measured",
};

/** Above this many seeds a changing order is followed twice a second, so that sorting never holds up drawing. */
const patientFrom = 5000;
const patienceMs = 500;

const usePatiently = (version: number, count: number): number => {
  const [held, setHeld] = useState(version);
  useEffect(() => {
    if (held === version) return;
    if (count < patientFrom) {
      setHeld(version);
      return;
    }
    return after(patienceMs, () => setHeld(version));
  }, [version, count, held]);
  return count < patientFrom ? version : held;
};

const Chips = ({ run }: { readonly run: ViewRun }) => {
  const counts = countStates(run.seeds);
  const toggle = (state: LifecycleState): void => {
    const states = new Set(filter.value.states);
    if (!states.delete(state)) states.add(state);
    filter.value = { ...filter.value, states };
  };
  return (
    <fieldset class="row wraps" aria-label="States">
      {stateNames
        .filter((state) => (counts.get(state) ?? 0) > 0 || filter.value.states.has(state))
        .map((state) => (
          <button
            key={state}
            type="button"
            class="chip state-chip"
            aria-pressed={filter.value.states.has(state)}
            onClick={() => toggle(state)}
          >
            <StateMark state={state} /> <b class="num">{short(counts.get(state) ?? 0)}</b>
          </button>
        ))}
    </fieldset>
  );
};

const Tools = ({ run }: { readonly run: ViewRun }) => {
  const { value } = filter;
  const blueprints = [...new Set(run.seeds.map(blueprintOf))].filter((kind) => kind !== "").sort();
  return (
    <div class="row wraps seed-tools">
      <input
        class="input"
        type="search"
        placeholder="Seed or layer"
        aria-label="Seed or layer"
        value={value.text}
        onInput={(event) => {
          filter.value = { ...filter.value, text: event.currentTarget.value };
        }}
      />
      <select
        class="input"
        aria-label="Health"
        value={value.health}
        onChange={(event) => {
          const health = healthBands.find((each) => each === event.currentTarget.value) ?? "any";
          filter.value = { ...filter.value, health };
        }}
      >
        {healthBands.map((band) => (
          <option key={band} value={band}>
            {healthWords[band]}
          </option>
        ))}
      </select>
      {blueprints.length === 0 ? null : (
        <select
          class="input"
          aria-label="Blueprint"
          value={value.blueprint}
          onChange={(event) => {
            filter.value = { ...filter.value, blueprint: event.currentTarget.value };
          }}
        >
          <option value="">Any blueprint</option>
          {blueprints.map((kind) => (
            <option key={kind} value={kind}>
              {kind}
            </option>
          ))}
        </select>
      )}
      <select
        class="input"
        aria-label="Order"
        value={value.sort}
        onChange={(event) => {
          const sort = sortKeys.find((each) => each === event.currentTarget.value) ?? "host";
          filter.value = { ...filter.value, sort };
        }}
      >
        {sortKeys.map((key) => (
          <option key={key} value={key}>
            {sortWords[key]}
          </option>
        ))}
      </select>
      {isFiltered(value) ? (
        <button type="button" class="button tight" onClick={() => (filter.value = { ...everySeed, sort: value.sort })}>
          Show all
        </button>
      ) : null}
      <fieldset class="segments narrow-only" aria-label="Form">
        <button type="button" aria-pressed={narrow.value === "grid"} onClick={() => (narrow.value = "grid")}>
          Grid
        </button>
        <button type="button" aria-pressed={narrow.value === "table"} onClick={() => (narrow.value = "table")}>
          Table
        </button>
      </fieldset>
    </div>
  );
};

export const Seeds = () => {
  const run = readRun("seeds", "signals");
  const version = versionOf("seeds", "signals");
  const patient = usePatiently(version, run?.seeds.length ?? 0);
  const { value } = filter;
  const byOrderOnly = value.sort === "host" && !isFiltered(value);
  const order = useMemo(
    () => (run === undefined ? new Uint32Array(0) : orderSeeds(run, value, stateNames)),
    [run?.seeds, run?.seeds.length, value, byOrderOnly ? 0 : patient],
  );
  const [cursorId, setCursorId] = useState<string | undefined>(route.value.target);
  const { target } = route.value;
  useEffect(() => {
    if (target !== undefined) setCursorId(target);
  }, [target]);
  const cursor = useMemo(() => {
    if (run === undefined || cursorId === undefined) return undefined;
    const place = order.findIndex((index) => run.seeds[index]?.seedId === cursorId);
    return place < 0 ? undefined : place;
  }, [order, cursorId, run]);

  if (run === undefined || run.seeds.length === 0)
    return (
      <Absence icon="seeds" title="No seeds yet" tall>
        A run plants one dormant seed at each layer when it starts.
      </Absence>
    );
  const idAt = (place: number): string | undefined => run.seeds[order[place] ?? -1]?.seedId;
  const move = (place: number): void => {
    const id = idAt(place);
    setCursorId(id);
    if (target !== undefined && id !== undefined) goTo("seeds", id);
  };
  const open = (place: number): void => {
    const id = idAt(place);
    if (id !== undefined) goTo("seeds", id);
  };
  const seed = target === undefined ? undefined : findSeed(run, target);
  return (
    <div class={target === undefined ? "seeds" : "seeds with-detail"}>
      <div class="seeds-list">
        <Tools run={run} />
        <Chips run={run} />
        {order.length === 0 ? (
          <div class="card grow">
            <Absence title="No seed is like that">
              {plural(run.seeds.length, "seed")} in all; <code>Show all</code> shows them.
            </Absence>
          </div>
        ) : (
          <div class="seeds-panes" data-narrow={narrow.value}>
            <div class="card pane-grid">
              <SeedGrid run={run} order={order} cursor={cursor} onMove={move} onOpen={open} version={version} />
            </div>
            <div class="card pane-table">
              <SeedTable run={run} order={order} cursor={cursor} onMove={move} />
            </div>
          </div>
        )}
      </div>
      {target === undefined ? null : seed === undefined ? (
        <div class="card seed-detail">
          <Absence title="This run has no such seed">
            <a href={hrefOf("seeds")}>All seeds</a>
          </Absence>
        </div>
      ) : (
        <SeedDetail key={seed.seedId} run={run} seed={seed} />
      )}
    </div>
  );
};
