/** One seed in full: its statechart, the way it took, what gates measured, forecast and outcome, and what may be asked of it now. */
import { useState } from "preact/hooks";
import type { SeedStep, ViewRun, ViewSeed, ViewTrial } from "../../../contracts/view.ts";
import { readState } from "../../data/store.ts";
import { bounded, clockTime, fixed, percent, short } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";
import { goTo, hrefOf } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { Chart } from "../../parts/chart.tsx";
import { Icon } from "../../parts/icon.tsx";
import { MachineView } from "../../parts/machine-view.tsx";
import { StateMark, stateWords } from "../../parts/state-mark.tsx";
import { SeedCommands } from "../control/seed-commands.tsx";
import { ForecastBands } from "./forecast.tsx";
import { Gates } from "./gates.tsx";
import { healthOf } from "./seed-order.ts";

const Context = ({ run, seed }: { readonly run: ViewRun; readonly seed: ViewSeed }) => {
  const { trial } = seed;
  const embargo = own(run.embargoes, seed.site);
  const pinned = run.holds.pins.includes(seed.seedId) || run.holds.pins.includes(seed.site);
  const rows: readonly (readonly [string, string])[] = [
    ["Layer", seed.site],
    ["Health", fixed(healthOf(run, seed), 2)],
    ["Embargo", embargo !== undefined && embargo > run.epoch ? `until window ${embargo}` : "none"],
    ...(pinned ? ([["Pinned", "nothing is grown or culled here"]] as const) : []),
    ...(trial === null ? [] : trialRows(trial)),
  ];
  return (
    <dl class="pairs">
      {rows.map(([name, value]) => (
        <div key={name} class="contents">
          <dt>{name}</dt>
          <dd class="wrap">{bounded(value, 200)}</dd>
        </div>
      ))}
    </dl>
  );
};

const blueprintWords = ({ blueprint, prune }: ViewTrial): string => {
  if (prune !== null) return `pruning: ${JSON.stringify(prune)}`;
  if (blueprint === null) return "–";
  return Object.entries(blueprint)
    .filter(([, value]) => typeof value !== "object")
    .map(([name, value]) => (name === "kind" ? String(value) : `${name} ${String(value)}`))
    .join(", ");
};

const trialRows = (trial: ViewTrial): readonly (readonly [string, string])[] => [
  ["Span", trial.fromSite === null ? "–" : `input of ${trial.fromSite} to ${trial.toSite ?? "–"}`],
  ["Blueprint", blueprintWords(trial)],
  ["Asked by", `${trial.by ?? "–"}${trial.rule === null ? "" : `, rule ${trial.rule}`}`],
  ["Parameters", short(trial.parameters)],
  ...(trial.flops === null ? [] : ([["Trial used", `${short(trial.flops)}FLOP`]] as const)),
  ...(trial.drift === null ? [] : ([["Drift", fixed(trial.drift, 4)]] as const)),
  ...(trial.kernelHash === null ? [] : ([["Kernel", trial.kernelHash.slice(0, 16)]] as const)),
  ...(trial.requestId === null ? [] : ([["Request", trial.requestId]] as const)),
];

const Step = ({ step, since }: { readonly step: SeedStep; readonly since: SeedStep | undefined }) => {
  const [open, setOpen] = useState(false);
  const windows = since === undefined ? undefined : step.epoch - since.epoch;
  return (
    <li class="step">
      <StateMark state={step.to} bare />
      <div class="grow">
        <div class="row wraps">
          <b>{stateWords(step.to)}</b>
          <span class="quiet small num">
            window {step.epoch}
            {windows === undefined || windows === 0 ? "" : `, after ${windows}`} · {clockTime(step.atMs)}
          </span>
          {step.gates.length === 0 ? null : (
            <button type="button" class="button plain tight end" aria-expanded={open} onClick={() => setOpen(!open)}>
              {open ? "Hide" : `${step.gates.length} measured`}
            </button>
          )}
        </div>
        <p class="soft small wrap">{bounded(step.reason)}</p>
        {open ? <Gates gates={step.gates} /> : null}
      </div>
    </li>
  );
};

const Judgements = ({ trial }: { readonly trial: ViewTrial }) =>
  trial.judgements.length === 0 ? null : (
    <section>
      <h3>Jury</h3>
      <table class="table">
        <thead>
          <tr>
            <th>Judge</th>
            <th>Vote</th>
            <th class="right">Gain, bound</th>
            <th class="right">Asked for</th>
          </tr>
        </thead>
        <tbody>
          {trial.judgements.map((each) => (
            <tr key={each.judge}>
              <td>{each.judge}</td>
              <td>
                <span class={`chip ${each.vote === "keep" ? "good" : each.vote === "cull" ? "bad" : ""}`}>{each.vote}</span>
              </td>
              <td class="right">
                {fixed(each.mean, 4)}, {fixed(each.lower, 4)}
              </td>
              <td class="right">{fixed(each.bound, 4)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );

export const SeedDetail = ({ run, seed }: { readonly run: ViewRun; readonly seed: ViewSeed }) => {
  const state = readState("decisions", "commands", "signals");
  const { trial, history } = seed;
  const decided = run.decisions.filter((decision) => decision.seedId === seed.seedId);
  return (
    <section class="card seed-detail" aria-label={`Seed ${bounded(seed.seedId, 60)}`}>
      <header>
        <h2 class="clip wrap">{bounded(seed.seedId, 60)}</h2>
        <StateMark state={seed.state} />
        <button type="button" class="button plain tight end" aria-label="Close the seed" onClick={() => goTo("seeds")}>
          <Icon name="close" />
        </button>
      </header>
      <div class="body scrolls column">
        <p class="soft wrap">
          Since window {seed.sinceEpoch}
          {seed.alpha > 0 && seed.alpha < 1 ? `, α ${fixed(seed.alpha, 2)}` : ""}. {bounded(seed.reason)}
        </p>
        <MachineView name="seed" current={seed.state} path={history.map(({ from, to }) => [from, to] as const)} />
        {state === undefined ? null : <SeedCommands state={state} run={run} seed={seed} />}
        {trial !== null && trial.gates.length > 0 ? (
          <section>
            <h3>The gate ahead, as last measured</h3>
            <Gates gates={trial.gates} />
          </section>
        ) : null}
        {trial !== null && (trial.forecast !== null || trial.gain !== null) ? (
          <section>
            <h3>Forecast and outcome{trial.outcome === null ? "" : `: ${stateWords(trial.outcome)}`}</h3>
            <ForecastBands forecast={trial.forecast} gain={trial.gain} />
          </section>
        ) : null}
        {trial === null ? null : <Judgements trial={trial} />}
        {trial !== null && trial.alphas.length > 0 ? (
          <Chart
            title="Blend of the kernel into the host"
            x={trial.alphaEpochs}
            lines={[{ label: "α", color: "series-1", values: trial.alphas }]}
            heightPx={110}
            range={[0, 1.05]}
            format={(value) => fixed(value, 2)}
          />
        ) : null}
        <section>
          <h3>Context</h3>
          <Context run={run} seed={seed} />
        </section>
        <section>
          <h3>The way it took</h3>
          {history.length === 0 ? (
            <Absence title="It has never moved">The host's own tensor runs here, with no operator of the seed.</Absence>
          ) : (
            <ol class="steps">
              {history.map((step, index) => <Step key={step.sequence} step={step} since={history[index - 1]} />).reverse()}
            </ol>
          )}
        </section>
        {decided.length === 0 ? null : (
          <section>
            <h3>Decisions about it</h3>
            <ul class="column tight">
              {decided.slice(-5).map((decision) => (
                <li key={decision.id} class="wrap small">
                  <a href={hrefOf("decisions", decision.id)}>Window {decision.epoch}</a>: {decision.outcome} by {decision.by}
                  {decision.confidence === null ? "" : `, sure to ${percent(decision.confidence, 0)}`}.{" "}
                  {bounded(decision.reason, 200)}
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
    </section>
  );
};
