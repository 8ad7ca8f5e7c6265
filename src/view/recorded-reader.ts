/**
 * Reads a recorded run together with what the node's own log tells of the same time: who was started, ended and restarted, and how often. Queues and times
 * of actors are in no log: they stay unmeasured.
 *
 * N1 An actor stands as its last event says; when the bus is started anew, with the node or with all that stand on it, nobody is known to be up before he
 *    is told to be.
 * N2 What the node's log told before the run began is taken as it stood then, without its story.
 */
import type { Envelope } from "../contracts/envelope.ts";
import { subjects } from "../contracts/subjects.ts";
import type { ViewActor, ViewChange } from "../contracts/view.ts";
import { ViewReader } from "./read-event.ts";
import { applyChanges, emptyView } from "./reduce.ts";

/** What of a node's log belongs to no run and is shown with every run of its time. */
const nodeSubjects: ReadonlySet<string> = new Set([
  "system.events.supervision",
  "system.events.breaker",
  "system.events.dead_letter",
]);

export const isOfNode = ({ subject }: Envelope): boolean => nodeSubjects.has(subject);

const actorsMax = 1_000;
/** The first of the root's children: it is started before all others. */
const firstChild = "oona";

const statusOf: Readonly<Record<string, string>> = {
  started: "up",
  exited: "failed",
  stopped: "stopped",
  restarting: "restarting",
  escalated: "escalated",
};

const unmeasured = {
  mailboxDepth: null,
  mailboxDepthMax: null,
  processed: null,
  deadLetters: null,
  processingMsTotal: null,
  processingMsMax: null,
};

export class RecordedReader {
  readonly #reader = new ViewReader();
  readonly #actors = new Map<string, ViewActor>();
  readonly #stood = emptyView("recorded");

  /** N2: an event of the node from before the run began. */
  before(event: Envelope): void {
    applyChanges(this.#stood, this.#reader.read(event));
    this.#note(event);
  }

  /** N2: what a run begins with. */
  begin(): readonly ViewChange[] {
    const stood = this.#stood;
    return [
      { k: "nodeTold" },
      { k: "actors", actors: [...this.#actors.values()] },
      ...stood.breakers.map((breaker): ViewChange => ({ k: "breaker", breaker })),
      ...stood.deadLetters.filter(({ state }) => state === "waiting").map((letter): ViewChange => ({ k: "letter", letter })),
    ];
  }

  read(event: Envelope): readonly ViewChange[] {
    const changes = this.#reader.read(event);
    return this.#note(event) ? [...changes, { k: "actors", actors: [...this.#actors.values()] }] : changes;
  }

  /** N1: true when an actor stands otherwise than before. */
  #note({ subject, payload }: Envelope): boolean {
    if (subject !== "system.events.supervision") return false;
    const told = subjects[subject].payload.safeParse(payload).data;
    const status = told === undefined ? undefined : statusOf[told.kind];
    if (told === undefined || status === undefined) return false;
    const { child: id, kind, detail } = told;
    if (kind === "started" && id === firstChild) this.#actors.clear();
    if (!this.#actors.has(id) && this.#actors.size >= actorsMax) return false;
    const generation = Number(/^generation (\d{1,9})\b/.exec(detail)?.[1] ?? this.#actors.get(id)?.generation ?? 1);
    this.#actors.set(id, { path: id, id, kind: "worker", strategy: null, status, generation, ...unmeasured });
    return true;
  }
}
