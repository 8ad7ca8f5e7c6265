/** How the node does, over HTTP: asked of the actors that know, and honest when they do not answer. */
import { afterEach, describe, expect, it } from "vitest";
import { createGateMeter } from "../../src/actors/gate-meter.ts";
import type { Alerts, CommandCounts, Health, Observed } from "../../src/contracts/observed.ts";
import { gateBucketsSeconds } from "../../src/contracts/observed.ts";
import type { Performance } from "../../src/contracts/performance.ts";
import { type Door, done, openDoor } from "./support.ts";

let door: Door;
afterEach(() => door.close());

const health: Health = {
  atMs: 1,
  live: true,
  ready: true,
  reasons: [],
  actors: [{ actor: "esper/urza", status: "up", generation: 2 }],
};
const performance: Performance = {
  atMs: 1,
  breakers: [
    {
      name: "lane.training",
      state: "OPEN",
      calls: 3,
      succeeded: 2,
      failed: 1,
      cancelled: 0,
      inFlight: 0,
      rejected: 4,
      opened: 1,
      latency: { samples: 3, p50Ms: 1, p95Ms: 2, p99Ms: 3, maxMs: 4 },
    },
  ],
  queues: [
    {
      actor: "esper/urza",
      mailboxDepth: 5,
      mailboxDepthMax: 6,
      processed: 7,
      deadLetters: 1,
      processingMsTotal: 1500,
      processingMsMax: 20,
    },
  ],
};
const observed: Observed = {
  atMs: 1,
  runs: [
    {
      runId: "r-1",
      arm: "grown",
      epoch: 7,
      hostStep: 140,
      trainLoss: 0.5,
      accuracy: 0.875,
      flops: 1e9,
      flopsMax: 2e9,
      parameters: 100,
      seeds: { DORMANT: 3, TRAINING: 1 },
    },
  ],
};
const alerts: Alerts = {
  atMs: 1,
  active: 1,
  alerts: [{ kind: "breaker_open", severity: "warning", about: "lane.training", reason: 'said "no"\n', sinceMs: 1, count: 2 }],
};

const answerAll = async (): Promise<void> => {
  const nissa = await door.as("nissa");
  await nissa.respond("query.health", async () => health);
  await nissa.respond("query.performance", async () => performance);
  await nissa.respond("query.observed", async () => observed);
  await nissa.respond("query.alerts", async () => alerts);
  const meter = createGateMeter({ monotonicMs: () => 0 });
  const gate = await door.as("gate");
  await meter.around(async () => ({ kind: "done", requestId: "q", detail: "d" }))({
    by: { transport: "http" },
    command: { kind: "pause" },
  });
  await meter.around(async () => ({ kind: "refused", requestId: "q", code: "rate", reason: "r" }))({
    by: { transport: "nats" },
    command: { kind: "evil kind" },
  });
  await gate.respond("query.commands", async (): Promise<CommandCounts> => meter.counts());
};

/** Every sample of the Prometheus text format (version 0.0.4) as name{labels} → value; fails on a line that is none. */
const samplesOf = (text: string): Map<string, number> => {
  const samples = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (type !== null) {
      expect(typed.has(type[1]!), line).toBe(false);
      typed.add(type[1]!);
      continue;
    }
    if (line.startsWith("# HELP ")) continue;
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? ([-+.\deE]+|NaN|[+-]Inf)$/.exec(line);
    expect(sample, line).not.toBeNull();
    const [, name = "", labels = "", value = ""] = sample!;
    expect(samples.has(name + labels), line).toBe(false);
    samples.set(name + labels, Number(value));
  }
  return samples;
};

describe("/health", () => {
  it("is 200 when every actor is up, for anybody", async () => {
    door = await openDoor({ gate: done });
    await answerAll();
    const answer = await door.ask(undefined, "GET", "/health");
    expect([answer.statusCode, answer.json()]).toEqual([200, health]);
    expect((await door.ask(undefined, "GET", "/health/ready")).json()).toEqual({ ready: true, reasons: [] });
  });

  it("W1 is 503 with a reason when nobody knows; alive it is all the same", async () => {
    door = await openDoor({ gate: done });
    const answer = await door.ask(undefined, "GET", "/health");
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      expect.objectContaining({ live: true, ready: false, reasons: [expect.stringContaining("Nissa")] }),
    ]);
    expect((await door.ask(undefined, "GET", "/health/ready")).statusCode).toBe(503);
    expect((await door.ask(undefined, "GET", "/health/live")).json()).toEqual({ live: true });
  });
});

describe("who may look", () => {
  it.each(["/performance", "/alerts", "/metrics"])("%s: everybody who says who it is", async (url) => {
    door = await openDoor({ gate: done });
    await answerAll();
    for (const role of ["admin", "operator", "developer", "observer"] as const)
      expect((await door.ask(role, "GET", url)).statusCode, role).toBe(200);
    const unknown = await door.ask(undefined, "GET", url);
    expect([unknown.statusCode, unknown.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="esper"']);
    expect((await door.ask("anonymous", "GET", url)).statusCode).toBe(403);
  });

  it.each(["/performance", "/alerts"])("%s: 503 when nobody answers", async (url) => {
    door = await openDoor({ gate: done });
    expect((await door.ask("observer", "GET", url)).statusCode).toBe(503);
  });
});

describe("/metrics", () => {
  it("is Prometheus' text: what the actors told, and what the server measured", async () => {
    door = await openDoor({ gate: done });
    await answerAll();
    await door.ask("operator", "GET", "/status");
    await door.ask("operator", "GET", "/what/ever?x=1");
    const answer = await door.ask("observer", "GET", "/metrics");
    expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    const samples = samplesOf(answer.body);
    expect(Object.fromEntries([...samples].filter(([name]) => /^esper_(?!http|gate|answered)/.test(name)))).toEqual({
      esper_ready: 1,
      'esper_actor_up{actor="esper/urza"}': 1,
      'esper_actor_generation{actor="esper/urza"}': 2,
      'esper_mailbox_depth{actor="esper/urza"}': 5,
      'esper_mailbox_depth_max{actor="esper/urza"}': 6,
      'esper_messages_total{actor="esper/urza"}': 7,
      'esper_messages_seconds_total{actor="esper/urza"}': 1.5,
      'esper_mailbox_dead_letters_total{actor="esper/urza"}': 1,
      'esper_breaker_state{breaker="lane.training",state="CLOSED"}': 0,
      'esper_breaker_state{breaker="lane.training",state="OPEN"}': 1,
      'esper_breaker_state{breaker="lane.training",state="HALF_OPEN"}': 0,
      'esper_breaker_calls_total{breaker="lane.training",result="succeeded"}': 2,
      'esper_breaker_calls_total{breaker="lane.training",result="failed"}': 1,
      'esper_breaker_calls_total{breaker="lane.training",result="cancelled"}': 0,
      'esper_breaker_calls_total{breaker="lane.training",result="rejected"}': 4,
      'esper_breaker_latency_seconds{breaker="lane.training",quantile="0.5"}': 0.001,
      'esper_breaker_latency_seconds{breaker="lane.training",quantile="0.95"}': 0.002,
      'esper_breaker_latency_seconds{breaker="lane.training",quantile="0.99"}': 0.003,
      'esper_run_epoch{run="r-1",arm="grown"}': 7,
      'esper_run_host_steps{run="r-1",arm="grown"}': 140,
      'esper_run_loss{run="r-1",arm="grown",set="train"}': 0.5,
      'esper_run_accuracy{run="r-1",arm="grown"}': 0.875,
      'esper_run_flops{run="r-1",arm="grown"}': 1e9,
      'esper_run_flops_max{run="r-1",arm="grown"}': 2e9,
      'esper_run_parameters{run="r-1",arm="grown"}': 100,
      'esper_seeds{run="r-1",arm="grown",state="DORMANT"}': 3,
      'esper_seeds{run="r-1",arm="grown",state="TRAINING"}': 1,
      'esper_commands_total{kind="pause",transport="http",outcome="done"}': 1,
      'esper_commands_total{kind="invalid",transport="nats",outcome="rate"}': 1,
      'esper_alerts{kind="breaker_open",severity="warning"}': 1,
    });
    expect(samples.get(`esper_gate_seconds_bucket{le="${gateBucketsSeconds[0]}"}`)).toBe(2);
    expect(samples.get('esper_gate_seconds_bucket{le="+Inf"}')).toBe(2);
    expect(samples.get("esper_gate_seconds_count")).toBe(2);
    // A path that a client made up is no label.
    expect(samples.get('esper_http_requests_total{method="GET",route="/status",status="200"}')).toBe(1);
    expect(samples.get('esper_http_requests_total{method="GET",route="none",status="404"}')).toBe(1);
    for (const name of ["process_resident_memory_bytes", "process_cpu_seconds_total", "nodejs_heap_used_bytes"])
      expect(samples.get(name), name).toBeGreaterThan(0);
    expect(samples.get('nodejs_eventloop_lag_seconds{quantile="0.99"}')).toBeGreaterThanOrEqual(0);
  });

  it("says what nobody answered, and shows the rest", async () => {
    door = await openDoor({ gate: done });
    const samples = samplesOf((await door.ask("observer", "GET", "/metrics")).body);
    expect(
      ["performance", "health", "alerts", "observed", "commands"].map((question) =>
        samples.get(`esper_answered{question="${question}"}`),
      ),
    ).toEqual([0, 0, 0, 0, 0]);
    expect([...samples.keys()].some((name) => name.startsWith("esper_run"))).toBe(false);
    expect(samples.get("process_resident_memory_bytes")).toBeGreaterThan(0);
  });
});
