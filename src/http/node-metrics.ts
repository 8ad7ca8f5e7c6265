/**
 * What the actors told, as metrics. Made anew for each reading, so that what is no longer told is no longer shown. Labels come from closed
 * lists or from what is up at this moment, all of it bounded by the contracts.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { breakerStates } from "../contracts/breaker.ts";
import { type Alerts, type CommandCounts, gateBucketsSeconds, type Health, type Observed } from "../contracts/observed.ts";
import type { Performance } from "../contracts/performance.ts";

/** Undefined: nobody answered. */
export interface NodeAnswers {
  readonly performance: Performance | undefined;
  readonly health: Health | undefined;
  readonly alerts: Alerts | undefined;
  readonly observed: Observed | undefined;
  readonly commands: CommandCounts | undefined;
}

/** A histogram that was counted elsewhere. */
class CountedHistogram extends Histogram {
  readonly #name: string;
  /** Gives name, help and type. */
  readonly #empty: Histogram;
  readonly #counted: CommandCounts["seconds"];

  constructor(name: string, help: string, counted: CommandCounts["seconds"], registry: Registry) {
    super({ name, help, registers: [registry] });
    this.#empty = new Histogram({ name, help, registers: [] });
    this.#name = name;
    this.#counted = counted;
  }

  override async get(): ReturnType<Histogram["get"]> {
    const { buckets, sum } = this.#counted;
    const name = this.#name;
    let below = 0;
    const values = buckets.map((count, i) => {
      below += count;
      return { metricName: `${name}_bucket`, labels: { le: gateBucketsSeconds[i] ?? "+Inf" }, value: below };
    });
    const total = [
      { metricName: `${name}_sum`, labels: {}, value: sum },
      { metricName: `${name}_count`, labels: {}, value: below },
    ];
    return { ...(await this.#empty.get()), values: [...values, ...total] };
  }

  /** What the registry writes. */
  getForPromString(): ReturnType<Histogram["get"]> {
    return this.get();
  }
}

interface Family {
  set(labels: Readonly<Record<string, string>>, value: number): void;
}

const families = (registry: Registry) => ({
  gauge: (name: string, help: string, ...labelNames: readonly string[]): Family => {
    const metric = new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
    return { set: (labels, value) => metric.set(labels, value) };
  },
  counter: (name: string, help: string, ...labelNames: readonly string[]): Family => {
    const metric = new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
    return { set: (labels, value) => metric.inc(labels, value) };
  },
});

type Make = ReturnType<typeof families>;

const addPerformance = ({ gauge, counter }: Make, { queues, breakers }: Performance): void => {
  const depth = gauge("esper_mailbox_depth", "Messages that wait for an actor.", "actor");
  const depthMax = gauge("esper_mailbox_depth_max", "The most that waited since it was started.", "actor");
  const processed = counter("esper_messages_total", "Messages that an actor has handled since it was started.", "actor");
  const seconds = counter("esper_messages_seconds_total", "Time that it took.", "actor");
  const lost = counter("esper_mailbox_dead_letters_total", "Messages that did not fit into an actor's mailbox.", "actor");
  for (const queue of queues) {
    const { actor } = queue;
    depth.set({ actor }, queue.mailboxDepth);
    depthMax.set({ actor }, queue.mailboxDepthMax);
    processed.set({ actor }, queue.processed);
    seconds.set({ actor }, queue.processingMsTotal / 1000);
    lost.set({ actor }, queue.deadLetters);
  }
  const state = gauge("esper_breaker_state", "1 in the state that the breaker is in.", "breaker", "state");
  const calls = counter("esper_breaker_calls_total", "Calls, by what came of them.", "breaker", "result");
  const latency = gauge("esper_breaker_latency_seconds", "How long the last calls took.", "breaker", "quantile");
  for (const { name: breaker, state: is, succeeded, failed, cancelled, rejected, latency: took } of breakers) {
    for (const each of breakerStates) state.set({ breaker, state: each }, each === is ? 1 : 0);
    for (const [result, count] of Object.entries({ succeeded, failed, cancelled, rejected }))
      calls.set({ breaker, result }, count);
    if (took === undefined) continue;
    for (const [quantile, ms] of [
      ["0.5", took.p50Ms],
      ["0.95", took.p95Ms],
      ["0.99", took.p99Ms],
    ] as const)
      latency.set({ breaker, quantile }, ms / 1000);
  }
};

const addHealth = ({ gauge }: Make, { ready, actors }: Health): void => {
  gauge("esper_ready", "1 when every actor is up.").set({}, ready ? 1 : 0);
  const up = gauge("esper_actor_up", "1 when the actor is up.", "actor");
  const generation = gauge("esper_actor_generation", "How often the actor was started.", "actor");
  for (const { actor, status, generation: times } of actors) {
    up.set({ actor }, status === "up" ? 1 : 0);
    generation.set({ actor }, times);
  }
};

const addRuns = ({ gauge }: Make, { runs }: Observed): void => {
  const of = ["run", "arm"] as const;
  const epoch = gauge("esper_run_epoch", "Windows that are complete.", ...of);
  const steps = gauge("esper_run_host_steps", "Optimizer steps of the host.", ...of);
  const loss = gauge("esper_run_loss", "Loss in nats, of the last window that measured it.", ...of, "set");
  const accuracy = gauge("esper_run_accuracy", "Accuracy on validation samples.", ...of);
  const flops = gauge("esper_run_flops", "FLOPs that are used.", ...of);
  const flopsMax = gauge("esper_run_flops_max", "FLOPs that may be used.", ...of);
  const parameters = gauge("esper_run_parameters", "Parameters of the host.", ...of);
  const seeds = gauge("esper_seeds", "Seeds in each state.", ...of, "state");
  for (const { runId: run, arm, ...standing } of runs) {
    epoch.set({ run, arm }, standing.epoch);
    steps.set({ run, arm }, standing.hostStep);
    if (standing.trainLoss !== undefined) loss.set({ run, arm, set: "train" }, standing.trainLoss);
    if (standing.validationLoss !== undefined) loss.set({ run, arm, set: "validation" }, standing.validationLoss);
    if (standing.accuracy !== undefined) accuracy.set({ run, arm }, standing.accuracy);
    flops.set({ run, arm }, standing.flops);
    flopsMax.set({ run, arm }, standing.flopsMax);
    parameters.set({ run, arm }, standing.parameters);
    for (const [state, count] of Object.entries(standing.seeds)) seeds.set({ run, arm, state }, count);
  }
};

const addCommands = ({ counter }: Make, { counts, seconds }: CommandCounts, registry: Registry): void => {
  const commands = counter("esper_commands_total", "Commands at the Gate, by what came of them.", "kind", "transport", "outcome");
  for (const { count, ...labels } of counts) commands.set(labels, count);
  new CountedHistogram("esper_gate_seconds", "From a command's arrival at the Gate to its receipt.", seconds, registry);
};

const addAlerts = ({ gauge }: Make, { alerts }: Alerts): void => {
  const metric = gauge("esper_alerts", "Alerts that last.", "kind", "severity");
  const counts = new Map<string, { readonly labels: Readonly<Record<string, string>>; count: number }>();
  for (const { kind, severity, untilMs } of alerts) {
    if (untilMs !== undefined) continue;
    const key = `${kind} ${severity}`;
    const counted = counts.get(key) ?? { labels: { kind, severity }, count: 0 };
    counted.count += 1;
    counts.set(key, counted);
  }
  for (const { labels, count } of counts.values()) metric.set(labels, count);
};

export const nodeMetrics = async (answers: NodeAnswers): Promise<string> => {
  const registry = new Registry();
  const make = families(registry);
  const answered = make.gauge("esper_answered", "1 when the actors that know answered.", "question");
  for (const [question, answer] of Object.entries(answers)) answered.set({ question }, answer === undefined ? 0 : 1);
  const { performance, health, observed, commands, alerts } = answers;
  if (health !== undefined) addHealth(make, health);
  if (performance !== undefined) addPerformance(make, performance);
  if (observed !== undefined) addRuns(make, observed);
  if (commands !== undefined) addCommands(make, commands, registry);
  if (alerts !== undefined) addAlerts(make, alerts);
  return registry.metrics();
};
