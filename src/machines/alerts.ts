/**
 * What asks for a person's attention, out of what is told. Pure: the alerts so far and a message give the alerts after it.
 *
 * V1 One kind about one thing is one alert while it lasts; told again, it counts up.
 * V2 It is over when what ends it is told; it then stays as history until newer ones need its room.
 * V3 No more are kept than the bound. What is over goes first, the oldest of it; then what is least severe, the oldest of it.
 */
import type { DeadLetterEvent } from "../contracts/dead-letter.ts";
import { type Alert, type AlertKind, severities } from "../contracts/observed.ts";
import type { PayloadOf, SubjectName } from "../contracts/subjects.ts";

export type AlertChange =
  | { readonly kind: "raise"; readonly alert: Pick<Alert, "kind" | "severity" | "about" | "reason"> }
  /** `kinds` left out: whatever is about it. */
  | { readonly kind: "clear"; readonly kinds?: readonly AlertKind[]; readonly about: string };

/** A message that alerts may follow from. */
export type Told = { [S in SubjectName]: { readonly subject: S; readonly payload: PayloadOf<S> } }[SubjectName];

const textMax = 1000;
/** In what is told of a stream that was lost, where messages are missing for good. */
const gapWord = "gap:";

const raise = (kind: AlertKind, severity: Alert["severity"], about: string, reason: string): AlertChange => ({
  kind: "raise",
  alert: { kind, severity, about: about.slice(0, textMax), reason: reason.slice(0, textMax) },
});
const clear = (about: string, ...kinds: readonly AlertKind[]): AlertChange => ({
  kind: "clear",
  about: about.slice(0, textMax),
  ...(kinds.length === 0 ? {} : { kinds }),
});

const letterAbout = (event: DeadLetterEvent): string =>
  event.kind === "died"
    ? `${event.report.principal} ${event.report.subject} ${event.report.envelope?.id ?? `${event.report.stream}:${event.report.sequence}`}`
    : `${event.principal} ${event.subject} ${event.messageId}`;

const ofSupervision = ({ kind, child, detail }: PayloadOf<"system.events.supervision">): AlertChange[] => {
  switch (kind) {
    case "escalated":
      return [raise("supervisor_escalated", "critical", child, detail)];
    case "exited":
      return [raise("actor_down", "warning", child, detail)];
    case "started":
    case "stopped":
      return [clear(child, "actor_down", "supervisor_escalated")];
    case "slow_consumer":
      return [raise("slow_consumer", "warning", `${child} ${detail.split(":")[0]}`, detail)];
    case "stream_lost":
      // What is lost stays lost: nothing ends it but room for newer ones. One that lost nothing is an event and no alert.
      return detail.includes(gapWord) ? [raise("events_lost", "warning", `stream ${detail.split(":")[0]}`, detail)] : [];
    case "consumer_recovered":
      return [clear(`${child} ${detail.split(":")[0]}`, "slow_consumer")];
    default:
      return [];
  }
};

const ofRun = (event: PayloadOf<"system.events.run">): AlertChange[] => {
  const { runId } = event;
  switch (event.kind) {
    case "rolled_back":
      return [raise("rollback", "warning", runId, `after window ${event.epoch}: ${event.reason}`)];
    case "checkpoint_failed":
      return [raise("disk", "critical", runId, `no checkpoint after window ${event.epoch}: ${event.reason}`)];
    case "checkpoint":
      // What a checkpoint holds is good: the run went on from where it was put back to.
      return [clear(runId, "disk", "rollback")];
    case "finished":
      return event.outcome === "failed"
        ? [clear(runId, "disk", "rollback"), raise("run_failed", "critical", runId, event.reason)]
        : [clear(runId, "disk", "rollback")];
    case "started":
      return [clear(runId, "run_failed")];
    default:
      return [];
  }
};

/** What a message changes. */
export const changesOf = ({ subject, payload }: Told): readonly AlertChange[] => {
  switch (subject) {
    case "system.events.supervision":
      return ofSupervision(payload);
    case "system.events.breaker":
      if (payload.to === "OPEN") return [raise("breaker_open", "warning", payload.name, payload.reason)];
      return payload.to === "CLOSED" ? [clear(payload.name, "breaker_open")] : [];
    case "system.events.dead_letter":
      return payload.kind === "died"
        ? [raise("dead_letter", "warning", letterAbout(payload), payload.report.reason)]
        : [clear(letterAbout(payload), "dead_letter")];
    case "system.events.escalation": {
      const about = `${payload.runId} ${payload.seedId}`;
      if (payload.kind === "settled") return [clear(about, "escalation_waiting")];
      const wait = `${payload.windowsLeft} windows are waited, then ${payload.otherwise}`;
      return [raise("escalation_waiting", "warning", about, `${payload.reason}; ${wait}`)];
    }
    case "system.events.run":
      return ofRun(payload);
    default:
      return [];
  }
};

const lasts = ({ untilMs }: Alert): boolean => untilMs === undefined;

/** Who goes first comes first. V3 */
const expendability = (a: Alert, b: Alert): number =>
  Number(lasts(a)) - Number(lasts(b)) ||
  (lasts(a) ? severities.indexOf(a.severity) - severities.indexOf(b.severity) : 0) ||
  a.sinceMs - b.sinceMs;

export const applyChange = (
  alerts: readonly Alert[],
  change: AlertChange,
  nowMs: number,
  alertsMax: number,
): readonly Alert[] => {
  if (change.kind === "clear") {
    const { about, kinds } = change;
    const ends = (alert: Alert): boolean => lasts(alert) && alert.about === about && (kinds?.includes(alert.kind) ?? true);
    return alerts.some(ends) ? alerts.map((alert) => (ends(alert) ? { ...alert, untilMs: nowMs } : alert)) : alerts; // V2
  }
  const { alert: raised } = change;
  const same = alerts.find((alert) => lasts(alert) && alert.kind === raised.kind && alert.about === raised.about);
  // V1
  if (same !== undefined)
    return alerts.map((alert) => (alert === same ? { ...alert, ...raised, count: alert.count + 1 } : alert));
  const all = [...alerts, { ...raised, sinceMs: nowMs, count: 1 }];
  if (all.length <= alertsMax) return all;
  const goes = all.reduce((first, alert) => (expendability(alert, first) < 0 ? alert : first));
  return all.filter((alert) => alert !== goes);
};

/** Those that last first, the newest first. */
export const inOrder = (alerts: readonly Alert[]): Alert[] =>
  alerts.toSorted((a, b) => Number(lasts(b)) - Number(lasts(a)) || b.sinceMs - a.sinceMs);
