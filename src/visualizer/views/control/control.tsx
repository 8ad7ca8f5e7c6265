/** Where a person steers the run: every control is a command through the Gate, and every command has its receipt here. */
import { useState } from "preact/hooks";
import type { BudgetResource } from "../../../contracts/budget.ts";
import type { ViewCommand, ViewRun, ViewState } from "../../../contracts/view.ts";
import { findSeed } from "../../../view/reduce.ts";
import { type Sent, sent } from "../../data/commands.ts";
import { readRun, readState } from "../../data/store.ts";
import { token } from "../../data/token.ts";
import { bounded, clockTime, short } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { Card } from "../../parts/card.tsx";
import { toneOf } from "../../parts/notices.tsx";
import { StateMark } from "../../parts/state-mark.tsx";
import { CommandButton } from "./command-button.tsx";
import { DeadLetterDesk } from "./dead-letters.tsx";
import { Fate } from "./fate.tsx";
import { NodeCommands } from "./node-commands.tsx";
import { SeedCommands } from "./seed-commands.tsx";
import { layerStanding, runStandings, type Standings } from "./standings.ts";
import { TokenEntry } from "./token-entry.tsx";
import { Waiting, waitingIn } from "./waiting.tsx";

const receiptsShownMax = 60;
const seedNamesMax = 500;

const RunCommands = ({
  state,
  run,
  standings,
}: {
  readonly state: ViewState;
  readonly run: ViewRun;
  readonly standings: Standings;
}) => {
  const base = { runId: run.runId };
  return (
    <div class="row wraps">
      {run.paused ? (
        <CommandButton label="Resume the run" body={{ ...base, kind: "resume" }} standing={standings.get("resume")} primary />
      ) : (
        <CommandButton label="Pause the run" body={{ ...base, kind: "pause" }} standing={standings.get("pause")} />
      )}
      {run.holds.adaptationPaused ? (
        <CommandButton
          label="Resume growth"
          body={{ ...base, kind: "resume", scope: "adaptation" }}
          standing={layerStanding(state, run, "resume")}
        />
      ) : (
        <CommandButton
          label="Pause growth"
          body={{ ...base, kind: "pause", scope: "adaptation" }}
          standing={layerStanding(state, run, "pause")}
        />
      )}
      <CommandButton label="Roll back the trial" body={{ ...base, kind: "rollback" }} standing={standings.get("rollback")} />
      <CommandButton label="Write a checkpoint" body={{ ...base, kind: "checkpoint" }} standing={standings.get("checkpoint")} />
      <CommandButton
        label="Decide now"
        about="Have Tamiyo decide now"
        body={{ ...base, kind: "step" }}
        standing={standings.get("step")}
      />
      <CommandButton label="Stop the run" body={{ ...base, kind: "stop" }} standing={standings.get("stop")} asks />
    </div>
  );
};

const resources = ["parameters", "flops", "seconds", "deviceBytes"] as const satisfies readonly BudgetResource[];
const resourceWords: Readonly<Record<BudgetResource, string>> = {
  parameters: "Parameters",
  flops: "FLOPs",
  seconds: "Seconds",
  deviceBytes: "Bytes on the device",
};

const Limit = ({ run, standings }: { readonly run: ViewRun; readonly standings: Standings }) => {
  const [resource, setResource] = useState<BudgetResource>("flops");
  const [text, setText] = useState("");
  const max = Number(text);
  const known = text.trim() !== "" && Number.isFinite(max) && max >= 0;
  return (
    <div class="row wraps">
      <select
        class="input"
        aria-label="Resource"
        value={resource}
        onChange={(event) => setResource(resources.find((each) => each === event.currentTarget.value) ?? "flops")}
      >
        {resources.map((each) => (
          <option key={each} value={each}>
            {resourceWords[each]}
          </option>
        ))}
      </select>
      <input
        class="input limit-input"
        inputMode="decimal"
        placeholder="at most, e.g. 2e12"
        aria-label="At most"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {known ? (
        <CommandButton
          label="Set the limit"
          about={`Limit ${resourceWords[resource]} to ${short(max)}`}
          body={{ kind: "limit", runId: run.runId, resource, max }}
          standing={standings.get("limit")}
        />
      ) : (
        <button type="button" class="button" disabled title="Enter a number first">
          Set the limit
        </button>
      )}
    </div>
  );
};

/** Holds, pins and commands for one layer or seed. */
const Target = ({ state, run }: { readonly state: ViewState; readonly run: ViewRun }) => {
  const [chosen, setChosen] = useState("");
  /** What is being typed: the page is drawn anew meanwhile, and must not write over it. */
  const [typed, setTyped] = useState<string>();
  const inTrial = run.activeSeedId ?? "";
  const seedId = chosen !== "" ? chosen : inTrial !== "" ? inTrial : (run.seeds[0]?.seedId ?? "");
  const seed = findSeed(run, seedId);
  return (
    <div class="column tight">
      <label class="field">
        <span>Seed, by its name</span>
        <input
          class="input"
          list="seed-names"
          aria-label="Seed"
          value={typed ?? seedId}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onChange={(event) => {
            setChosen(event.currentTarget.value.trim());
            setTyped(undefined);
          }}
        />
        <datalist id="seed-names">
          {run.seeds.slice(0, seedNamesMax).map((each) => (
            <option key={each.seedId} value={each.seedId} />
          ))}
        </datalist>
      </label>
      {seed === undefined ? (
        <p class="bad-text small">This run has no such seed.</p>
      ) : (
        <>
          <p class="row wraps small">
            <StateMark state={seed.state} />
            <span class="quiet">since window {seed.sinceEpoch}</span>
            <a href={hrefOf("seeds", seed.seedId)}>Look at it</a>
          </p>
          <SeedCommands state={state} run={run} seed={seed} />
          <SiteCommands state={state} run={run} site={seed.site} />
        </>
      )}
    </div>
  );
};

const SiteCommands = ({ state, run, site }: { readonly state: ViewState; readonly run: ViewRun; readonly site: string }) => {
  const name = bounded(site, 40);
  const paused = run.holds.pausedSites.includes(site);
  const pinned = run.holds.pins.includes(site);
  return (
    <div class="row wraps">
      <span class="soft small">Layer {name}</span>
      <CommandButton
        label={paused ? "Resume growth here" : "Pause growth here"}
        about={`${paused ? "Resume" : "Pause"} growth at ${name}`}
        body={{ kind: paused ? "resume" : "pause", runId: run.runId, site }}
        standing={layerStanding(state, run, paused ? "resume" : "pause")}
      />
      <CommandButton
        label={pinned ? "Unpin the layer" : "Pin the layer"}
        about={`${pinned ? "Unpin" : "Pin"} layer ${name}`}
        body={{ kind: pinned ? "unpin" : "pin", runId: run.runId, target: site }}
        standing={layerStanding(state, run, pinned ? "unpin" : "pin")}
      />
    </div>
  );
};

interface ReceiptProps {
  readonly state: ViewState;
  readonly command: ViewCommand;
  readonly own: boolean;
}

const Receipt = ({ state, command, own }: ReceiptProps) => (
  <tr>
    <td class="num nowrap">{clockTime(command.atMs)}</td>
    <td class="wrap">
      <b>{command.kind}</b>{" "}
      {command.seedId === null ? (
        bounded(command.about, 120)
      ) : (
        <a href={hrefOf("seeds", command.seedId)}>{bounded(command.about, 120)}</a>
      )}
      <span class="quiet small"> by {bounded(command.sender, 40)}</span>
      {own ? <span class="chip accent">here</span> : null}
      <Fate command={command} state={state} />
    </td>
  </tr>
);

const Unanswered = ({ entry }: { readonly entry: Sent }) => (
  <tr>
    <td class="num nowrap">{clockTime(entry.atMs)}</td>
    <td class="wrap">
      <b>{entry.kind}</b> {bounded(entry.about, 120)} <span class="chip accent">here</span>
      <div>
        <span class={`chip ${toneOf(entry.state)}`}>{entry.state}</span>
      </div>
      <div class="soft small wrap">{bounded(entry.text, 300)}</div>
    </td>
  </tr>
);

const Receipts = ({ state }: { readonly state: ViewState }) => {
  const told = new Set(state.commands.map(({ requestId }) => requestId));
  const ownIds = new Set(sent.value.map(({ id }) => id));
  const unanswered = sent.value.filter(({ id }) => !told.has(id));
  const commands = state.commands.slice(-receiptsShownMax).reverse();
  if (commands.length + unanswered.length === 0)
    return <Absence title="No command yet">Those of people, of Tamiyo and of Emrakul appear here with their receipts.</Absence>;
  return (
    <table class="table">
      <thead>
        <tr>
          <th>Time</th>
          <th>Command, and what became of it</th>
        </tr>
      </thead>
      <tbody>
        {unanswered.map((entry) => (
          <Unanswered key={entry.id} entry={entry} />
        ))}
        {commands.map((command) => (
          <Receipt key={command.requestId} state={state} command={command} own={ownIds.has(command.requestId)} />
        ))}
      </tbody>
    </table>
  );
};

const Holds = ({ run }: { readonly run: ViewRun }) => {
  const held = [
    ...(run.paused ? ["the run is paused"] : []),
    ...(run.holds.adaptationPaused ? ["growth is paused"] : []),
    ...run.holds.pausedSites.map((site) => `growth at ${site} is paused`),
    ...run.holds.pins.map((target) => `${target} is pinned`),
  ];
  return held.length === 0 ? null : (
    <div class="row wraps">
      {held.slice(0, 24).map((each) => (
        <span key={each} class="chip warn">
          {bounded(each, 60)}
        </span>
      ))}
    </div>
  );
};

export const Control = () => {
  const state = readState("commands", "escalations", "seeds", "host", "deadLetters", "header");
  const run = readRun();
  if (state === undefined) return <Absence title="Nothing to steer" />;
  if (state.source === "recorded")
    return (
      <Absence icon="control" title="A recorded run takes no commands" tall>
        <a href={hrefOf("time")}>Time</a> goes back to the node, or branches from here.
      </Absence>
    );
  const standings = runStandings(state, run?.runId ?? null);
  const waiting = waitingIn(state);
  return (
    <div class="control">
      <div class="column">
        <TokenEntry />
        {waiting === 0 ? null : (
          <Card title="Waiting for a person" note={String(waiting)} flush>
            <Waiting state={state} run={run} />
          </Card>
        )}
        <Card title="Run">
          {run === undefined ? (
            <Absence title="No run yet" />
          ) : (
            <div class="column">
              {token.value === undefined ? (
                <p class="soft small">Read-only: enter an operator's token above to use these.</p>
              ) : null}
              <Holds run={run} />
              <RunCommands state={state} run={run} standings={standings} />
              <Limit run={run} standings={standings} />
            </div>
          )}
        </Card>
        {run === undefined || run.seeds.length === 0 ? null : (
          <Card title="Seed and layer">
            <Target state={state} run={run} />
          </Card>
        )}
        <Card title="Node">
          <NodeCommands state={state} standings={standings} />
        </Card>
      </div>
      <div class="column">
        <Card title="Receipts" note="newest first" flush scrolls class="receipts">
          <Receipts state={state} />
        </Card>
        <Card title="Dead letters" flush>
          <DeadLetterDesk state={state} standings={standings} />
        </Card>
      </div>
    </div>
  );
};
