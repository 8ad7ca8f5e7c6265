/**
 * All signals of a layer on the same damaged and whole hosts, each judged alone:
 * `node --import tsx bench/signals.ts [--hosts 60] [--out DIR] [--quick] [--json] [--write]`. `--write` puts the table into bench/RESULTS.md.
 *
 * A host trains alone until its first two checks, in successive windows after the warm-up; nothing is grown. A layer's score is the lesser
 * of its two, since growth wants both, and higher is worse. A layer without a value counts as beyond suspicion, a damaged host without a
 * check as not found.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { TriggerConfig } from "../src/contracts/config-signal.ts";
import type { RandomSource } from "../src/contracts/ports.ts";
import { gapLower, type LayerSignal, severityOf } from "../src/contracts/signal.ts";
import { bootstrap, clopperPearson, type Estimate, median, type Proportion, ranksOf } from "../src/experiment/intervals.ts";
import { estimateText, plain, proportionText } from "../src/experiment/report/format.ts";
import { createRandom } from "../src/graph/random.ts";
import { damagedHosts, type Effort, fullEffort, quickEffort, wholeHosts } from "./growth-hosts.ts";
import { checksWanted, collectChecks, type HostChecks, isWhole, MeasuredHost, triggeredAt } from "./host-checks.ts";
import { openKept } from "./kept.ts";
import { writePart } from "./results-file.ts";
import { isMain, machineLine, mean, print, table } from "./support.ts";

/** Neither those of the calibration nor those of the growth bench. */
const firstSeed = 90_001;
/** Of the whole hosts. */
const falseMax = 0.01;
const confidence = 0.95;
/** Below every score: what was not measured cannot be named. */
const unmeasured = -Number.MAX_VALUE;

/** Higher is worse. Undefined where it was not measured. `others` are all layers of the host. */
type Score = (layer: LayerSignal, others: readonly LayerSignal[], trigger: TriggerConfig) => number | undefined;

const negated = (value: number | undefined): number | undefined => (value === undefined ? undefined : -value);

/** As a multiple of the host's median layer: what a gradient comes to differs between hosts. */
const overMedian = (layer: LayerSignal, others: readonly LayerSignal[]): number | undefined => {
  const centre = median(others.flatMap(({ fisher }) => fisher ?? []));
  return layer.fisher === undefined || centre === undefined || !(centre > 0) ? undefined : layer.fisher / centre;
};

const dimensionsLost: Score = ({ dimensionsIn, dimensionsOut }) =>
  dimensionsIn === undefined || dimensionsOut === undefined ? undefined : 1 - dimensionsOut / Math.max(1, dimensionsIn);

export const signalScores = {
  "explained-error gap": ({ gap }) => gap,
  "gap's lower bound": (layer, _, trigger) => gapLower(layer, trigger),
  "dimensions lost, share": dimensionsLost,
  "effective rank, low": ({ effectiveRank }) => negated(effectiveRank),
  "constant units, share": ({ constantUnits }) => constantUnits,
  "gradient ratio, low": ({ gradientRatio }) => negated(gradientRatio),
  "gradient ratio, high": ({ gradientRatio }) => gradientRatio,
  "Fisher over median, low": (layer, others) => negated(overMedian(layer, others)),
  "Fisher over median, high": overMedian,
  "expressivity bottleneck": ({ expressivity }) => expressivity,
  "weight gain": ({ weightGain }) => weightGain,
  severity: (layer, _, trigger) => severityOf(layer, trigger),
} as const satisfies Record<string, Score>;
export type SignalName = keyof typeof signalScores;
export const signalNames = Object.keys(signalScores) as readonly SignalName[];

interface ScoredLayer {
  readonly score: number;
  readonly damaged: boolean;
}

interface ScoredHost {
  readonly whole: boolean;
  readonly layers: readonly ScoredLayer[];
}

/** The layers of the first check with the lesser of their scores; none where a check is missing. */
const scoredLayers = ({ checks, damagedSites, trigger }: HostChecks, name: SignalName): readonly ScoredLayer[] =>
  checks.length < checksWanted
    ? []
    : (checks[0] ?? []).map(({ site }) => {
        const scores = checks.map((layers) => {
          const layer = layers.find((each) => each.site === site);
          const score = layer === undefined ? undefined : signalScores[name](layer, layers, trigger);
          return score === undefined || !Number.isFinite(score) ? unmeasured : score;
        });
        return { score: Math.min(...scores), damaged: damagedSites.includes(site) };
      });

/** Probability that a damaged layer scores above a sound one, ties counted half (Mann & Whitney, 1947); undefined where one kind is missing. */
export const areaUnderCurve = (layers: readonly ScoredLayer[]): number | undefined => {
  const ranks = ranksOf(layers.map(({ score }) => score));
  const damaged = ranks.filter((_, index) => layers[index]!.damaged);
  const [n, others] = [damaged.length, layers.length - damaged.length];
  if (n === 0 || others === 0) return undefined;
  return (damaged.reduce((sum, rank) => sum + rank, 0) - (n * (n + 1)) / 2) / (n * others);
};

const worstOf = (layers: readonly ScoredLayer[]): number => Math.max(unmeasured, ...layers.map(({ score }) => score));

/** The score of the damaged layer if it alone is the host's worst; undefined if it is not. */
const namedAt = (layers: readonly ScoredLayer[]): number | undefined => {
  const worst = worstOf(layers);
  const top = layers.filter(({ score }) => score === worst);
  return worst > unmeasured && top.length === 1 && top[0]!.damaged ? worst : undefined;
};

/** The least threshold that at most `falseMax` of the hosts exceed. */
const thresholdOf = (worst: readonly number[]): number | undefined =>
  worst.toSorted((a, b) => b - a)[Math.floor(falseMax * worst.length)];

/** Hosts that exceed what the other half of them allows: the threshold's own optimism. */
const falseOnHostsApart = (worst: readonly number[]): Proportion => {
  const halves = [worst.filter((_, index) => index % 2 === 0), worst.filter((_, index) => index % 2 === 1)] as const;
  const above = ([scored, other]: readonly [readonly number[], readonly number[]]): number => {
    const threshold = thresholdOf(other);
    return threshold === undefined ? 0 : scored.filter((value) => value > threshold).length;
  };
  const counted = halves.every((half) => half.length > 0) ? worst.length : 0;
  return clopperPearson(counted === 0 ? 0 : above(halves) + above([halves[1], halves[0]]), counted, confidence);
};

export interface SignalRow {
  readonly signal: SignalName;
  /** Damaged layers against all others, and against those of whole hosts alone. */
  readonly area: Estimate | undefined;
  readonly areaAgainstWhole: Estimate | undefined;
  /** Damaged hosts whose damaged layer alone is the worst. */
  readonly worst: Proportion;
  /** The same, above a threshold that at most 1 % of the whole hosts exceed. */
  readonly found: Proportion;
  readonly threshold: number | undefined;
  /** Whole hosts above the threshold of the other half of them. */
  readonly falseApart: Proportion;
  /** Layers without a value in one of the checks. */
  readonly unmeasured: number;
}

export interface SignalComparison {
  readonly hosts: { readonly damaged: number; readonly whole: number };
  /** Of hosts that could not be measured. */
  readonly problems: readonly string[];
  /** Share that naming a layer at random would find. */
  readonly chance: number | undefined;
  readonly rows: readonly SignalRow[];
  /** The trigger as it is configured: one site above a severity of 1 in both checks. */
  readonly trigger: { readonly found: Proportion; readonly falseAlarms: Proportion };
}

interface Draws {
  readonly draws: number;
  readonly random: RandomSource;
}

const rowOf = (signal: SignalName, hosts: readonly HostChecks[], { draws, random }: Draws): SignalRow => {
  const scored = hosts.map((host): ScoredHost => ({ whole: isWhole(host), layers: scoredLayers(host, signal) }));
  const measured = scored.filter(({ layers }) => layers.length > 0);
  const damaged = scored.filter(({ whole }) => !whole);
  const worst = measured.filter(({ whole }) => whole).map(({ layers }) => worstOf(layers));
  const named = damaged.map(({ layers }) => namedAt(layers));
  const threshold = thresholdOf(worst);
  const above = threshold === undefined ? [] : named.filter((score) => score !== undefined && score > threshold);
  // Hosts are drawn, not layers: layers of one host are no independent evidence.
  const options = { draws, confidence, random: random.fork(signal) };
  const all = (drawn: readonly ScoredHost[]): number | undefined => areaUnderCurve(drawn.flatMap(({ layers }) => layers));
  const againstWhole = (drawn: readonly ScoredHost[]): number | undefined =>
    areaUnderCurve(drawn.flatMap(({ whole, layers }) => layers.filter((layer) => whole || layer.damaged)));
  return {
    signal,
    area: bootstrap(measured, all, options),
    areaAgainstWhole: bootstrap(measured, againstWhole, options),
    worst: clopperPearson(named.filter((score) => score !== undefined).length, damaged.length, confidence),
    // Without a whole host nothing is known of false alarms, and nothing is found at that rate.
    found: clopperPearson(above.length, threshold === undefined ? 0 : damaged.length, confidence),
    threshold: threshold === unmeasured ? undefined : threshold,
    falseApart: falseOnHostsApart(worst),
    unmeasured: measured.flatMap(({ layers }) => layers.filter(({ score }) => score === unmeasured)).length,
  };
};

/** Pure. @param draws Of the bootstrap over hosts. */
export const compareSignals = (hosts: readonly HostChecks[], draws: number): SignalComparison => {
  const damaged = hosts.filter((host) => !isWhole(host));
  const whole = hosts.filter(isWhole);
  const measured = whole.filter(({ checks }) => checks.length >= checksWanted);
  const sizes = damaged.flatMap(({ checks: [first], damagedSites }) => (first ? [damagedSites.length / first.length] : []));
  const hits = damaged.filter((host) => host.damagedSites.includes(triggeredAt(host) ?? ""));
  const alarms = measured.filter((host) => triggeredAt(host) !== undefined);
  return {
    hosts: { damaged: damaged.length, whole: whole.length },
    problems: hosts.flatMap(({ label, checks, problem }) =>
      checks.length < checksWanted ? [`${label}: ${problem ?? `${checks.length} of ${checksWanted} checks`}`] : [],
    ),
    chance: sizes.length === 0 ? undefined : mean(sizes),
    rows: signalNames.map((signal) => rowOf(signal, hosts, { draws, random: createRandom(1) })),
    trigger: {
      found: clopperPearson(hits.length, damaged.length, confidence),
      falseAlarms: clopperPearson(alarms.length, measured.length, confidence),
    },
  };
};

export interface SignalsOptions {
  /** Damaged ones, and as many whole ones. */
  readonly hosts: number;
  readonly effort: Effort;
  readonly draws: number;
  /** Where the checks of finished hosts are kept: they do not depend on the trigger that judges them. */
  readonly out?: string;
  readonly onHost?: (line: string) => void;
}

export const benchSignals = async ({ hosts, effort, draws, out, onHost }: SignalsOptions): Promise<SignalComparison> => {
  const cells = [...damagedHosts(hosts, effort, firstSeed), ...wholeHosts(hosts, effort, firstSeed)];
  const kept = openKept(out === undefined ? undefined : join(out, "checks.jsonl"), MeasuredHost);
  return compareSignals(await collectChecks(cells, { kept, ...(onHost === undefined ? {} : { onHost }) }), draws);
};

const areaText = (area: Estimate | undefined): string => estimateText(area, (value) => plain(value, 3));

export const signalsTable = ({ hosts, problems, chance, rows, trigger }: SignalComparison): string =>
  [
    `${hosts.damaged} damaged hosts of one damaged layer each and ${hosts.whole} whole ones, their first two checks; a layer at random is the damaged one in ${plain(chance === undefined ? undefined : 100 * chance, 0)} %.`,
    table(
      [
        "signal",
        "AUC, all other layers",
        "AUC, whole hosts' layers",
        "worst layer is it, %",
        "found at ≤ 1 % false a host, %",
        "false on hosts apart, %",
        "layers unmeasured",
      ],
      rows.map(({ signal, area, areaAgainstWhole, worst, found, falseApart, unmeasured: layers }) => [
        signal,
        areaText(area),
        areaText(areaAgainstWhole),
        proportionText(worst),
        proportionText(found),
        proportionText(falseApart),
        String(layers),
      ]),
    ),
    `The trigger as configured, severity above 1 at one site in both checks: found ${proportionText(trigger.found)} %, false alarms on whole hosts ${proportionText(trigger.falseAlarms)} %. The thresholds of the table are taken from the whole hosts themselves; "hosts apart" takes them from one half and counts in the other.`,
    ...(problems.length === 0 ? [] : [`Not measured:\n\n${problems.map((line) => `- ${line}`).join("\n")}`]),
  ].join("\n\n");

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      out: { type: "string", default: ".esper/signals" },
    },
  });
  const comparison = await benchSignals({
    hosts: Number(values.hosts ?? (values.quick ? 3 : 60)),
    effort: values.quick ? quickEffort : fullEffort,
    draws: 1000,
    out: values.out,
    onHost: (line) => console.error(line),
  });
  const text = signalsTable(comparison);
  print(comparison, text);
  if (values.write)
    writePart(
      "signals",
      `## Signals, each alone\n\nWritten by \`node --import tsx bench/signals.ts --write${values.quick ? " --quick" : ""}\` on ${machineLine()}.\n\n${text}`,
    );
}
