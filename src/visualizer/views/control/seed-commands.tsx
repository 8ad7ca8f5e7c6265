/** What may be asked of one seed now. */
import type { ViewRun, ViewSeed, ViewState } from "../../../contracts/view.ts";
import { bounded } from "../../lib/format.ts";
import { CommandButton, whyNot } from "./command-button.tsx";
import { askGermination } from "./germination.tsx";
import { seedStandings } from "./standings.ts";

interface SeedCommandsProps {
  readonly state: ViewState;
  readonly run: ViewRun;
  readonly seed: ViewSeed;
}

export const SeedCommands = ({ state, run, seed }: SeedCommandsProps) => {
  if (state.source === "recorded") return null;
  const standings = seedStandings(state, run.runId, seed.seedId);
  const { seedId } = seed;
  const name = bounded(seedId, 60);
  const pinned = run.holds.pins.includes(seedId);
  const escalated = run.escalations.some((each) => each.seedId === seedId && each.settled === null);
  const base = { runId: run.runId };
  const germinate = standings.get("germinate");
  return (
    <section class="commands" aria-label="Commands">
      <div class="row wraps">
        <CommandButton
          label="Germinate"
          about={`Germinate ${name}`}
          body={{ ...base, kind: "germinate", seedId }}
          standing={germinate}
        />
        <button
          type="button"
          class="button"
          aria-disabled={whyNot(germinate) !== undefined}
          title={whyNot(germinate) ?? "Choose where the bypass ends, and the blueprint"}
          onClick={() => {
            if (whyNot(germinate) === undefined) askGermination(run, seed);
          }}
        >
          Germinate as …
        </button>
        <CommandButton
          label="Cull"
          about={`Cull ${name}`}
          body={{ ...base, kind: "cull", seedId }}
          standing={standings.get("cull")}
        />
        <CommandButton
          label="Roll back"
          about={`Roll back ${name}`}
          body={{ ...base, kind: "rollback", seedId }}
          standing={standings.get("rollback")}
        />
        <CommandButton
          label="Release"
          about={`Release ${name}`}
          body={{ ...base, kind: "release", seedId }}
          standing={standings.get("release")}
        />
        {pinned ? (
          <CommandButton
            label="Unpin"
            about={`Unpin ${name}`}
            body={{ ...base, kind: "unpin", target: seedId }}
            standing={standings.get("unpin")}
          />
        ) : (
          <CommandButton
            label="Pin"
            about={`Pin ${name}`}
            body={{ ...base, kind: "pin", target: seedId }}
            standing={standings.get("pin")}
          />
        )}
        {escalated ? (
          <>
            <CommandButton
              label="Keep"
              about={`Keep ${name}`}
              body={{ ...base, kind: "resolve", seedId, verdict: "keep" }}
              standing={standings.get("resolve")}
              primary
            />
            <CommandButton
              label="Do not keep"
              about={`Do not keep ${name}`}
              body={{ ...base, kind: "resolve", seedId, verdict: "cull" }}
              standing={standings.get("resolve")}
            />
          </>
        ) : null}
      </div>
    </section>
  );
};
