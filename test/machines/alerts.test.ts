/** What asks for attention: begins, counts, ends, and stays within its bound. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Alert, alertKinds, severities } from "../../src/contracts/observed.ts";
import { type AlertChange, applyChange, changesOf, inOrder, type Told } from "../../src/machines/alerts.ts";

const alertsAfter = (tolds: readonly Told[], alertsMax = 16): readonly Alert[] => {
  let alerts: readonly Alert[] = [];
  let nowMs = 0;
  for (const told of tolds) for (const change of changesOf(told)) alerts = applyChange(alerts, change, ++nowMs, alertsMax);
  return alerts;
};
const lasting = (tolds: readonly Told[]): string[] =>
  alertsAfter(tolds)
    .filter(({ untilMs }) => untilMs === undefined)
    .map(({ kind, about }) => `${kind} ${about}`);

const supervision = (
  kind: "escalated" | "exited" | "started" | "stopped" | "slow_consumer" | "consumer_recovered",
  child: string,
  detail = "why",
): Told => ({
  subject: "system.events.supervision",
  payload: { kind, child, detail },
});
const breaker = (to: "OPEN" | "HALF_OPEN" | "CLOSED"): Told => ({
  subject: "system.events.breaker",
  payload: { name: "download", from: "CLOSED", to, reason: "why", atMs: 1 },
});
const escalation = (kind: "opened" | "settled"): Told => ({
  subject: "system.events.escalation",
  payload:
    kind === "opened"
      ? { kind, runId: "r", seedId: "seed:h2", epoch: 3, reason: "split", judgements: [], windowsLeft: 4, otherwise: "cull" }
      : { kind, runId: "r", seedId: "seed:h2", epoch: 4, reason: "kept", verdict: "keep", by: "operator" },
});
const letter = (kind: "died" | "retried" | "dropped"): Told => {
  const envelope = {
    id: "m-1",
    subject: "s",
    sender: "kasmina",
    sentAtMs: 1,
    traceId: "0".repeat(32),
    schemaVersion: 1,
    payload: {},
  } as const;
  const report = { principal: "urza", subject: "s", reason: "why", deliveries: 5, stream: "EVENTS", sequence: 7, envelope };
  return {
    subject: "system.events.dead_letter",
    payload:
      kind === "died" ? { kind, report } : { kind, id: 1, subject: "s", principal: "urza", messageId: "m-1", by: "operator" },
  };
};
const rolledBack: Told = {
  subject: "system.events.run",
  payload: { kind: "rolled_back", runId: "r", epoch: 3, reason: "loss", rollbacks: 1 },
};
const noCheckpoint: Told = {
  subject: "system.events.run",
  payload: { kind: "checkpoint_failed", runId: "r", epoch: 3, reason: "disk full" },
};
const checkpoint: Told = { subject: "system.events.run", payload: { kind: "checkpoint", runId: "r", epoch: 4, file: "f" } };
const finished = (outcome: "done" | "failed"): Told => ({
  subject: "system.events.run",
  payload: { kind: "finished", runId: "r", arm: "grown", outcome, reason: "why" },
});

describe("begins and ends", () => {
  it.each<[string, Told[], string, Told[]]>([
    ["an actor that is down", [supervision("exited", "urza")], "actor_down urza", [supervision("started", "urza")]],
    [
      "an escalated supervisor",
      [supervision("escalated", "forge")],
      "supervisor_escalated forge",
      [supervision("started", "forge")],
    ],
    [
      "a slow consumer",
      [supervision("slow_consumer", "nissa", "system.events.run: 9 messages wait")],
      "slow_consumer nissa system.events.run",
      [supervision("consumer_recovered", "nissa", "system.events.run: 1 messages wait")],
    ],
    ["an open breaker", [breaker("OPEN"), breaker("HALF_OPEN")], "breaker_open download", [breaker("CLOSED")]],
    ["an escalation", [escalation("opened")], "escalation_waiting r seed:h2", [escalation("settled")]],
    ["a dead letter, until it is sent again", [letter("died")], "dead_letter urza s m-1", [letter("retried")]],
    ["a dead letter, until it is dropped", [letter("died")], "dead_letter urza s m-1", [letter("dropped")]],
    ["a rollback, until a state is good again", [rolledBack], "rollback r", [checkpoint]],
    ["a checkpoint that the disk refused", [noCheckpoint], "disk r", [checkpoint]],
    ["a run's own, when it ends", [rolledBack], "rollback r", [finished("done")]],
    ["a run that failed", [finished("failed")], "run_failed r", []],
  ])("%s", (_, begins, name, ends) => {
    expect(lasting(begins)).toEqual([name]);
    expect(alertsAfter([...begins, ...ends])).toHaveLength(1);
    expect(lasting([...begins, ...ends])).toEqual(ends.length === 0 ? [name] : []);
  });

  it("V1 told again it counts up and keeps its beginning; V2 when it begins anew it is another", () => {
    const twice = alertsAfter([breaker("OPEN"), breaker("OPEN")]);
    expect(twice).toMatchObject([{ kind: "breaker_open", count: 2, sinceMs: 1 }]);
    expect(alertsAfter([breaker("OPEN"), breaker("CLOSED"), breaker("OPEN")]).map(({ untilMs }) => untilMs)).toEqual([
      2,
      undefined,
    ]);
  });

  it("what is over comes after what lasts, the newest first", () => {
    const all = alertsAfter([breaker("OPEN"), supervision("exited", "urza"), breaker("CLOSED"), escalation("opened")]);
    expect(inOrder(all).map(({ kind }) => kind)).toEqual(["escalation_waiting", "actor_down", "breaker_open"]);
  });
});

describe("V3 the bound", () => {
  const change = fc.oneof(
    fc.record({
      kind: fc.constant("raise" as const),
      alert: fc.record({
        kind: fc.constantFrom(...alertKinds),
        severity: fc.constantFrom(...severities),
        about: fc.stringMatching(/^[a-j]$/),
        reason: fc.constant("why"),
      }),
    }),
    fc.record({ kind: fc.constant("clear" as const), about: fc.stringMatching(/^[a-j]$/) }),
  );

  it("is never passed, one alert a kind and place lasts, and what lasts is not given up for what is over", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), fc.integer({ min: 1, max: 12 }), (changes: AlertChange[], alertsMax) => {
        let alerts: readonly Alert[] = [];
        changes.forEach((each, nowMs) => {
          const before = alerts;
          alerts = applyChange(alerts, each, nowMs, alertsMax);
          expect(alerts.length).toBeLessThanOrEqual(alertsMax);
          const keys = alerts.filter(({ untilMs }) => untilMs === undefined).map(({ kind, about }) => `${kind} ${about}`);
          expect(new Set(keys).size).toBe(keys.length);
          if (each.kind === "raise" && before.some(({ untilMs }) => untilMs !== undefined))
            for (const alert of before)
              if (alert.untilMs === undefined)
                expect(alerts.some(({ kind, about }) => kind === alert.kind && about === alert.about)).toBe(true);
        });
      }),
      { numRuns: 300, seed: 5 },
    );
  });
});
