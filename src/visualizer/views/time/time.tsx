/** Recorded runs: open one, find the moment, compare two moments, and run again from a checkpoint. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { RecordedRun } from "../../../contracts/view.ts";
import { standing } from "../../data/connection.ts";
import {
  canGoLive,
  checkpoints,
  close,
  listRuns,
  marked,
  opening,
  openRun,
  place,
  recording,
  seek,
  shownEpoch,
} from "../../data/player.ts";
import { absent, bounded, plural, short } from "../../lib/format.ts";
import { hrefOf, route } from "../../lib/router.ts";
import { isDark } from "../../lib/theme.ts";
import { Absence } from "../../parts/absence.tsx";
import { Card } from "../../parts/card.tsx";
import { styleOf } from "../../parts/state-look.ts";
import { stateWords } from "../../parts/state-mark.tsx";
import { Branch } from "./branch.tsx";
import { Difference } from "./difference.tsx";

type Listing =
  | { readonly kind: "loading" }
  | { readonly kind: "known"; readonly runs: readonly RecordedRun[] }
  | { readonly kind: "failed"; readonly reason: string };

const listing = signal<Listing>({ kind: "loading" });
const runsShownMax = 200;
const marksShownMax = 600;

const refresh = async (): Promise<void> => {
  try {
    listing.value = { kind: "known", runs: await listRuns() };
  } catch (error) {
    listing.value = { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
};

/** The time that stands in a run's name, as the run's machine told it. */
const startOf = (runId: string): string => {
  const [, year, month, day, hour, minute] = /^r-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)/.exec(runId) ?? [];
  return year === undefined ? absent : `${year}-${month}-${day} ${hour}:${minute}`;
};

const Runs = () => {
  const known = listing.value;
  if (known.kind === "loading") return <Absence icon="time" title="Looking for recorded runs …" />;
  if (known.kind === "failed")
    return (
      <Absence icon="off" title="The recorded runs could not be listed">
        {known.reason}
      </Absence>
    );
  if (known.runs.length === 0)
    return <Absence title="No recorded run">Every run writes its event log; it appears here when it has begun.</Absence>;
  const openId = opening.value.kind === "none" ? undefined : opening.value.runId;
  const runs = known.runs.slice(0, runsShownMax);
  return (
    <table class="table">
      <thead>
        <tr>
          <th>Run</th>
          <th>Started</th>
          <th class="right">Log</th>
          <th>
            <span class="unseen">Open</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.runId} class={run.runId === openId ? "chosen" : ""}>
            <td class="mono wrap">{bounded(run.runId, 80)}</td>
            <td class="num nowrap">{run.live ? <span class="chip good">in training</span> : startOf(run.runId)}</td>
            <td class="right">{short(run.bytes)}B</td>
            <td class="right">
              <a class="button tight" href={hrefOf("time", run.runId)} onClick={() => reopen(run.runId)}>
                Open<span class="unseen"> {bounded(run.runId, 80)}</span>
              </a>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
};

/** The address may name it already: then nothing changes there, and it is read again. */
const reopen = (runId: string): void => {
  if (route.value.target === runId) void openRun(runId);
};

const stripPx = { width: 1000, height: 64, bottom: 40 };

/** What happened when, as one strip; a click goes there. */
const Strip = () => {
  const open = recording.value;
  if (open === undefined) return null;
  const last = Math.max(1, open.epochLast);
  const toX = (epoch: number): number => 8 + (epoch / last) * (stripPx.width - 16);
  const marks = open.marks().slice(-marksShownMax);
  const go = (event: MouseEvent & { readonly currentTarget: Element }): void => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    const share = ((event.clientX - left) / width) * stripPx.width;
    seek(open.placeOfEpoch(Math.round(((share - 8) / (stripPx.width - 16)) * last)));
  };
  const ticks = Array.from({ length: 6 }, (_, index) => Math.round((last * index) / 5));
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the slider in the bar below is the same for keys.
    <svg
      class="strip"
      viewBox={`0 0 ${stripPx.width} ${stripPx.height}`}
      role="img"
      aria-label={`${marks.length} changes of seeds over ${last} windows`}
      onClick={go}
    >
      <line x1="8" x2={stripPx.width - 8} y1={stripPx.bottom} y2={stripPx.bottom} class="flow" />
      {marks.map((mark, index) => (
        <rect
          key={`${index} ${mark.seedId}`}
          x={toX(mark.epoch) - 1.5}
          y={12}
          width="3"
          height={stripPx.bottom - 14}
          rx="1.5"
          fill={styleOf(mark.to, isDark.value).line}
        >
          <title>{`window ${mark.epoch}: ${bounded(mark.seedId, 60)} ${stateWords(mark.to)}`}</title>
        </rect>
      ))}
      {ticks.map((tick, index) => (
        <text
          key={tick}
          x={toX(tick)}
          y={stripPx.height - 8}
          text-anchor={index === 0 ? "start" : index === 5 ? "end" : "middle"}
          class="layer-note"
        >
          {tick}
        </text>
      ))}
      {marked.value === undefined ? null : (
        <line
          x1={toX(open.epochAt(marked.value))}
          x2={toX(open.epochAt(marked.value))}
          y1="4"
          y2={stripPx.bottom + 4}
          class="strip-mark"
        />
      )}
      <line x1={toX(shownEpoch.value)} x2={toX(shownEpoch.value)} y1="4" y2={stripPx.bottom + 4} class="strip-now" />
    </svg>
  );
};

const Opened = () => {
  const { value } = opening;
  const open = recording.value;
  if (value.kind === "failed")
    return (
      <Absence icon="off" title={`${bounded(value.runId, 60)} could not be opened`}>
        {bounded(value.reason, 200)}
      </Absence>
    );
  if (value.kind === "loading")
    return (
      <Absence icon="time" title={`Reading ${bounded(value.runId, 60)} …`}>
        {plural(value.events, "event")}
        {value.total === null ? "" : ` of ${short(value.total)}`}
      </Absence>
    );
  if (open === undefined)
    return (
      <Absence icon="time" title="No recorded run is open">
        Open one: every view then shows it at the moment that the bar below tells.
      </Absence>
    );
  return (
    <div class="column">
      <Strip />
      <p class="row wraps">
        <b class="mono wrap">{bounded(open.runId, 80)}</b>
        <span class="quiet num">
          {plural(open.length, "event")}, {plural(open.epochLast, "window")}
        </span>
        <span class="row end">
          <button
            type="button"
            class="button tight"
            aria-pressed={marked.value !== undefined}
            onClick={() => (marked.value = marked.value === undefined ? place.value : undefined)}
          >
            {marked.value === undefined ? "Mark this moment" : `Forget the mark at window ${open.epochAt(marked.value)}`}
          </button>
          <button type="button" class="button tight" onClick={close}>
            {canGoLive.value ? "Back to live" : "Close"}
          </button>
        </span>
      </p>
    </div>
  );
};

export const Time = () => {
  const { target } = route.value;
  useEffect(() => void refresh(), []);
  const only = listing.value.kind === "known" && listing.value.runs.length === 1 ? listing.value.runs[0] : undefined;
  const alone = standing.value === "none";
  useEffect(() => {
    // One recorded run and no node: there is nothing to choose.
    if (alone && only !== undefined && target === undefined && opening.peek().kind === "none") void openRun(only.runId);
  }, [alone, only?.runId]);
  useEffect(() => {
    // The address names a run: that one and no other.
    if (target === undefined) return;
    const shown = opening.peek();
    if (shown.kind === "none" || shown.runId !== target) void openRun(target);
  }, [target]);
  const isOpen = recording.value !== undefined;
  return (
    <div class="column time">
      <Card title="Moment">
        <Opened />
      </Card>
      <div class="time-panes">
        <Card
          title="Recorded runs"
          end={
            <button type="button" class="button tight" onClick={() => void refresh()}>
              Look again
            </button>
          }
          flush
          scrolls
        >
          <Runs />
        </Card>
        {isOpen ? (
          <div class="column">
            <Card title="Two moments" flush>
              <Difference />
            </Card>
            <Card title="Branch" note={plural(checkpoints.value.length, "checkpoint")}>
              <Branch />
            </Card>
          </div>
        ) : null}
      </div>
    </div>
  );
};
