/** The comparison of the signals: its statistics on hosts whose figures are known, and one damaged and one whole host trained for it. */
import { expect, test } from "vitest";
import type { HostChecks } from "../../bench/host-checks.ts";
import { areaUnderCurve, benchSignals, compareSignals, type SignalName, signalNames, signalsTable } from "../../bench/signals.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { LayerSignal } from "../../src/contracts/signal.ts";

const { trigger } = MorphogeneticConfig.parse({});

/** A layer whose gap is known to ± 0.001. */
const layer = (site: string, gap: number, change: Partial<LayerSignal> = {}): LayerSignal => ({
  site,
  explainedIn: 0.5,
  explainedOut: 0.5 - gap,
  gap,
  gapError: 0.001,
  dimensionsIn: 16,
  dimensionsOut: 16,
  ...change,
});

/** Gaps of h1, h2, … in each check; the damaged layer is the one at `damaged`. */
const host = (label: string, checks: readonly (readonly number[])[], damaged?: number): HostChecks => ({
  label,
  trigger,
  damagedSites: damaged === undefined ? [] : [`h${damaged}`],
  checks: checks.map((gaps) => gaps.map((gap, index) => layer(`h${index + 1}`, gap))),
});

const rowOf = (hosts: readonly HostChecks[], signal: SignalName) =>
  compareSignals(hosts, 200).rows.find((row) => row.signal === signal)!;

test("the area under the curve is the share of pairs in the right order, ties counted half", () => {
  const layers = (damaged: readonly number[], sound: readonly number[]) => [
    ...damaged.map((score) => ({ score, damaged: true })),
    ...sound.map((score) => ({ score, damaged: false })),
  ];
  const [damaged, sound] = [
    [3, 1, 2],
    [0, 2, 1, 5],
  ] as const;
  const pairs = damaged.flatMap((a) => sound.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
  expect(areaUnderCurve(layers(damaged, sound))).toBeCloseTo(pairs.reduce<number>((sum, won) => sum + won, 0) / pairs.length, 12);
  expect(areaUnderCurve(layers([1], []))).toBeUndefined();
});

test("a layer's score is the lesser of two checks; worst means worse than every other; the threshold lets no whole host of two through", () => {
  const hosts = [
    host(
      "seen",
      [
        [0.02, 0.4, 0.01],
        [0.03, 0.2, 0.01],
      ],
      2,
    ),
    host(
      "once",
      [
        [0.02, 0.4, 0.01],
        [0.03, 0.02, 0.01],
      ],
      2,
    ),
    host(
      "below",
      [
        [0.0, 0.06, 0.01],
        [0.0, 0.07, 0.01],
      ],
      2,
    ),
    host("whole", [
      [0.09, 0.01],
      [0.08, 0.3],
    ]),
    host("quiet", [
      [0.01, 0.0],
      [0.01, 0.0],
    ]),
  ];
  const row = rowOf(hosts, "explained-error gap");
  // "once" ties at 0.02 in its lesser check, "below" is the worst of its host and under the worst whole host's 0.08.
  expect(row.worst).toMatchObject({ successes: 2, n: 3 });
  expect(row.threshold).toBeCloseTo(0.08, 12);
  expect(row.found).toMatchObject({ successes: 1, n: 3 });
  // The quiet half allows 0.01, the other 0.08: one of the two is above what the other half allows.
  expect(row.falseApart).toMatchObject({ successes: 1, n: 2 });
  expect(row.area!.value).toBeGreaterThan(0.5);
  expect(row.areaAgainstWhole!.value).toBeGreaterThan(0);
});

test("the trigger wants one site above a severity of 1 in both checks", () => {
  const { trigger: told, chance } = compareSignals(
    [
      host(
        "both",
        [
          [0, 0.4],
          [0, 0.4],
        ],
        2,
      ),
      host(
        "another",
        [
          [0.4, 0],
          [0, 0.4],
        ],
        2,
      ),
      host("alarm", [
        [0.4, 0],
        [0.4, 0],
      ]),
      host("quiet", [
        [0.001, 0],
        [0.001, 0],
      ]),
    ],
    100,
  );
  expect(told.found).toMatchObject({ successes: 1, n: 2 });
  expect(told.falseAlarms).toMatchObject({ successes: 1, n: 2 });
  expect(chance).toBe(0.5);
});

test("what was not measured is never found: a missing value, a missing check, a host that failed", () => {
  const failed: HostChecks = { label: "failed", trigger, damagedSites: ["unknown"], checks: [], problem: "no data" };
  const hosts = [
    host("cut", [[0, 0.4]], 2),
    failed,
    host(
      "seen",
      [
        [0, 0.4],
        [0, 0.4],
      ],
      2,
    ),
    host("whole", [
      [0, 0.1],
      [0, 0.1],
    ]),
  ];
  const comparison = compareSignals(hosts, 100);
  expect(comparison.problems).toEqual(["cut: 1 of 2 checks", "failed: no data"]);
  expect(rowOf(hosts, "explained-error gap").found).toMatchObject({ successes: 1, n: 3 });
  const unseen = rowOf(hosts, "weight gain");
  expect(unseen).toMatchObject({
    unmeasured: 4,
    threshold: undefined,
    worst: { successes: 0, n: 3 },
    found: { successes: 0, n: 3 },
  });
  // Without whole hosts nothing is known of false alarms.
  expect(rowOf(hosts.slice(0, 3), "explained-error gap").found).toMatchObject({ successes: 0, n: 0 });
  expect(signalsTable(comparison)).toContain("- failed: no data");
});

test("one damaged and one whole host: every signal was measured at every layer, and has its row", async () => {
  const lines: string[] = [];
  const comparison = await benchSignals({
    hosts: 1,
    effort: { trainSamples: 3_000, validationSamples: 200, epochs: 24 },
    draws: 100,
    onHost: (line) => lines.push(line),
  });
  expect(lines).toHaveLength(2);
  expect(comparison).toMatchObject({ hosts: { damaged: 1, whole: 1 }, problems: [] });
  expect(comparison.rows.map(({ signal, unmeasured }) => ({ signal, unmeasured }))).toEqual(
    signalNames.map((signal) => ({ signal, unmeasured: 0 })),
  );
  for (const { area, worst, found, falseApart } of comparison.rows) {
    expect(area?.value).toBeGreaterThanOrEqual(0);
    expect([worst.n, found.n, falseApart.n]).toEqual([1, 1, 0]);
  }
  for (const signal of signalNames) expect(signalsTable(comparison)).toContain(`| ${signal} |`);
}, 60_000);
