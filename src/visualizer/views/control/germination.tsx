/** A germination in particular: where the bypass ends and what is grown, with what the node tells of cost, forecast and budget. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { BudgetAmounts } from "../../../contracts/budget.ts";
import type { Candidate, LayerStanding, SeedDetail } from "../../../contracts/command-queries.ts";
import type { ViewRun, ViewSeed } from "../../../contracts/view.ts";
import { inquire, send } from "../../data/commands.ts";
import { readRun, readState } from "../../data/store.ts";
import { bounded, fixed, percent, short } from "../../lib/format.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { ForecastBands } from "../seeds/forecast.tsx";
import { whyNot } from "./command-button.tsx";
import { type Growth, GrowthChoice, growthFields, growthProblem, openGrowth } from "./growth-choice.tsx";
import { seedStandings } from "./standings.ts";

const asked = signal<{ readonly runId: string; readonly seedId: string } | undefined>(undefined);
export const askGermination = (run: ViewRun, seed: ViewSeed): void => {
  asked.value = { runId: run.runId, seedId: seed.seedId };
};

interface Known {
  readonly targets: readonly string[];
  readonly candidate: Candidate | undefined;
  readonly left: BudgetAmounts | undefined;
  readonly severity: number | undefined;
  readonly problem: string | undefined;
}

const lookUp = async (runId: string, seedId: string, site: string): Promise<Known> => {
  const [seed, analysis, budget, layer] = await Promise.all([
    inquire<{ readonly seed: SeedDetail }>({ kind: "seed", runId, seedId }),
    inquire<{ readonly candidates: readonly Candidate[] }>({ kind: "analyze", runId }),
    inquire<{ readonly left: BudgetAmounts }>({ kind: "budget", runId }),
    inquire<{ readonly layer: LayerStanding }>({ kind: "layer", runId, site }),
  ]);
  return {
    targets: seed.kind === "known" ? seed.value.seed.legalTargets : [],
    candidate: analysis.kind === "known" ? analysis.value.candidates?.find((each) => each.site === site) : undefined,
    left: budget.kind === "known" ? budget.value.left : undefined,
    severity: layer.kind === "known" ? layer.value.layer.severity : undefined,
    problem: seed.kind === "failed" ? seed.reason : undefined,
  };
};

const Told = ({ known }: { readonly known: Known }) => {
  const { candidate, left, severity } = known;
  const forecast = candidate?.forecast;
  const rows: readonly (readonly [string, string])[] = [
    ...(severity === undefined ? [] : ([["Severity of the layer", `${fixed(severity, 2)} (a candidate above 1)`]] as const)),
    ...(candidate?.confidence === undefined ? [] : ([["Tamiyo is sure to", percent(candidate.confidence, 0)]] as const)),
    ...(candidate?.toSite === undefined ? [] : ([["She would end it at", candidate.toSite]] as const)),
    ...(candidate?.blueprint === undefined
      ? []
      : ([["She would grow", `${candidate.blueprint.kind}, ${candidate.blueprint.hiddenWidth} wide`]] as const)),
    ...(candidate?.objection === undefined ? [] : ([["She objects", candidate.objection]] as const)),
    ...(left?.flops === undefined ? [] : ([["Left for trials", `${short(left.flops)}FLOP`]] as const)),
    ...(left?.parameters === undefined ? [] : ([["Parameters left", short(left.parameters)]] as const)),
  ];
  return (
    <section class="column tight" aria-label="What the node tells">
      {rows.length === 0 ? (
        <p class="soft small">The node tells no forecast of this layer: it is no candidate of the last signal.</p>
      ) : null}
      <dl class="pairs small">
        {rows.map(([name, value]) => (
          <div key={name} class="contents">
            <dt>{name}</dt>
            <dd class="wrap">{bounded(value, 200)}</dd>
          </div>
        ))}
      </dl>
      {forecast === undefined ? null : <ForecastBands forecast={forecast} gain={null} />}
    </section>
  );
};

const reasonLengthMax = 500;

/** The one form of the page. */
export const Germination = () => {
  const { value } = asked;
  const state = readState("seeds", "commands");
  const run = readRun();
  const [known, setKnown] = useState<Known | undefined>(undefined);
  const [growth, setGrowth] = useState<Growth>(openGrowth);
  const [reason, setReason] = useState("");
  const seed = value === undefined ? undefined : run?.seeds.find(({ seedId }) => seedId === value.seedId);
  const seedId = value?.seedId;
  useEffect(() => {
    if (value === undefined || seed === undefined) return;
    setKnown(undefined);
    setGrowth(openGrowth);
    setReason("");
    void lookUp(value.runId, value.seedId, seed.site).then((found) => {
      if (asked.peek()?.seedId === value.seedId) setKnown(found);
    });
  }, [seedId]);
  const close = (): void => {
    asked.value = undefined;
  };
  const standing =
    value === undefined || state === undefined ? undefined : seedStandings(state, value.runId, value.seedId).get("germinate");
  const problem = growthProblem(growth) ?? whyNot(standing);
  const name = bounded(seedId, 60);
  return (
    <Dialog title={value === undefined ? "Germinate" : `Germinate ${name}`} open={value !== undefined} onClose={close} form>
      {known === undefined ? (
        <p class="soft">Asking the node where a bypass may end …</p>
      ) : known.problem === undefined ? (
        <>
          <GrowthChoice growth={growth} targets={known.targets} onChange={setGrowth} />
          <Told known={known} />
        </>
      ) : (
        <p class="bad-text wrap">{bounded(known.problem, 300)}</p>
      )}
      <label class="field">
        <span>Reason, for the ledger</span>
        <input
          class="input"
          maxLength={reasonLengthMax}
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
        />
      </label>
      {problem === undefined ? null : <p class="why small">{bounded(problem, 200)}</p>}
      <div class="actions">
        <button type="button" class="button" onClick={close}>
          Leave it
        </button>
        <button
          type="button"
          class="button primary"
          disabled={problem !== undefined || value === undefined}
          onClick={() => {
            if (value === undefined) return;
            const given = reason.trim();
            const body = { kind: "germinate", ...value, ...growthFields(growth), ...(given === "" ? {} : { reason: given }) };
            void send(body, `Germinate ${name}`);
            close();
          }}
        >
          Germinate
        </button>
      </div>
    </Dialog>
  );
};
