/** What waits for a person: juries that are split, and commands that need somebody's word. */
import type { ViewCommand, ViewEscalation, ViewRun, ViewState } from "../../../contracts/view.ts";
import { bounded, clockTime, fixed } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";
import { CommandButton } from "./command-button.tsx";
import { runStandings, seedStandings } from "./standings.ts";

const Escalation = ({
  state,
  run,
  escalation,
}: {
  readonly state: ViewState;
  readonly run: ViewRun;
  readonly escalation: ViewEscalation;
}) => {
  const standings = seedStandings(state, run.runId, escalation.seedId);
  const { seedId } = escalation;
  const name = bounded(seedId, 60);
  return (
    <li class="waiting">
      <div class="grow">
        <div class="row wraps">
          <span class="chip warn">split jury</span>
          <a class="wrap" href={hrefOf("seeds", seedId)}>
            {name}
          </a>
          <span class="quiet small num">
            since window {escalation.sinceEpoch}; {escalation.windowsLeft} windows left, then {escalation.otherwise}
          </span>
        </div>
        <p class="soft small wrap">{bounded(escalation.reason)}</p>
        <p class="small num">
          {escalation.judgements
            .map((each) => `${each.judge}: ${each.vote} (${fixed(each.lower, 4)} against ${fixed(each.bound, 4)})`)
            .join(" · ")}
        </p>
      </div>
      {state.source === "recorded" ? null : (
        <div class="row wraps">
          <CommandButton
            label="Keep"
            about={`Keep ${name}`}
            body={{ kind: "resolve", runId: run.runId, seedId, verdict: "keep" }}
            standing={standings.get("resolve")}
            primary
            asks
          />
          <CommandButton
            label="Cull"
            about={`Cull ${name}`}
            body={{ kind: "resolve", runId: run.runId, seedId, verdict: "cull" }}
            standing={standings.get("resolve")}
            asks
          />
        </div>
      )}
    </li>
  );
};

const Held = ({
  state,
  run,
  command,
}: {
  readonly state: ViewState;
  readonly run: ViewRun | undefined;
  readonly command: ViewCommand;
}) => {
  const standings = runStandings(state, run?.runId ?? null);
  const about = bounded(command.about, 80);
  return (
    <li class="waiting">
      <div class="grow">
        <div class="row wraps">
          <span class="chip warn">{command.kind}</span>
          {command.seedId === null ? (
            <span class="wrap">{about}</span>
          ) : (
            <a class="wrap" href={hrefOf("seeds", command.seedId)}>
              {about}
            </a>
          )}
          <span class="quiet small">
            by {bounded(command.sender, 40)}
            {command.expiresAtMs === null ? "" : `, until ${clockTime(command.expiresAtMs)}`}
          </span>
        </div>
        <p class="soft small wrap">{bounded(command.detail)}</p>
      </div>
      {state.source === "recorded" ? null : (
        <div class="row wraps">
          <CommandButton
            label="Approve"
            about={`Approve ${about}`}
            body={{ kind: "approve", target: command.requestId }}
            standing={standings.get("approve")}
            primary
          />
          <CommandButton
            label="Veto"
            about={`Veto ${about}`}
            body={{ kind: "veto", target: command.requestId }}
            standing={standings.get("veto")}
            asks
          />
        </div>
      )}
    </li>
  );
};

export const waitingIn = (state: ViewState): number =>
  state.commands.filter((each) => each.state === "held").length +
  state.runs.reduce((sum, run) => sum + run.escalations.filter(({ settled }) => settled === null).length, 0);

export const Waiting = ({ state, run }: { readonly state: ViewState; readonly run: ViewRun | undefined }) => (
  <ul class="waitings">
    {state.runs.flatMap((each) =>
      each.escalations
        .filter(({ settled }) => settled === null)
        .map((escalation) => (
          <Escalation
            key={`${each.runId} ${escalation.seedId} ${escalation.sinceEpoch}`}
            state={state}
            run={each}
            escalation={escalation}
          />
        )),
    )}
    {state.commands
      .filter((each) => each.state === "held")
      .map((command) => (
        <Held key={command.requestId} state={state} run={run} command={command} />
      ))}
  </ul>
);
