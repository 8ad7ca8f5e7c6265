/** The run at a glance: what trains on what, how far, how well, what is wrong, and where the host is being repaired. */
import type { LifecycleState } from "../../../contracts/lifecycle.ts";
import type { ViewRun, ViewSeries } from "../../../contracts/view.ts";
import { readRun, readState } from "../../data/store.ts";
import { bounded, clockTime, duration, fixed, percent, plural, short } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";
import { hrefOf } from "../../lib/router.ts";
import { isDark } from "../../lib/theme.ts";
import { Absence } from "../../parts/absence.tsx";
import { Card } from "../../parts/card.tsx";
import { Chart } from "../../parts/chart.tsx";
import { Icon } from "../../parts/icon.tsx";
import { styleOf } from "../../parts/state-look.ts";
import { StateMark } from "../../parts/state-mark.tsx";
import { HostGraph } from "./host-graph.tsx";

const alertsShownMax = 3;
const latestShownMax = 9;

const lastOf = (values: readonly (number | null)[]): number | null => values.findLast((value) => value !== null) ?? null;

const Alerts = () => {
  const state = readState("alerts");
  const alerts = (state?.alerts ?? []).filter(({ severity }) => severity !== "info");
  if (alerts.length === 0) return null;
  const shown = alerts.slice(-alertsShownMax).reverse();
  return (
    <section class="alerts" aria-label="Alerts">
      {shown.map((alert) => (
        <div key={alert.id} class={alert.severity === "critical" ? "banner bad" : "banner"}>
          <Icon name="alert" />
          <span class="grow clip" title={bounded(alert.text)}>
            {bounded(alert.text)}
          </span>
          <span class="small nowrap num">
            {alert.epoch === null ? "" : `window ${alert.epoch}, `}
            {clockTime(alert.atMs)}
          </span>
          {alert.seedId === null ? null : (
            <a class="button tight" href={hrefOf("seeds", alert.seedId)}>
              Seed
            </a>
          )}
        </div>
      ))}
      {alerts.length > alertsShownMax ? (
        <a class="small" href={hrefOf("actors")}>
          {alerts.length - alertsShownMax} earlier
        </a>
      ) : null}
    </section>
  );
};

const timeLeftMs = (run: ViewRun): number | undefined =>
  run.outcome !== "running" || run.flops <= 0 || run.flopsMax <= 0
    ? undefined
    : (run.elapsedMs * Math.max(0, run.flopsMax - run.flops)) / run.flops;

interface FigureProps {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
  readonly share?: number;
  readonly text?: boolean;
}

const Figure = ({ label, value, note, share, text = false }: FigureProps) => (
  <div class={text ? "figure text" : "figure"}>
    <dt>{label}</dt>
    <dd title={value}>
      {value}
      {note === undefined ? null : <small>{note}</small>}
      {share === undefined ? null : (
        <div class="meter">
          <i style={{ width: `${Math.round(100 * Math.min(1, Math.max(0, share)))}%` }} />
        </div>
      )}
    </dd>
  </div>
);

const workWords: Readonly<Record<string, string>> = {
  host: "host trains",
  load: "loading a kernel",
  train_kernel: "kernel trains",
  graft: "grafting",
  stabilize: "stabilizing",
  evaluate: "evaluating",
  fine_tune: "contest with twin",
};

const workOf = (run: ViewRun): string => {
  if (run.outcome !== "running") return run.outcome;
  if (run.paused) return "paused";
  if (run.waiting !== null) return run.waiting.outstanding === "compilation" ? "kernel compiles" : "kernel measured";
  return own(workWords, run.work) ?? (bounded(run.work, 24) || "starting");
};

const Header = () => {
  const run = readRun("series", "progress");
  if (run === undefined) return null;
  const { series, progress } = run;
  const inWindow = progress !== null && progress.epoch > run.epoch ? progress.step / Math.max(1, progress.steps) : undefined;
  return (
    <dl class="figures">
      <Figure
        label="Host"
        text
        value={run.host === null ? "–" : bounded(run.host.name, 40)}
        note={`${short(run.parameters)} parameters`}
      />
      <Figure label="Data, engine" text value={bounded(run.dataset, 40) || "–"} note={bounded(run.engine, 24)} />
      <Figure
        label="Window"
        value={String(run.epoch)}
        note={workOf(run)}
        {...(inWindow === undefined ? {} : { share: inWindow })}
      />
      <Figure
        label="Budget used"
        value={percent(run.flopsMax > 0 ? run.flops / run.flopsMax : null, 0)}
        note={`of ${short(run.flopsMax)}FLOP`}
        share={run.flopsMax > 0 ? run.flops / run.flopsMax : 0}
      />
      {run.outcome === "running" ? (
        <Figure label="Time left" value={duration(timeLeftMs(run))} note={`${duration(run.elapsedMs)} used`} />
      ) : (
        <Figure label="Took" value={duration(run.elapsedMs)} note={run.outcome} />
      )}
      <Figure
        label={run.testAccuracy === null ? "Accuracy" : "Test accuracy"}
        value={percent(run.testAccuracy ?? lastOf(series.validationAccuracy), 2)}
        note={run.testAccuracy === null ? "validation" : `validation ${percent(lastOf(series.validationAccuracy), 1)}`}
      />
      <Figure label="Loss" value={fixed(lastOf(series.validationLoss), 4)} note="validation" />
      <Figure label="Throughput" value={short(lastOf(series.stepsPerSecond))} note="steps a second" />
    </dl>
  );
};

const marksOf = (run: ViewRun, dark: boolean) => {
  const shown: readonly LifecycleState[] = ["GERMINATED", "FOSSILIZED", "CULLED", "ROLLED_BACK"];
  return run.seeds
    .flatMap((seed) => seed.history)
    .filter(({ to }) => shown.includes(to))
    .slice(-24)
    .map(({ to, epoch }) => {
      const { line, glyph } = styleOf(to, dark);
      return { x: epoch, color: line, label: glyph };
    });
};

const hasValues = (series: ViewSeries): boolean => series.epochs.length > 0;

const Training = () => {
  const run = readRun("series", "seeds");
  if (run === undefined) return null;
  const { series } = run;
  const marks = marksOf(run, isDark.value);
  return (
    <Card title="Training" note={series.stride > 1 ? `each point is one of ${series.stride} windows` : undefined}>
      {hasValues(series) ? (
        <div class="column charts">
          <Chart
            title="Loss"
            x={series.epochs}
            lines={[
              { label: "validation", color: "series-1", values: series.validationLoss },
              { label: "training", color: "series-2", values: series.trainLoss, dashed: true },
            ]}
            heightPx={170}
            format={(value) => fixed(value, 2)}
            marks={marks}
          />
          <Chart
            title="Accuracy"
            x={series.epochs}
            lines={[{ label: "validation", color: "series-3", values: series.validationAccuracy }]}
            heightPx={130}
            format={(value) => percent(value, 0)}
          />
          <Chart
            title="Throughput, steps a second"
            x={series.epochs}
            lines={[{ label: "steps/s", color: "ink-3", values: series.stepsPerSecond, stepped: true }]}
            heightPx={84}
            format={(value) => short(value)}
          />
        </div>
      ) : (
        <Absence icon="time" title="No window is complete yet">
          Loss and accuracy appear after the first one.
        </Absence>
      )}
    </Card>
  );
};

const Host = () => {
  const run = readRun("host", "signals", "seeds");
  if (run === undefined) return null;
  const counts = new Map<LifecycleState, number>();
  for (const { state } of run.seeds) counts.set(state, (counts.get(state) ?? 0) + 1);
  return (
    <Card
      title="Host"
      note={run.host === null ? undefined : `${plural(run.host.layers.length, "layer")}, ${plural(run.seeds.length, "seed")}`}
      class="host-card"
      flush
    >
      {run.host === null ? (
        <Absence icon="time" title="The host is not known yet">
          The run tells it when it starts.
        </Absence>
      ) : (
        <>
          <HostGraph run={run} host={run.host} />
          <div class="legend">
            {[...counts].map(([state, count]) => (
              <span key={state} class="row">
                <StateMark state={state} /> <b class="num">{short(count)}</b>
              </span>
            ))}
          </div>
        </>
      )}
    </Card>
  );
};

const Latest = () => {
  const run = readRun("seeds", "decisions", "escalations", "checkpoints");
  if (run === undefined) return null;
  const steps = run.seeds.flatMap((seed) =>
    seed.history.slice(-latestShownMax).map((step) => ({ atMs: step.atMs, epoch: step.epoch, seed, step, decision: undefined })),
  );
  // Most decisions are to wait; the newest of those is enough here.
  const newestWait = run.decisions.findLast(({ outcome }) => outcome === "wait");
  const decisions = run.decisions
    .filter((decision) => decision.outcome !== "wait" || decision === newestWait)
    .slice(-latestShownMax)
    .map((decision) => ({ atMs: decision.atMs, epoch: decision.epoch, seed: undefined, step: undefined, decision }));
  const latest = [...steps, ...decisions].sort((a, b) => b.atMs - a.atMs).slice(0, latestShownMax);
  return (
    <Card title="Latest" note="changes of seeds, and decisions" flush>
      {latest.length === 0 ? (
        <Absence title="Nothing happened yet">The first decision follows the first measurement of the layers.</Absence>
      ) : (
        <ul class="log">
          {latest.map(({ epoch, seed, step, decision }) =>
            step !== undefined ? (
              <li key={`${seed.seedId} ${step.sequence}`}>
                <b class="num latest-epoch">{epoch}</b>
                <span class="latest-what">
                  <StateMark state={step.to} />
                </span>
                <a class="nowrap clip latest-seed" href={hrefOf("seeds", seed.seedId)}>
                  {bounded(seed.seedId, 40)}
                </a>
                <span class="grow clip soft" title={bounded(step.reason)}>
                  {bounded(step.reason, 200)}
                </span>
              </li>
            ) : (
              <li key={decision.id}>
                <b class="num latest-epoch">{epoch}</b>
                <span class="latest-what soft">
                  {decision.by === "emrakul" ? "Emrakul" : "Tamiyo"}: {decision.outcome}
                </span>
                <a class="nowrap" href={hrefOf("decisions", decision.id)}>
                  why
                </a>
                <span class="grow clip soft" title={bounded(decision.reason)}>
                  {bounded(decision.reason, 200)}
                </span>
              </li>
            ),
          )}
        </ul>
      )}
    </Card>
  );
};

export const Overview = () => {
  const run = readRun();
  if (run === undefined)
    return (
      <Absence icon="empty" title="No run yet" tall>
        The node is up and trains nothing. <code>esper start --config configs/quickstart.yaml</code> begins one.
      </Absence>
    );
  return (
    <div class="column overview">
      <Alerts />
      <Header />
      <div class="overview-panes">
        <Training />
        <div class="column">
          <Host />
          <Latest />
        </div>
      </div>
    </div>
  );
};
