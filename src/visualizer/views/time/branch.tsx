/** Run again from here with another decision: from the nearest checkpoint at or before the moment, on the node that is there; else as a command line. */
import { useMemo, useState } from "preact/hooks";
import type { ViewDecision, ViewRun } from "../../../contracts/view.ts";
import { branchFrom, decisionToChange, firstCommandsFor, type Instead, resumeNameOf } from "../../../view/branch.ts";
import { legalCommands } from "../../../view/legal-commands.ts";
import { sent } from "../../data/commands.ts";
import { checkpoints, close, recording, shownEpoch } from "../../data/player.ts";
import { chosenRunId, readLive, readRun } from "../../data/store.ts";
import { claims } from "../../data/token.ts";
import { bounded, plural } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { Choice } from "../../parts/choice.tsx";
import { toneOf } from "../../parts/notices.tsx";
import { CommandButton } from "../control/command-button.tsx";
import { Fate } from "../control/fate.tsx";
import { type Growth, GrowthChoice, growthFields, growthProblem, openGrowth } from "../control/growth-choice.tsx";

type Way = "spare" | "layer" | "grow" | "cull" | "same";
const seedsShownMax = 500;

const decisionWords = (decision: ViewDecision): string =>
  `window ${decision.epoch}: ${decision.outcome} ${bounded(decision.seedId ?? decision.site, 60)} by ${decision.by}`;

/** Every branch that this page asked for, with how it stands. */
const Started = () => {
  const live = readLive();
  const asked = sent.value.filter(({ kind, about }) => kind === "start" && about.startsWith("Branch"));
  if (asked.length === 0) return null;
  return (
    <ul class="column tight" aria-label="Branches">
      {asked.map((entry) => {
        const { runName } = entry;
        const command = live?.commands.find(({ requestId }) => requestId === entry.id);
        const run = runName === undefined ? undefined : live?.runs.find(({ runId }) => runId.startsWith(`${runName}-`));
        const first = live?.commands.filter(({ requestId }) => requestId.startsWith(`${entry.id}.`)) ?? [];
        return (
          <li key={entry.id} class="branch">
            <div class="row wraps">
              <span class={`chip ${run === undefined ? toneOf(entry.state) : "good"}`}>
                {run === undefined ? entry.state : run.outcome}
              </span>
              <span class="wrap grow">{bounded(entry.about, 160)}</span>
              {run === undefined ? null : (
                <a
                  class="button tight"
                  href={hrefOf("overview")}
                  onClick={() => {
                    close();
                    chosenRunId.value = run.runId;
                  }}
                >
                  Watch {bounded(run.runId, 60)}
                </a>
              )}
            </div>
            {run === undefined ? <p class="soft small wrap">{bounded(entry.text, 300)}</p> : null}
            {live === undefined || command === undefined || run !== undefined ? null : <Fate command={command} state={live} />}
            {live === undefined
              ? null
              : first.map((each) => (
                  <div key={each.requestId} class="row wraps">
                    <b class="small">{each.kind}</b>
                    <Fate command={each} state={live} />
                  </div>
                ))}
          </li>
        );
      })}
    </ul>
  );
};

interface AnotherProps {
  readonly run: ViewRun;
  readonly checkpointEpoch: number;
  /** As the node names it. */
  readonly resume: string;
}

const Another = ({ run, checkpointEpoch, resume }: AnotherProps) => {
  const live = readLive();
  const open = recording.value;
  // Of the whole recording: what was decided after the moment is what a person wants otherwise.
  const decisions = useMemo(
    () => open?.stateAt(open.length).runs.find(({ runId }) => runId === open.runId)?.decisions ?? [],
    [open],
  );
  const decision = decisionToChange(decisions, checkpointEpoch);
  const [way, setWay] = useState<Way>(decision === undefined ? "same" : "spare");
  const [chosen, setChosen] = useState("");
  const [growth, setGrowth] = useState<Growth>(openGrowth);
  if (live === undefined) return null;
  const seedId = chosen !== "" ? chosen : (decision?.seedId ?? run.activeSeedId ?? run.seeds[0]?.seedId ?? "");
  const seed = run.seeds.find((each) => each.seedId === seedId);
  const site = seed?.site ?? "";
  const layer = run.host?.layers.find((each) => each.site === site);
  const insteads: Readonly<Record<Way, Instead>> = {
    spare: { kind: "spare", target: seedId },
    layer: { kind: "spare", target: site },
    grow: { kind: "grow", seedId, ...growthFields(growth) },
    cull: { kind: "cull", seedId },
    same: { kind: "same" },
  };
  const words: Readonly<Record<Way, string>> = {
    spare: `do not germinate ${bounded(seedId, 60)} (pin the seed)`,
    layer: `leave the layer ${bounded(site, 60)} alone (pin it)`,
    grow: "germinate, as said below",
    cull: `cull ${bounded(seedId, 60)}, if it is in trial by then`,
    same: "the same, and steer it by hand",
  };
  const reason = `another decision than at window ${checkpointEpoch} of ${run.runId}`.slice(0, 500);
  const first = firstCommandsFor(insteads[way], reason);
  const standing = legalCommands(live, null, null, claims.value?.role).find(({ kind }) => kind === "start");
  const problem = way === "grow" ? growthProblem(growth) : seed === undefined && way !== "same" ? "choose a seed" : undefined;
  const { toSite, blueprint } = growthFields(growth);
  const grown = [
    bounded(seedId, 60),
    ...(toSite === undefined ? [] : [`to ${toSite}`]),
    ...(blueprint === undefined ? [] : [blueprint.kind]),
  ];
  const what = way === "grow" ? `germinate ${grown.join(", ")}` : words[way];
  const about = `Branch of ${bounded(run.runId, 60)} from window ${checkpointEpoch}: ${what}`;
  return (
    <div class="column tight">
      <p class="small soft wrap">
        {decision === undefined ? (
          "After it nothing was grown or pruned. What was decided before it stays as it was: go to a moment before a decision to take another."
        ) : (
          <>
            Then it was decided: <a href={hrefOf("decisions", decision.id)}>{decisionWords(decision)}</a>.
          </>
        )}
      </p>
      <div class="form-grid">
        <Choice
          label="Seed"
          value={seedId}
          options={run.seeds.slice(0, seedsShownMax).map((each) => [each.seedId, bounded(each.seedId, 60)] as const)}
          onChoose={setChosen}
        />
        <Choice
          label="Instead"
          value={way}
          options={(["spare", "layer", "grow", "cull", "same"] as const).map((each) => [each, words[each]] as const)}
          onChoose={setWay}
        />
      </div>
      {way === "grow" ? <GrowthChoice growth={growth} targets={layer?.targets ?? []} onChange={setGrowth} /> : null}
      {problem === undefined ? (
        <CommandButton
          label="Run again from here"
          about={about}
          body={{ kind: "start", config: {}, resume, ...(first.length === 0 ? {} : { first }), reason }}
          standing={standing}
          primary
        />
      ) : (
        <p class="bad-text small">{problem}</p>
      )}
      <Started />
    </div>
  );
};

export const Branch = () => {
  const open = recording.value;
  const run = readRun("seeds", "decisions", "host");
  const live = readLive();
  if (open === undefined) return null;
  const branch = branchFrom(checkpoints.value, shownEpoch.value);
  if (branch === undefined)
    return (
      <div class="column tight">
        <Absence icon="branch" title="No checkpoint at or before this moment">
          {checkpoints.value.length === 0
            ? "This run left none on the disk."
            : `The first is of window ${checkpoints.value[0]?.epoch}; go there to branch.`}
        </Absence>
        <Started />
      </div>
    );
  const { checkpoint, epochsBefore } = branch;
  return (
    <div class="column tight">
      <p>
        The nearest checkpoint is of window <b class="num">{checkpoint.epoch}</b>
        {epochsBefore === 0 ? "" : `, ${plural(epochsBefore, "window")} before this moment`}. From it the run goes on bit for bit
        as it did, until another decision is taken.
      </p>
      {live === undefined || run === undefined ? null : (
        <Another
          key={`${open.runId} ${checkpoint.epoch}`}
          run={run}
          checkpointEpoch={checkpoint.epoch}
          resume={resumeNameOf(open.runId, checkpoint)}
        />
      )}
      <details open={live === undefined}>
        <summary class="small soft">By command line</summary>
        <pre class="command-line mono">{branch.commandLine}</pre>
        <CopyButton text={branch.commandLine} />
      </details>
    </div>
  );
};

const CopyButton = ({ text }: { readonly text: string }) => {
  const [told, setTold] = useState("");
  return (
    <p class="row">
      <button
        type="button"
        class="button tight"
        onClick={() =>
          void navigator.clipboard.writeText(text).then(
            () => setTold("copied"),
            () => setTold("the browser did not allow it; mark the line and copy it"),
          )
        }
      >
        Copy
      </button>
      <span class="small soft" role="status">
        {told}
      </span>
    </p>
  );
};
