/** The node's own commands: start a run from a configuration or a checkpoint, and end the node. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { OfferedConfig } from "../../../contracts/offer.ts";
import type { RecordedCheckpoints, RecordedRun, ViewState } from "../../../contracts/view.ts";
import { resumeNameOf } from "../../../view/branch.ts";
import { type Answered, fetchOffer } from "../../data/commands.ts";
import { checkpointsOf, listRuns } from "../../data/player.ts";
import { token } from "../../data/token.ts";
import { bounded, plural } from "../../lib/format.ts";
import { Choice } from "../../parts/choice.tsx";
import { CommandButton } from "./command-button.tsx";
import type { Standings } from "./standings.ts";

interface Offers {
  readonly configs: Answered<readonly OfferedConfig[]>;
  readonly runs: readonly RecordedRun[];
}
const offers = signal<Offers | undefined>(undefined);
const runsShownMax = 100;

const lookAgain = async (): Promise<void> => {
  const [configs, runs] = await Promise.all([
    fetchOffer<{ readonly configs: readonly OfferedConfig[] }>("/configs"),
    listRuns().catch((): readonly RecordedRun[] => []),
  ]);
  offers.value = { configs: configs.kind === "known" ? { kind: "known", value: configs.value.configs } : configs, runs };
};

const FromConfig = ({ standings }: { readonly standings: Standings }) => {
  const [chosen, setChosen] = useState("");
  const known = offers.value?.configs;
  if (known === undefined) return <p class="soft small">{token.value === undefined ? "" : "Asking for configurations …"}</p>;
  if (known.kind === "failed")
    return <p class="soft small wrap">No configuration can be offered: {bounded(known.reason, 200)}</p>;
  const config = known.value.find(({ name }) => name === chosen) ?? known.value[0];
  if (config === undefined) return <p class="soft small">The node offers no configuration.</p>;
  return (
    <div class="column tight">
      <Choice
        label="Configuration"
        value={config.name}
        options={known.value.map(({ name }) => [name, bounded(name, 60)] as const)}
        onChoose={setChosen}
      />
      <p class="soft small wrap">
        {bounded(config.about, 300)} Arms: {config.config.arms.join(", ")}.
      </p>
      <CommandButton
        label="Start a run"
        about={`Start a run of ${bounded(config.name, 60)}`}
        body={{ kind: "start", config: config.config }}
        standing={standings.get("start")}
        primary
      />
    </div>
  );
};

const FromCheckpoint = ({ standings }: { readonly standings: Standings }) => {
  const [runId, setRunId] = useState("");
  const [epoch, setEpoch] = useState("");
  const [found, setFound] = useState<RecordedCheckpoints["checkpoints"] | undefined>(undefined);
  const runs = offers.value?.runs.slice(0, runsShownMax) ?? [];
  const run = runs.find((each) => each.runId === runId) ?? runs[0];
  useEffect(() => {
    if (run === undefined) return;
    setFound(undefined);
    setEpoch("");
    void checkpointsOf(run.runId).then(setFound);
  }, [run?.runId]);
  if (run === undefined) return <p class="soft small">No run left a checkpoint yet.</p>;
  const checkpoint = found?.find((each) => String(each.epoch) === epoch) ?? found?.at(-1);
  return (
    <div class="column tight">
      <div class="form-grid">
        <Choice
          label="Run"
          value={run.runId}
          options={runs.map((each) => [each.runId, bounded(each.runId, 60)] as const)}
          onChoose={setRunId}
        />
        {checkpoint === undefined || found === undefined ? null : (
          <Choice
            label="Checkpoint"
            value={String(checkpoint.epoch)}
            options={found.map((each) => [String(each.epoch), `window ${each.epoch}`] as const)}
            onChoose={setEpoch}
          />
        )}
      </div>
      {checkpoint === undefined ? (
        <p class="soft small">{found === undefined ? "Looking for checkpoints …" : "This run left no checkpoint on the disk."}</p>
      ) : (
        <CommandButton
          label="Load this checkpoint"
          about={`Load the checkpoint of window ${checkpoint.epoch} of ${bounded(run.runId, 60)}`}
          body={{ kind: "start", config: {}, resume: resumeNameOf(run.runId, checkpoint) }}
          standing={standings.get("start")}
        />
      )}
    </div>
  );
};

export const NodeCommands = ({ state, standings }: { readonly state: ViewState; readonly standings: Standings }) => {
  const who = token.value;
  useEffect(() => void lookAgain(), [who, state.runs.length]);
  const running = state.runs.filter(({ outcome }) => outcome === "running").length;
  return (
    <div class="column">
      <p class="soft small">
        {running === 0 ? "No run is going on." : `${plural(running, "run")} going on; another waits for its turn.`} A node started
        with
        <code> --stay</code> takes runs.
      </p>
      <FromConfig standings={standings} />
      <FromCheckpoint standings={standings} />
      <div class="row wraps end-row">
        <button type="button" class="button" onClick={() => void lookAgain()}>
          Look again
        </button>
        <CommandButton
          label="End the node"
          about="End the node"
          body={{ kind: "shutdown" }}
          standing={standings.get("shutdown")}
          asks
        />
      </div>
    </div>
  );
};
