/** The events of a busy run, window after window without end, as the bus brings them: losses, signals, trials, decisions, commands, alerts, checkpoints. */
import { MorphogeneticConfig } from "../src/contracts/config-morphogenetic.ts";
import type { Envelope } from "../src/contracts/envelope.ts";
import { way as life } from "./page-load.ts";

const runId = "bench-busy";
const layers = 12;
const sites = [...Array.from({ length: layers }, (_, index) => `h${index + 1}`), "output"];

const host = {
  name: "mlp",
  hash: "0".repeat(64),
  parameters: 1e6,
  batchSize: 128,
  stepFlops: 3e7,
  forwardFlops: 1e7,
  sites: sites.map((site, index) => ({
    site,
    kind: site === "output" ? "output" : "dense",
    inputWidth: 64,
    width: 64,
    inputShape: [64],
    shape: [64],
    slopeFlops: 1e6,
    legalTargets: sites.slice(index + 1, index + 4),
  })),
};

export function* busyRun(): Generator<readonly Envelope[], undefined> {
  let events = 0;
  const tell = (subject: string, payload: unknown): Envelope => {
    events += 1;
    const head = { id: `e${events}`, sender: "bench", traceId: "0".repeat(32), schemaVersion: 1 } as const;
    return { ...head, subject, sentAtMs: 1_800_000_000_000 + events, payload };
  };
  const morphogenetic = MorphogeneticConfig.parse({ seedsPerSite: 10 });
  const about = { runId, arm: "grown", dataset: "mnist", engine: "native", flopsMax: 1e15, epochSteps: 98, hostSteps: 98e6 };
  yield [tell("system.events.run", { kind: "started", ...about, host, growth: true, morphogenetic })];
  for (let epoch = 1; ; epoch += 1) {
    const batch: Envelope[] = [];
    const trial = Math.floor(epoch / life.length);
    const seedId = `seed:${sites[trial % layers]}.${(Math.floor(trial / layers) % 10) + 1}`;
    const at = epoch % life.length;
    const fromSite = sites[trial % layers]!;
    const toSite = sites[(trial % layers) + 1]!;
    const gain = { mean: 0.1, lower: 0.09, upper: 0.11, confidence: 0.99, lossWithout: 0.5, lossWith: 0.4, samples: 2048 };
    const layer = (site: string, index: number): object => ({
      site,
      explainedIn: 0.43,
      explainedOut: 0.41,
      gap: 0.02 + index / 1e4,
      gapError: 0.001,
      dimensionsIn: 16,
      dimensionsOut: 15,
      effectiveRank: 12,
      constantUnits: 0.06,
      weightGain: 1,
    });
    const signal = { samples: 2048, errorPower: 0.4, trainLoss: 0.5, layers: sites.slice(0, -1).map(layer), spans: [] };
    const flops = { host: epoch * 1e6, kernel: 0, trial: 0, signal: 0, gate: 0, total: epoch * 1e6, monitoring: 0 };
    const result = {
      runId,
      epoch,
      work: "host",
      interrupted: false,
      budgetUsed: false,
      steps: 98,
      hostStep: 98 * epoch,
      durationMs: 100,
      trainLoss: 1 / Math.sqrt(epoch),
      gradNorm: 1,
      validation: { loss: 1 / Math.sqrt(epoch), accuracy: 0.9, samples: 10_000 },
      flops,
      parameters: 1_000_000,
      anomalies: [],
      tensorBytes: 1,
      ...(epoch % 4 === 0 ? { signal } : {}),
    };
    for (let step = 0; step < 98; step += 25)
      batch.push(
        tell("telemetry.run.progress", { runId, arm: "grown", epoch, work: "host", step, steps: 98, loss: 1 / Math.sqrt(epoch) }),
      );
    batch.push(tell("system.events.epoch", { runId, arm: "grown", flopsMax: 1e15, elapsedMs: 100 * epoch, result }));
    const from = life.at(at - 1)!;
    const sequence = Math.floor(trial / (layers * 10)) * life.length + at + 1;
    const evidence = { gainLower: gain.lower, lossWithout: gain.lossWithout, boundMin: 0, fromSite, toSite };
    const reason = "training (98 steps): gain 0.6389, lower 99 % bound 0.5995 > 0";
    batch.push(tell("system.events.seed", { runId, seedId, sequence, from, to: life[at], epoch, reason, evidence }));
    const outcome = at === 0 ? "germinate" : "wait";
    const rule = "severity of a layer, 2 successive checks";
    const decision = { runId, epoch, outcome, reason, rule, latencyMs: 0.4, site: fromSite, seedId, fromSite, toSite };
    batch.push(tell("system.events.decision", decision));
    if (at === 0) {
      const requestId = `tamiyo-${epoch}`;
      const command = { kind: "cull", requestId, runId, seedId, reason };
      const receipt = { kind: "accepted", requestId, runId, appliesAtEpoch: epoch + 1, detail: "at the next boundary" };
      batch.push(tell("system.events.command", { command, sender: "tamiyo", role: "controller", receipt }));
      batch.push(tell("system.events.run", { kind: "checkpoint", runId, epoch, file: `checkpoints/${runId}/${epoch}` }));
    }
    if (epoch % 50 === 0)
      batch.push(tell("system.events.supervision", { kind: "restarting", child: "tezzeret", detail: "in 100 ms: tezzeret" }));
    if (epoch % 100 === 0)
      batch.push(
        tell("system.events.breaker", {
          name: "lane.forge",
          from: "CLOSED",
          to: epoch % 200 === 0 ? "CLOSED" : "OPEN",
          reason,
          atMs: 1_800_000_000_000 + events,
        }),
      );
    yield batch;
  }
}
