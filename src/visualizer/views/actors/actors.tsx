/** Everything that runs in the node: the supervision tree with its queues, breakers, dead letters, alerts; and every statechart. */
import type { ViewState } from "../../../contracts/view.ts";
import { readState } from "../../data/store.ts";
import { bounded, clockTime, duration, plural, short } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";
import { goTo, hrefOf, route } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { Card } from "../../parts/card.tsx";
import { Machines } from "./machines.tsx";
import { ActorTree } from "./tree.tsx";

const rowsShownMax = 80;

const breakerTones: Readonly<Record<string, string>> = { CLOSED: "good", HALF_OPEN: "warn", OPEN: "bad" };

const Breakers = ({ state }: { readonly state: ViewState }) => (
  <Card title="Circuit breakers" note={plural(state.breakers.length, "breaker")} flush scrolls>
    {state.breakers.length === 0 ? (
      <Absence title={state.nodeTold ? "None told of itself yet" : "This log does not tell"} />
    ) : (
      <table class="table">
        <thead>
          <tr>
            <th>Call</th>
            <th>State</th>
            <th class="right">Calls</th>
            <th class="right">Failed</th>
            <th class="right">p99</th>
          </tr>
        </thead>
        <tbody>
          {state.breakers.slice(0, rowsShownMax).map((breaker) => (
            <tr key={breaker.name} title={bounded(breaker.reason)}>
              <td class="wrap">{bounded(breaker.name, 80)}</td>
              <td>
                <span class={`chip ${own(breakerTones, breaker.state) ?? ""}`}>
                  {breaker.state.toLowerCase().replace("_", " ")}
                </span>
              </td>
              <td class="right">{short(breaker.calls)}</td>
              <td class="right">{short(breaker.failed)}</td>
              <td class="right">{duration(breaker.p99Ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    )}
  </Card>
);

const letterTones: Readonly<Record<string, string>> = { waiting: "warn", retried: "accent", dropped: "" };

const DeadLetters = ({ state }: { readonly state: ViewState }) => (
  <Card title="Dead letters" note={plural(state.deadLetters.length, "letter")} flush scrolls>
    {!state.nodeTold ? (
      <Absence title="This log does not tell" />
    ) : state.deadLetters.length === 0 ? (
      <Absence title="No message died">
        A message that its actor cannot handle is kept here; <code>esper dlq</code> sends it again.
      </Absence>
    ) : (
      <table class="table">
        <thead>
          <tr>
            <th>Time</th>
            <th>Subject, reason</th>
            <th class="right">Tries</th>
            <th>State</th>
          </tr>
        </thead>
        <tbody>
          {state.deadLetters
            .slice(-rowsShownMax)
            .reverse()
            .map((letter) => (
              <tr key={letter.messageId}>
                <td class="num nowrap">{clockTime(letter.atMs)}</td>
                <td class="wrap">
                  <code>{bounded(letter.subject, 100)}</code> for {bounded(letter.principal, 40)}
                  <div class="soft small wrap">{bounded(letter.reason, 200)}</div>
                </td>
                <td class="right">{letter.deliveries}</td>
                <td>
                  <span class={`chip ${own(letterTones, letter.state) ?? ""}`}>{letter.state}</span>
                </td>
              </tr>
            ))}
        </tbody>
      </table>
    )}
  </Card>
);

const alertTones: Readonly<Record<string, string>> = { info: "", warning: "warn", critical: "bad" };

const Alerts = ({ state }: { readonly state: ViewState }) => (
  <Card title="Alerts" note={plural(state.alerts.length, "alert")} flush scrolls>
    {state.alerts.length === 0 ? (
      <Absence icon="alert" title="Nothing to report" />
    ) : (
      <ul class="log">
        {state.alerts
          .slice(-rowsShownMax)
          .reverse()
          .map((alert) => (
            <li key={alert.id}>
              <span class="num quiet small nowrap">{clockTime(alert.atMs)}</span>
              <span class={`chip ${own(alertTones, alert.severity) ?? ""}`}>{alert.severity}</span>
              <span class="grow wrap">
                {bounded(alert.text)}
                {alert.seedId === null ? null : (
                  <>
                    {" "}
                    <a href={hrefOf("seeds", alert.seedId)}>{bounded(alert.seedId, 60)}</a>
                  </>
                )}
              </span>
            </li>
          ))}
      </ul>
    )}
  </Card>
);

const Notes = ({ state }: { readonly state: ViewState }) => (
  <Card title="What supervisors did" flush scrolls>
    {state.supervision.length === 0 ? (
      <Absence title="Nothing yet" />
    ) : (
      <ul class="log">
        {state.supervision
          .slice(-rowsShownMax)
          .reverse()
          .map((note) => (
            <li key={note.id}>
              <span class="num quiet small nowrap">{clockTime(note.atMs)}</span>
              <b class="clip note-child" title={bounded(note.child)}>
                {bounded(note.child.split("/").at(-1), 40)}
              </b>
              <span class="grow wrap soft">
                {note.kind.replaceAll("_", " ")}
                {note.detail === "" ? "" : `: ${bounded(note.detail, 200)}`}
              </span>
            </li>
          ))}
      </ul>
    )}
  </Card>
);

const Supervision = () => {
  const state = readState("actors", "breakers", "deadLetters", "alerts");
  if (state === undefined) return <Absence title="Nothing runs" />;
  return (
    <div class="actors-panes">
      <div class="column">
        <Card title="Supervision tree" note={plural(state.actors.length, "actor")} flush class="scrolls-sideways">
          {state.actors.length === 0 ? (
            <Absence icon="actors" title={state.source === "recorded" ? "This log does not tell" : "The tree is not known yet"}>
              {state.source === "recorded"
                ? "The log of a node does, which lies beside those of its runs."
                : "The node tells it every second."}
            </Absence>
          ) : (
            <ActorTree actors={state.actors} />
          )}
        </Card>
        <Breakers state={state} />
      </div>
      <div class="column">
        <Alerts state={state} />
        <DeadLetters state={state} />
        <Notes state={state} />
      </div>
    </div>
  );
};

export const Actors = () => {
  const { target } = route.value;
  const machines = target !== undefined;
  return (
    <div class="column actors">
      <fieldset class="segments" aria-label="Part">
        <button type="button" aria-pressed={!machines} onClick={() => goTo("actors")}>
          Supervision
        </button>
        <button type="button" aria-pressed={machines} onClick={() => goTo("actors", "seed")}>
          Statecharts
        </button>
      </fieldset>
      {machines ? <Machines name={target} /> : <Supervision />}
    </div>
  );
};
