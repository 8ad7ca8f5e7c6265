/** What was considered, chosen and refused, and why: a timeline linked to the seeds, and what waits for a person. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ViewCommand, ViewDecision, ViewRun, ViewSeed, ViewSignal, ViewState } from "../../../contracts/view.ts";
import { findSeed } from "../../../view/reduce.ts";
import { readRun, readState } from "../../data/store.ts";
import { bounded, clockTime, duration, fixed, percent, plural, short } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";
import { hrefOf, route } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { Card } from "../../parts/card.tsx";
import { StateMark } from "../../parts/state-mark.tsx";
import { Fate } from "../control/fate.tsx";
import { Waiting, waitingIn } from "../control/waiting.tsx";
import { ForecastBands } from "../seeds/forecast.tsx";

type Outcome = ViewDecision["outcome"];
const outcomes = ["germinate", "prune", "probe", "wait", "refused"] as const satisfies readonly Outcome[];
const tones: Readonly<Record<Outcome, string>> = {
  germinate: "good",
  prune: "accent",
  probe: "accent",
  wait: "",
  refused: "bad",
};
const outcomeWords: Readonly<Record<Outcome, string>> = {
  germinate: "germinate",
  prune: "prune",
  probe: "measure more",
  wait: "wait",
  refused: "refused",
};

const shownOutcomes = signal<ReadonlySet<Outcome>>(new Set());
const decisionsShownMax = 200;

const Filter = ({ decisions }: { readonly decisions: readonly ViewDecision[] }) => (
  <fieldset class="row wraps" aria-label="Outcome">
    {outcomes.map((outcome) => {
      const count = decisions.filter((each) => each.outcome === outcome).length;
      return count === 0 && !shownOutcomes.value.has(outcome) ? null : (
        <button
          key={outcome}
          type="button"
          class={`chip state-chip ${tones[outcome]}`}
          aria-pressed={shownOutcomes.value.has(outcome)}
          onClick={() => {
            const next = new Set(shownOutcomes.value);
            if (!next.delete(outcome)) next.add(outcome);
            shownOutcomes.value = next;
          }}
        >
          {outcomeWords[outcome]} <b class="num">{count}</b>
        </button>
      );
    })}
  </fieldset>
);

const Sure = ({ confidence }: Pick<ViewDecision, "confidence">) =>
  confidence === null ? null : (
    <span class="row sure" title={`Confidence ${percent(confidence, 0)}`}>
      <span class="meter">
        <i style={{ width: `${Math.round(100 * confidence)}%` }} />
      </span>
      <span class="num small">{percent(confidence, 0)}</span>
    </span>
  );

const Telemetry = ({ signal: measured }: { readonly signal: ViewSignal }) => (
  <dl class="pairs small">
    <dt>Lost information</dt>
    <dd>
      {fixed(measured.gap, 4)} ± {fixed(measured.gapError, 4)}
      {measured.gapLower === null ? "" : `, lower bound ${fixed(measured.gapLower, 4)}`}
    </dd>
    <dt>Severity</dt>
    <dd>{fixed(measured.severity, 2)} (a candidate above 1)</dd>
    <dt>Directions in, out</dt>
    <dd>
      {short(measured.dimensionsIn)}, {short(measured.dimensionsOut)}
    </dd>
    <dt>Constant units</dt>
    <dd>{percent(measured.constantUnits, 0)}</dd>
    <dt>Measured</dt>
    <dd>after window {measured.epoch}</dd>
  </dl>
);

interface MoreProps {
  readonly state: ViewState;
  readonly run: ViewRun;
  readonly decision: ViewDecision;
  readonly seed: ViewSeed | undefined;
  readonly command: ViewCommand | undefined;
}

const More = ({ state, run, decision, seed, command }: MoreProps) => {
  const signalNow = decision.site === null ? undefined : own(run.signals, decision.site);
  const answered = seed?.trial?.requestId === decision.requestId && decision.requestId !== null ? seed.trial : null;
  return (
    <div class="decision-more">
      <div class="column tight">
        <dl class="pairs small">
          {decision.site === null ? null : (
            <>
              <dt>Layer</dt>
              <dd class="wrap">{bounded(decision.site, 60)}</dd>
            </>
          )}
          {decision.fromSite === null || decision.toSite === null ? null : (
            <>
              <dt>Span</dt>
              <dd class="wrap">
                input of {bounded(decision.fromSite, 60)} to {bounded(decision.toSite, 60)}
              </dd>
            </>
          )}
          <dt>Decided in</dt>
          <dd>{duration(decision.latencyMs)}</dd>
          <dt>Gate's answer</dt>
          <dd class="wrap">{command === undefined ? "none: no command followed" : <Fate command={command} state={state} />}</dd>
          <dt>Trace</dt>
          <dd class="mono wrap">{decision.traceId}</dd>
        </dl>
        {signalNow === undefined ? null : (
          <section>
            <h3>Telemetry of the layer, newest</h3>
            <Telemetry signal={signalNow} />
          </section>
        )}
      </div>
      {decision.forecast === null ? null : (
        <section>
          <h3>Forecast{answered?.gain === null || answered === null ? "" : " and outcome"}</h3>
          <ForecastBands forecast={decision.forecast} gain={answered?.gain ?? null} />
        </section>
      )}
    </div>
  );
};

const Entry = ({
  run,
  state,
  decision,
}: {
  readonly run: ViewRun;
  readonly state: ViewState;
  readonly decision: ViewDecision;
}) => {
  const open = route.value.target === decision.id;
  const element = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (open) element.current?.scrollIntoView({ block: "nearest" });
  }, [open]);
  const seed = decision.seedId === null ? undefined : findSeed(run, decision.seedId);
  const command =
    decision.requestId === null ? undefined : state.commands.find(({ requestId }) => requestId === decision.requestId);
  return (
    <li ref={element} class={`decision ${tones[decision.outcome]}`}>
      <div class="decision-when num small">
        <b>{decision.epoch}</b>
        <span class="quiet">{clockTime(decision.atMs)}</span>
      </div>
      <div class="grow">
        <div class="row wraps">
          <span class={`chip ${tones[decision.outcome]}`}>{outcomeWords[decision.outcome]}</span>
          <b>{decision.by === "emrakul" ? "Emrakul" : "Tamiyo"}</b>
          <code class="soft">{bounded(decision.rule, 60)}</code>
          {decision.seedId === null ? null : (
            <a class="wrap" href={hrefOf("seeds", decision.seedId)}>
              {bounded(decision.seedId, 60)}
            </a>
          )}
          {seed === undefined ? null : <StateMark state={seed.state} />}
          <Sure confidence={decision.confidence} />
          <a
            class="button plain tight end"
            href={open ? hrefOf("decisions") : hrefOf("decisions", decision.id)}
            aria-expanded={open}
          >
            {open ? "Less" : "Why"}
          </a>
        </div>
        <p class="soft wrap">{bounded(decision.reason)}</p>
        {decision.forecast === null || open ? null : (
          <p class="small quiet num">
            expects {fixed(decision.forecast.lossGain, 4)} nats [{fixed(decision.forecast.lossGainLower, 4)},{" "}
            {fixed(decision.forecast.lossGainUpper, 4)}]{" · "}cost {short(decision.forecast.trialFlops)}FLOP · risk of a cull{" "}
            {percent(decision.forecast.cullRisk, 0)}
          </p>
        )}
        {open ? <More state={state} run={run} decision={decision} seed={seed} command={command} /> : null}
      </div>
    </li>
  );
};

export const Decisions = () => {
  const state = readState("decisions", "escalations", "commands", "seeds", "signals");
  const run = readRun();
  if (state === undefined || run === undefined) return <Absence icon="decisions" title="No decision yet" tall />;
  const waiting = waitingIn(state);
  const shown = run.decisions
    .filter(({ outcome }) => shownOutcomes.value.size === 0 || shownOutcomes.value.has(outcome))
    .slice(-decisionsShownMax)
    .reverse();
  const settled = run.escalations.filter((each) => each.settled !== null);
  return (
    <div class="column decisions">
      {waiting === 0 ? null : (
        <Card title="Waiting for a person" note={String(waiting)} flush>
          <Waiting state={state} run={run} />
        </Card>
      )}
      <Card
        title="Decisions"
        note={`${plural(run.decisions.length, "decision")}, newest first`}
        end={<Filter decisions={run.decisions} />}
        flush
      >
        {shown.length === 0 ? (
          <Absence icon="decisions" title={run.decisions.length === 0 ? "No decision yet" : "None of that kind"}>
            {run.growth === false
              ? "This arm trains without growth."
              : "Tamiyo decides after each window that measured the layers."}
          </Absence>
        ) : (
          <ol>
            {shown.map((decision) => (
              <Entry key={decision.id} run={run} state={state} decision={decision} />
            ))}
          </ol>
        )}
      </Card>
      {settled.length === 0 ? null : (
        <Card title="Settled escalations" flush>
          <ul class="waitings">
            {settled.map((each) => (
              <li key={`${each.seedId} ${each.sinceEpoch}`} class="waiting">
                <div class="grow wrap">
                  <span class={`chip ${each.settled?.verdict === "keep" ? "good" : "bad"}`}>{each.settled?.verdict}</span>{" "}
                  <a href={hrefOf("seeds", each.seedId)}>{bounded(each.seedId, 60)}</a> by {bounded(each.settled?.by, 40)}, window{" "}
                  {each.settled?.epoch}
                  <p class="soft small wrap">{bounded(each.settled?.reason)}</p>
                </div>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </div>
  );
};
