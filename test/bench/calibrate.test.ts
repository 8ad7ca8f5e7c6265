/** The fits behind the calibration, on points whose constants are known, and one short run of the whole. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { calibrate, calibrationTable } from "../../bench/calibrate.ts";
import { calibratedFile, calibratedText } from "../../bench/calibrated-file.ts";
import { fitConfidence, fitForecast, trialsOfJob } from "../../bench/fit-policy.ts";
import { quickEffort } from "../../bench/growth-hosts.ts";
import { calibrated } from "../../src/contracts/calibrated.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import { createRandom } from "../../src/graph/random.ts";
import { blocksPerBatch } from "../../src/growth/signals/blocks.ts";
import { calibration } from "../../src/policy/calibration.ts";
import { resultOf } from "../experiment/fixture.ts";

describe("calibration", () => {
  it("finds the log-odds that layers were drawn with", () => {
    const random = createRandom(1);
    const layers = Array.from({ length: 4000 }, () => {
      const severity = Math.exp(2 * random.normal());
      const odds = 0.5 + 1.5 * Math.log(severity);
      return { severity, damaged: random.uniform() < 1 / (1 + Math.exp(-odds)) };
    });
    const { logOddsAtOne, logOddsPerLogSeverity } = fitConfidence(layers);
    expect(logOddsAtOne).toBeCloseTo(0.5, 0);
    expect(logOddsPerLogSeverity).toBeCloseTo(1.5, 0);
  });

  it("stays finite where severity parts the damaged from the sound", () => {
    const layers = [0.1, 0.2, 0.3, 2, 4, 8].map((severity) => ({ severity, damaged: severity > 1 }));
    const { logOddsAtOne, logOddsPerLogSeverity } = fitConfidence(layers);
    expect(Number.isFinite(logOddsAtOne)).toBe(true);
    expect(logOddsPerLogSeverity).toBeGreaterThan(0.5);
    expect(logOddsPerLogSeverity).toBeLessThan(10);
  });

  it("finds the plane and the spread of gains, from verdicts alone, and counts what was kept of all trials", () => {
    const random = createRandom(2);
    const trials = Array.from({ length: 400 }, (_, index) => {
      const [gap, validationLoss] = [Math.exp(random.normal() - 2), Math.exp(0.5 * random.normal())];
      const gain = Math.exp(0.7 + 0.9 * Math.log(gap) + 0.4 * Math.log(validationLoss) + 0.3 * random.normal());
      return { gap, validationLoss, gain, judged: true, kept: index % 4 !== 0 };
    });
    const stages = trials.map((trial) => ({ ...trial, gain: 100, judged: false, kept: false }));
    const fit = fitForecast([...trials, ...stages], 1e-6);
    expect(fit.logGainAtOne).toBeCloseTo(0.7, 0);
    expect(fit.logGainPerLogGap).toBeCloseTo(0.9, 1);
    expect(fit.logGainPerLogLoss).toBeCloseTo(0.4, 0);
    expect(fit.logGainSd).toBeCloseTo(0.3, 1);
    expect(fit.keepRate).toBeCloseTo(0.375, 6);
  });

  it("reads from a finished job what was known when a trial began, and leaves out trials at sound layers", () => {
    const gain = { mean: 0.3, lower: 0.2, upper: 0.4, confidence: 0.99, samples: 100, lossWithout: 1, lossWith: 0.7 };
    const trial = { seedId: "seed:h2", site: "h2", toSite: "h3", epoch: 5, flops: 9, reason: "gap", judged: true, gain };
    const job = resultOf("a", 0.9, {
      damagedSites: ["h2"],
      checks: [
        { epoch: 3, gaps: { h1: 0, h2: 0.2 } },
        { epoch: 4, gaps: { h1: 0, h2: 0.1 } },
        { epoch: 9, gaps: { h1: 0, h2: 0.01 } },
      ],
      curve: [
        { epoch: 4, flops: 1, loss: 0.8, accuracy: 0.5 },
        { epoch: 9, flops: 2, loss: 0.2, accuracy: 0.9 },
      ],
      trials: [
        { ...trial, outcome: "FOSSILIZED" },
        { ...trial, site: "h1", outcome: "CULLED" },
      ],
    });
    expect(trialsOfJob(job, 2)).toEqual([{ gap: 0.1, validationLoss: 0.8, gain: 0.3, judged: true, kept: true }]);
  });

  it("runs on one damaged host and one whole one, and does not measure again what it kept", async () => {
    const out = mkdtempSync(join(tmpdir(), "esper-calibration-"));
    try {
      const effort = { ...quickEffort, trainSamples: 3000, epochs: 16 };
      const lines: string[] = [];
      const only = ["trigger", "confidence", "forecast"] as const;
      const fit = await calibrate({ hosts: 1, only, effort, out, onHost: (line) => lines.push(line) });
      expect(fit.hosts).toEqual({ damaged: 1, whole: 1 });
      expect(lines).toHaveLength(4);
      expect(fit.toTheEnd).toEqual({ whole: 1, germinated: 0 });
      expect(fit.trigger?.score).toMatchObject({ damaged: 1, whole: 1, falseAlarms: 0 });
      expect(fit.layers).toBeGreaterThanOrEqual(1);
      for (const name of ["gapMin", "logOddsAtOne", "logGainSd"]) expect(calibrationTable(fit)).toContain(`| ${name} |`);
      const kept = ["checks.jsonl", "grown.jsonl"].map((file) => readFileSync(join(out, file), "utf8"));
      expect(kept.map((text) => text.split("\n").length - 1)).toEqual([2, 2]);
      expect(await calibrate({ hosts: 1, only, effort, out, onHost: () => undefined })).toEqual(fit);
      expect(["checks.jsonl", "grown.jsonl"].map((file) => readFileSync(join(out, file), "utf8"))).toEqual(kept);
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  }, 60_000);
});

describe("the constants that ship", () => {
  it("are those of the file that the calibration writes", () => {
    expect(readFileSync(calibratedFile, "utf8")).toBe(calibratedText(calibrated));
    expect(MorphogeneticConfig.parse({}).trigger).toMatchObject(calibrated.trigger);
    expect(calibration).toMatchObject({ confidence: calibrated.confidence, forecast: calibrated.forecast });
    for (const said of Object.values(calibrated.provenance)) expect(said).toMatch(/random seeds from 1001 on/);
  });

  it("the bound's width is Student's one-sided 95 % quantile with a degree of freedom less than there are blocks", () => {
    const { boundErrors } = MorphogeneticConfig.parse({}).trigger;
    const freedom = blocksPerBatch - 1;
    const density = (t: number): number => (1 + (t * t) / freedom) ** (-(freedom + 1) / 2);
    const area = (from: number, to: number): number => {
      const step = (to - from) / 20_000;
      return Array.from({ length: 20_000 }, (_, index) => step * density(from + (index + 0.5) * step)).reduce((a, b) => a + b, 0);
    };
    expect(area(-200, boundErrors) / area(-200, 200)).toBeCloseTo(0.95, 3);
  });
});
