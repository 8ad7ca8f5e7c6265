/**
 * Sets the constants that ship, thresholds of the trigger, confidence and forecast, on hosts of its own with random seeds far from those that score
 * them: `node --import tsx bench/calibrate.ts [--hosts 60] [--only PART …] [--out DIR] [--quick] [--json] [--write]`. `--write` puts what
 * was fitted into src/contracts/calibrated.ts. Hosts that are finished stay in the folder and are not run again.
 *
 * trigger: from the first two checks of damaged and as many whole hosts that nothing grows in; how the thresholds follow stands in fit-trigger.ts.
 *    The bound's width is not fitted: it is Student's 95 % quantile with a degree of freedom less than a measurement has blocks.
 * confidence: of the worst layer of each of these hosts, how its severity under the thresholds goes with being damaged.
 * forecast: the damaged hosts and half of the whole ones once more, grown to their end: of every trial at a damaged layer, how gap and validation
 *    loss when it germinated go with the gain of the verdict; and whether the thresholds let whole hosts alone beyond their first two checks. With
 *    `--results FILE …` it is fitted on finished jobs of bench:growth instead.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { sessionSpecOf } from "../src/config/session-spec.ts";
import { MorphogeneticConfig } from "../src/contracts/config.ts";
import type { TriggerConfig } from "../src/contracts/config-signal.ts";
import { EsperError } from "../src/contracts/errors.ts";
import { JobResult } from "../src/contracts/experiment.ts";
import { createEngine } from "../src/engine/engine.ts";
import type { CellSpec } from "../src/experiment/plan.ts";
import { contentHash } from "../src/graph/hash.ts";
import { type Calibration, calibration } from "../src/policy/calibration.ts";
import { runSolo, type SoloOutcome } from "../src/solo/run-solo.ts";
import { type CalibratedPart, writeCalibrated } from "./calibrated-file.ts";
import { fitConfidence, fitForecast, type GainPoint, trialsOfJob, worstOf } from "./fit-policy.ts";
import { falseAlarmCost, fitTrigger, type Plateau, scoreTrigger, type TriggerFit, type TriggerScore } from "./fit-trigger.ts";
import { damagedHosts, type Effort, fullEffort, quickEffort, wholeHosts } from "./growth-hosts.ts";
import { collectChecks, createDatasets, MeasuredHost } from "./host-checks.ts";
import { openKept } from "./kept.ts";
import { isMain, print, table } from "./support.ts";

/** Far from the random seeds of the growth bench and of the comparison of signals. */
export const firstSeed = 1001;
export const calibrationParts = ["trigger", "confidence", "forecast"] as const satisfies readonly CalibratedPart[];

export interface CalibrationFit {
  readonly hosts: { readonly damaged: number; readonly whole: number };
  /** Hosts with a layer that something speaks against. */
  readonly layers: number;
  readonly trials: number;
  /** Of the whole hosts that were taken to their end, those that a seed germinated in. */
  readonly toTheEnd?: { readonly whole: number; readonly germinated: number };
  readonly trigger?: TriggerFit & {
    /** The same hosts under the thresholds that ship. */
    readonly shipped: TriggerScore;
  };
  readonly confidence?: Calibration["confidence"];
  readonly forecast?: Calibration["forecast"];
}

/** To three digits: more of them would be noise. */
const rounded = <T extends Readonly<Record<string, number>>>(constants: T): T =>
  Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, Number(value.toPrecision(3))])) as T;

const trialsOf = ({ config }: CellSpec, { results, decisions, damagedSites, fieldReports }: SoloOutcome): GainPoint[] =>
  fieldReports.flatMap((report): GainPoint[] => {
    const asked = decisions.find(({ outcome, seedId }) => outcome === "germinate" && seedId === report.seedId);
    const judged = report.history.some(({ state }) => state === "FINE_TUNING");
    if (asked === undefined || !damagedSites.includes(report.fromSite) || report.measuredGain === undefined) return [];
    const before = results.filter(({ epoch, signal }) => epoch <= asked.epoch && signal !== undefined);
    const gaps = before
      .slice(-config.morphogenetic.trigger.checks)
      .flatMap(({ signal }) => signal!.layers.flatMap(({ site, gap }) => (site === report.fromSite ? [gap] : [])));
    const validationLoss = before.at(-1)?.validation?.loss;
    if (gaps.length === 0 || validationLoss === undefined) return [];
    return [
      { gap: Math.min(...gaps), validationLoss, gain: report.measuredGain.mean, judged, kept: report.outcome === "FOSSILIZED" },
    ];
  });

const KeptTrial = z.strictObject({
  gap: z.number(),
  validationLoss: z.number(),
  gain: z.number(),
  judged: z.boolean(),
  kept: z.boolean(),
});
/** A host that was grown to its end. */
const GrownHost = z.strictObject({ germinated: z.boolean(), trials: z.array(KeptTrial) });
type GrownHost = z.infer<typeof GrownHost>;

interface TrialOptions {
  readonly constants: Calibration;
  readonly out: string | undefined;
  readonly onHost: (line: string) => void;
}

interface Grown {
  readonly trials: readonly GainPoint[];
  readonly toTheEnd: NonNullable<CalibrationFit["toTheEnd"]>;
}

/** Every host grown to its end, in turn. One that fails has no trial. */
const growHosts = async (cells: readonly CellSpec[], { constants, out, onHost }: TrialOptions): Promise<Grown> => {
  const engine = await createEngine("native", { threads: 1 });
  const reference = await createEngine("wasm", { threads: 1 });
  const datasetOf = createDatasets();
  const kept = openKept(out === undefined ? undefined : join(out, "grown.jsonl"), GrownHost);
  const grow = async (cell: CellSpec): Promise<GrownHost | string> => {
    const { config } = cell;
    const key = contentHash({ config, confidence: constants.confidence, engine: { name: engine.name, version: engine.version } });
    const known = kept.get(key);
    if (known !== undefined) return known;
    const dataset = await datasetOf(cell);
    const runId = `calibration-${config.randomSeed}`;
    const spec = sessionSpecOf({ runId, config, dataset, engine: engine.name, damaged: cell.damage !== "none" });
    let ticks = 0;
    const nowMs = (): number => ticks++;
    try {
      const outcome = await runSolo({ spec, dataset, engine, reference, growth: true, nowMs, calibration: constants });
      const germinated = outcome.decisions.some((decision) => decision.outcome === "germinate");
      const grown = { germinated, trials: trialsOf(cell, outcome) };
      kept.put(key, grown);
      return grown;
    } catch (error) {
      if (!(error instanceof EsperError)) throw error;
      return error.message;
    }
  };
  const trials: GainPoint[] = [];
  const toTheEnd = { whole: 0, germinated: 0 };
  try {
    for (const [index, cell] of cells.entries()) {
      const grown = await grow(cell);
      const label = `${index + 1}/${cells.length} ${cell.host} ${cell.damage} ${cell.dataset} ${cell.config.randomSeed}`;
      if (typeof grown === "string") {
        onHost(`${label}: ${grown}`);
        continue;
      }
      trials.push(...grown.trials);
      if (cell.damage === "none") {
        toTheEnd.whole += 1;
        if (grown.germinated) toTheEnd.germinated += 1;
      }
      const gains = grown.trials.map(
        ({ gap, gain, kept: stays }) => `${gain.toFixed(3)} of gap ${gap.toFixed(3)} ${stays ? "kept" : "culled"}`,
      );
      onHost(`${label}: ${gains.join(", ") || (grown.germinated ? "a trial where nothing is damaged" : "no trial")}`);
    }
  } finally {
    await Promise.all([engine.dispose(), reference.dispose()]);
  }
  return { trials, toTheEnd };
};

const withTrigger = (cell: CellSpec, trigger: Partial<TriggerConfig>): CellSpec => {
  const { morphogenetic } = cell.config;
  return {
    ...cell,
    config: { ...cell.config, morphogenetic: { ...morphogenetic, trigger: { ...morphogenetic.trigger, ...trigger } } },
  };
};

export interface CalibrationOptions {
  /** Damaged ones, and as many whole ones. */
  readonly hosts: number;
  readonly only: readonly CalibratedPart[];
  readonly effort: Effort;
  /** Where finished hosts are kept. */
  readonly out?: string;
  readonly onHost: (line: string) => void;
}

export const calibrate = async ({ hosts, only, effort, out, onHost }: CalibrationOptions): Promise<CalibrationFit> => {
  const damaged = damagedHosts(hosts, effort, firstSeed);
  const whole = wholeHosts(hosts, effort, firstSeed);
  const shipped = MorphogeneticConfig.parse({}).trigger;
  const checked = only.includes("trigger") || only.includes("confidence");
  const kept = openKept(out === undefined ? undefined : join(out, "checks.jsonl"), MeasuredHost);
  const seen = checked ? await collectChecks([...damaged, ...whole], { onHost, kept }) : [];
  const trigger = only.includes("trigger") ? { ...fitTrigger(seen, shipped), shipped: scoreTrigger(seen, shipped) } : undefined;
  const rules: TriggerConfig = { ...shipped, ...trigger?.thresholds };
  const layers = seen.flatMap((host) => worstOf(host, rules));
  const confidence = only.includes("confidence") ? rounded(fitConfidence(layers)) : undefined;
  const constants: Calibration = { ...calibration, ...(confidence === undefined ? {} : { confidence }) };
  const cells = [...damaged, ...whole.slice(0, Math.ceil(hosts / 2))].map((cell) => withTrigger(cell, rules));
  const grown = only.includes("forecast") ? await growHosts(cells, { constants, out, onHost }) : undefined;
  return {
    hosts: { damaged: damaged.length, whole: whole.length },
    layers: layers.length,
    trials: grown?.trials.length ?? 0,
    ...(trigger === undefined ? {} : { trigger }),
    ...(confidence === undefined ? {} : { confidence }),
    ...(grown === undefined
      ? {}
      : { forecast: rounded(fitForecast(grown.trials, calibration.forecast.gapFloor)), toTheEnd: grown.toTheEnd }),
  };
};

const scoreText = ({ found, damaged, falseAlarms, whole }: TriggerScore): string =>
  `${found} of ${damaged} damaged hosts found, ${falseAlarms} of ${whole} whole ones named`;

const endText = ({ whole, germinated }: NonNullable<CalibrationFit["toTheEnd"]>): string =>
  `a seed germinated in ${germinated} of ${whole} whole hosts until their end`;

const numberText = (value: number): string => String(Number(value.toPrecision(3)));

const plateauText = ({ name, value, from, to, openBelow, openAbove }: Plateau): readonly string[] => [
  name,
  numberText(value),
  `${openBelow ? "≤ " : ""}${numberText(from)} to ${openAbove ? "≥ " : ""}${numberText(to)}`,
];

export const calibrationTable = ({ hosts, layers, trials, toTheEnd, trigger, confidence, forecast }: CalibrationFit): string =>
  [
    `${hosts.damaged} damaged and ${hosts.whole} whole hosts, ${layers} layers named, ${trials} trials at damaged layers${toTheEnd === undefined ? "" : `; ${endText(toTheEnd)}`}.`,
    ...(trigger === undefined
      ? []
      : [
          table(["threshold", "value", "plateau"], trigger.plateaus.map(plateauText)),
          `Fitted: ${scoreText(trigger.score)}. The thresholds that ship: ${scoreText(trigger.shipped)}. A false alarm counts as ${falseAlarmCost} finds.`,
        ]),
    ...[confidence, forecast].flatMap((constants) =>
      constants === undefined
        ? []
        : [
            table(
              ["constant", "value"],
              Object.entries(constants).map(([name, value]) => [name, value.toFixed(3)]),
            ),
          ],
    ),
  ].join("\n\n");

/** What stands beside the constants: on what they were set, and with what success. */
const provenanceOf = ({ hosts, layers, trials, toTheEnd, trigger, confidence, forecast }: CalibrationFit, from: string) => ({
  ...(trigger === undefined
    ? {}
    : { trigger: `${hosts.damaged} damaged and ${hosts.whole} whole hosts, ${from}: ${scoreText(trigger.score)}` }),
  ...(confidence === undefined
    ? {}
    : { confidence: `the worst layer of each of ${layers} hosts that something speaks against, ${from}` }),
  ...(forecast === undefined
    ? {}
    : {
        forecast: `${trials} trials at damaged layers of ${hosts.damaged} hosts, ${from}${toTheEnd === undefined ? "" : `; ${endText(toTheEnd)}`}`,
      }),
});

const write = (fit: CalibrationFit, from: string): void => {
  const { trigger, confidence, forecast } = fit;
  writeCalibrated(
    {
      ...(trigger === undefined ? {} : { trigger: trigger.thresholds }),
      ...(confidence === undefined ? {} : { confidence }),
      ...(forecast === undefined ? {} : { forecast }),
    },
    provenanceOf(fit, from),
  );
};

/** The forecast on finished jobs; controls and whole hosts have no trial at a damaged layer. */
const forecastOfJobs = (files: readonly string[]): CalibrationFit => {
  const { checks } = MorphogeneticConfig.parse({}).trigger;
  const lines = files.flatMap((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== ""),
  );
  const jobs = lines.map((line) => JobResult.parse(JSON.parse(line)));
  const trials = jobs.flatMap((job) => trialsOfJob(job, checks));
  const damaged = jobs.filter(({ damagedSites }) => damagedSites.length > 0).length;
  return {
    hosts: { damaged, whole: jobs.length - damaged },
    layers: 0,
    trials: trials.length,
    forecast: rounded(fitForecast(trials, calibration.forecast.gapFloor)),
  };
};

const partsOf = (names: readonly string[]): readonly CalibratedPart[] => {
  const unknown = names.find((name) => !calibrationParts.some((part) => part === name));
  if (unknown !== undefined) throw new Error(`--only: expected one of ${calibrationParts.join(", ")}, got ${unknown}`);
  return calibrationParts.filter((part) => names.length === 0 || names.includes(part));
};

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "60" },
      only: { type: "string", multiple: true, default: [] },
      results: { type: "string", multiple: true, default: [] },
      out: { type: "string", default: ".esper/calibration" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const fit =
    values.results.length > 0
      ? forecastOfJobs(values.results)
      : await calibrate({
          hosts: Number(values.hosts),
          only: partsOf(values.only),
          effort: values.quick ? quickEffort : fullEffort,
          out: values.out,
          onHost: (line) => console.error(line),
        });
  print(fit, calibrationTable(fit));
  if (values.write) write(fit, values.results.length > 0 ? "finished jobs of bench:growth" : `random seeds from ${firstSeed} on`);
}
