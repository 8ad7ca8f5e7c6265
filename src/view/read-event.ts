/**
 * Events of the bus or of a log as changes of the view. A reader follows one stream of events and remembers what later ones are read by.
 *
 * V1 An event is read once: one whose id is among the last `recentIdsMax` gives nothing, so that a log and the live bus may overlap.
 * V2 What is no event of this program, or does not fit its subject's schema, gives nothing but a count.
 * V3 Texts are cut at a bound and stay data.
 */
import type { Envelope } from "../contracts/envelope.ts";
import { isActive } from "../contracts/lifecycle-table.ts";
import { type PayloadOf, type SubjectName, subjects } from "../contracts/subjects.ts";
import type { TrialPatch, ViewChange, ViewCommand, ViewDecision } from "../contracts/view.ts";
import { cutText, viewBounds } from "./bounds.ts";
import { gateReadings } from "./gate-readings.ts";
import { alertOf, type EventPlace, intervalOf, judgementsOf, readRunEvent, readWindow, short } from "./read-run.ts";
import { RunMemory } from "./run-memory.ts";

/** What the view is built from. */
export const viewSubjects = [
  "system.events.epoch",
  "system.events.run",
  "system.events.seed",
  "system.events.decision",
  "system.events.escalation",
  "system.events.command",
  "system.events.supervision",
  "system.events.breaker",
  "system.events.dead_letter",
  "telemetry.run.progress",
  "innovation.field_reports",
] as const satisfies readonly SubjectName[];
export type ViewSubject = (typeof viewSubjects)[number];

export const isViewSubject = (subject: string): subject is ViewSubject => (viewSubjects as readonly string[]).includes(subject);

/** Of the event log: its last line when it reached its bound. */
const cutSubject = "log.cut";

type Readers = {
  readonly [S in ViewSubject]: (payload: PayloadOf<S>, place: EventPlace, memoryOf: (runId: string) => RunMemory) => ViewChange[];
};

const orNull = <T>(value: T | undefined): T | null => value ?? null;

const readStep = (transition: PayloadOf<"system.events.seed">, place: EventPlace, memory: RunMemory): ViewChange[] => {
  const { runId, seedId, sequence, from, to, epoch, reason, evidence } = transition;
  const { atMs } = place;
  const gates = gateReadings(from, evidence, epoch, memory.config);
  const begins = to === "GERMINATED";
  const changes: ViewChange[] = [
    {
      k: "step",
      r: runId,
      seedId,
      step: { sequence, from, to, epoch, atMs, reason: cutText(reason), gates },
      trial: begins ? { ...plannedIn(evidence), ...memory.takePlan(seedId), ...spanIn(evidence) } : null,
    },
    { k: "header", r: runId, atMs, set: { activeSeedId: isActive(to) ? seedId : null } },
  ];
  const failed = isActive(from) && !isActive(to) && to !== "FOSSILIZED";
  const until = failed && memory.config !== undefined ? epoch + memory.config.embargo.epochs : undefined;
  if ((failed || to === "DORMANT") && memory.embargo(seedId, until))
    changes.push({ k: "embargoes", r: runId, until: memory.embargoes() });
  return changes;
};

type Evidence = PayloadOf<"system.events.seed">["evidence"];

const spanIn = ({ fromSite, toSite }: Evidence): TrialPatch =>
  typeof fromSite === "string" && typeof toSite === "string" ? { fromSite, toSite } : {};

/** What gate 0 tells of what is to be grown. */
const plannedIn = ({ parameters, blueprint: kind, hiddenWidth, initialization }: Evidence): TrialPatch => {
  const asked = subjects["innovation.field_reports"].payload.shape.blueprint.safeParse({ kind, hiddenWidth, initialization });
  return {
    ...(typeof parameters === "number" ? { parameters } : {}),
    ...(asked.success && asked.data !== undefined ? { blueprint: asked.data } : {}),
  };
};

const readDecision = (decision: PayloadOf<"system.events.decision">, place: EventPlace, memory: RunMemory): ViewChange[] => {
  const { runId, epoch, rule, outcome, reason, seedId, fromSite, toSite, requestId, forecast } = decision;
  const shown: ViewDecision = {
    ...place,
    epoch,
    by: decision.by ?? "tamiyo",
    rule: cutText(rule),
    outcome,
    reason: cutText(reason),
    confidence: orNull(decision.confidence),
    forecast: orNull(forecast),
    site: orNull(decision.site),
    seedId: orNull(seedId),
    fromSite: orNull(fromSite),
    toSite: orNull(toSite),
    requestId: orNull(requestId),
    latencyMs: short(decision.latencyMs),
  };
  if (seedId !== undefined && (outcome === "germinate" || outcome === "prune"))
    memory.plan(seedId, {
      by: shown.by,
      rule: shown.rule,
      forecast: shown.forecast,
      requestId: shown.requestId,
      ...(fromSite === undefined || toSite === undefined ? {} : { fromSite, toSite }),
    });
  return [{ k: "decision", r: runId, decision: shown }];
};

type Told = PayloadOf<"system.events.command">;

const aboutOf = ({
  command,
}: Told): { readonly seedId: string | null; readonly target: string | null; readonly about: string } => {
  const seedId = "seedId" in command && command.seedId !== undefined ? command.seedId : null;
  const target = "target" in command && typeof command.target === "string" ? command.target : null;
  const site = "site" in command && typeof command.site === "string" ? command.site : null;
  const limit = command.kind === "limit" ? `${command.resource} ${command.max}` : null;
  return { seedId, target, about: cutText(seedId ?? target ?? site ?? limit ?? command.runId ?? "") };
};

type ToldReceipt = Extract<Told["receipt"], { kind: ViewCommand["state"] }>;
const isTold = (receipt: Told["receipt"]): receipt is ToldReceipt =>
  ["accepted", "done", "held", "queued", "refused"].includes(receipt.kind);

const readCommand = (told: Told, place: EventPlace, memoryOf: (runId: string) => RunMemory): ViewChange[] => {
  const { command, receipt, sender, role } = told;
  if (!isTold(receipt)) return [];
  const runId = "runId" in receipt ? receipt.runId : orNull(command.runId);
  const shown: ViewCommand = {
    requestId: command.requestId,
    runId,
    kind: command.kind,
    ...aboutOf(told),
    sender,
    role: orNull(role),
    atMs: place.atMs,
    state: receipt.kind,
    code: receipt.kind === "refused" ? receipt.code : null,
    detail: cutText(receipt.kind === "refused" ? receipt.reason : receipt.detail),
    appliesAtEpoch: receipt.kind === "accepted" ? receipt.appliesAtEpoch : null,
    expiresAtMs: receipt.kind === "held" ? receipt.expiresAtMs : null,
    approvers: receipt.kind === "held" ? receipt.approvers : [],
  };
  const changes: ViewChange[] = [{ k: "command", command: shown }];
  if (receipt.kind === "held")
    changes.push(alertOf(place, "info", "approval", `${command.kind} ${shown.about} of ${sender} waits for approval`, { runId }));
  if (runId === null) return changes;
  const memory = memoryOf(runId);
  if (command.kind === "germinate" && receipt.kind === "accepted") {
    const { seedId, requestId, blueprint, prune, adaptation } = command;
    memory.plan(seedId, {
      by: sender,
      requestId,
      ...(blueprint !== undefined && "kind" in blueprint ? { blueprint } : {}),
      ...(prune === undefined ? {} : { prune }),
      ...(adaptation === undefined ? {} : { forecast: adaptation.forecast, rule: cutText(adaptation.rule) }),
    });
  }
  // Kasmina takes back at the boundary what it had accepted; the Gate's refusals never were.
  const undone = receipt.kind === "refused" && sender === "kasmina";
  if ((receipt.kind === "accepted" || undone) && memory.hold(command, undone))
    changes.push({ k: "header", r: runId, atMs: place.atMs, set: { holds: memory.holds } });
  return changes;
};

const readers: Readers = {
  "system.events.epoch": (packet, place, memoryOf) => readWindow(packet, place, memoryOf(packet.runId)),
  "system.events.run": (event, place, memoryOf) => readRunEvent(event, place, memoryOf(event.runId)),
  "system.events.seed": (transition, place, memoryOf) => readStep(transition, place, memoryOf(transition.runId)),
  "system.events.decision": (decision, place, memoryOf) => readDecision(decision, place, memoryOf(decision.runId)),
  "system.events.escalation": (event, place) => {
    const { runId: r, seedId, epoch, reason } = event;
    if (event.kind === "settled") {
      const { verdict, by } = event;
      return [{ k: "settled", r, seedId, settled: { epoch, verdict, by, reason: cutText(reason) } }];
    }
    const { windowsLeft, otherwise } = event;
    const judgements = judgementsOf(event.judgements);
    const escalation = { runId: r, seedId, sinceEpoch: epoch, atMs: place.atMs, reason: cutText(reason), judgements };
    return [
      { k: "escalation", r, escalation: { ...escalation, windowsLeft, otherwise, settled: null } },
      alertOf(place, "warning", "jury", `the jury is split on ${seedId}: a person is asked`, { runId: r, epoch, seedId }),
    ];
  },
  "system.events.command": readCommand,
  "system.events.supervision": ({ kind, child, detail }, place) => {
    const { id, atMs } = place;
    const note: ViewChange = { k: "supervision", note: { id, atMs, kind, child, detail: cutText(detail) } };
    const severity =
      kind === "escalated"
        ? "critical"
        : kind === "started" || kind === "stopped" || kind === "restarting"
          ? undefined
          : "warning";
    const recovered = kind === "consumer_recovered" || kind === "consumers_restored";
    if (severity === undefined) return [note];
    return [
      note,
      alertOf(place, recovered ? "info" : severity, "supervision", `${child} ${kind.replaceAll("_", " ")}: ${detail}`),
    ];
  },
  "system.events.breaker": ({ name, to, reason, atMs }, place) => {
    const breaker: ViewChange = { k: "breaker", breaker: { name, state: to, reason: cutText(reason), atMs } };
    if (to === "HALF_OPEN") return [breaker];
    const text = to === "OPEN" ? `${name} is open: ${reason}` : `${name} is closed again`;
    return [breaker, alertOf(place, to === "OPEN" ? "warning" : "info", "breaker", text)];
  },
  "system.events.dead_letter": (event, place) => {
    if (event.kind !== "died")
      return [{ k: "letterState", messageId: event.messageId, state: event.kind === "retried" ? "retried" : "dropped" }];
    const { principal, subject, reason, deliveries, envelope, stream, sequence } = event.report;
    const messageId = envelope?.id ?? `${stream} ${sequence}`;
    const letter = {
      messageId,
      atMs: place.atMs,
      principal,
      subject,
      reason: cutText(reason),
      deliveries,
      state: "waiting",
    } as const;
    return [
      { k: "letter", letter },
      alertOf(place, "warning", "dead letter", `${principal} could not handle ${subject}: ${reason}`),
    ];
  },
  "telemetry.run.progress": ({ runId: r, epoch, work, step, steps, loss }) => [
    { k: "progress", r, progress: { epoch, work, step, steps, loss: short(loss) } },
  ],
  "innovation.field_reports": (report) => {
    const {
      runId: r,
      seedId,
      fromSite,
      toSite,
      blueprint,
      prune,
      forecast,
      measuredGain,
      judgements,
      kernelHash,
      trialFlops,
    } = report;
    const set: TrialPatch = {
      fromSite,
      toSite,
      flops: trialFlops,
      ...(blueprint === undefined ? {} : { blueprint }),
      ...(prune === undefined ? {} : { prune }),
      ...(forecast === undefined ? {} : { forecast }),
      ...(measuredGain === undefined ? {} : { gain: intervalOf(measuredGain) }),
      ...(judgements === undefined ? {} : { judgements: judgementsOf(judgements) }),
      ...(kernelHash === undefined ? {} : { kernelHash }),
    };
    return [{ k: "trial", r, seedId, set }];
  },
};

const recentIdsMax = 50_000;

export class ViewReader {
  readonly #memories = new Map<string, RunMemory>();
  readonly #recent = new Set<string>();
  #events = 0;
  #unreadable = 0;
  #atMs = 0;

  /** Reads an event whose payload its subject's schema has passed already, as on the bus. */
  changesOf<S extends ViewSubject>(subject: S, payload: PayloadOf<S>, place: EventPlace): readonly ViewChange[] {
    if (this.#recent.has(place.id)) return []; // V1
    // Progress is in no log and the last tells all: it need not crowd out those that may come twice.
    if (subject !== "telemetry.run.progress") this.#remember(place.id);
    this.#events += 1;
    this.#atMs = Math.max(this.#atMs, place.atMs);
    const read: Readers[S] = readers[subject];
    return [...read(payload, place, (runId) => this.#memory(runId)), this.#count()];
  }

  /** Reads a line of a log. V2 */
  read({ subject, payload, id, sentAtMs, traceId }: Envelope): readonly ViewChange[] {
    const place = { id, atMs: sentAtMs, traceId };
    if (subject === cutSubject)
      return [alertOf(place, "warning", "log", "the log reached its bound; later events are not in it")];
    if (!isViewSubject(subject)) return [];
    const parsed = subjects[subject].payload.safeParse(payload);
    if (parsed.success) return this.changesOf(subject, parsed.data as PayloadOf<typeof subject>, place);
    this.#unreadable += 1;
    return [this.#count()];
  }

  /** Whether the event of this id is among the last that were read. */
  hasRead(id: string): boolean {
    return this.#recent.has(id);
  }

  /** Whether anything of the run was read. */
  knows(runId: string): boolean {
    return this.#memories.has(runId);
  }

  /** An event that could not be read at all. */
  missed(): void {
    this.#unreadable += 1;
  }

  #count(): ViewChange {
    return { k: "count", atMs: this.#atMs, events: this.#events, unreadable: this.#unreadable };
  }

  #remember(id: string): void {
    this.#recent.add(id);
    if (this.#recent.size <= recentIdsMax) return;
    for (const oldest of this.#recent) return void this.#recent.delete(oldest);
  }

  #memory(runId: string): RunMemory {
    const known = this.#memories.get(runId);
    if (known !== undefined) return known;
    const memory = new RunMemory();
    this.#memories.set(runId, memory);
    const oldest = this.#memories.keys().next().value;
    if (this.#memories.size > viewBounds.runsMax && oldest !== undefined) this.#memories.delete(oldest);
    return memory;
  }
}
