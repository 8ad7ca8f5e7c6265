/** Histories of runs for the tests of the ledger: drawn at random, told through the real run store. */
import fc from "fast-check";
import type { BudgetStanding } from "../../src/contracts/budget.ts";
import type { KasminaControlCommand } from "../../src/contracts/commands.ts";
import { type BudgetMovement, type LedgerHead, moveBudget, noBudget } from "../../src/contracts/ledger.ts";
import { type LifecycleState, legalTransitions, type SeedTransition } from "../../src/contracts/lifecycle.ts";
import type { EscalationEvent } from "../../src/contracts/subjects.ts";
import type { Database } from "../../src/store/database.ts";
import { readLedgerHeads } from "../../src/store/ledger-rows.ts";
import { type LedgerVerdict, verifyLedger } from "../../src/store/ledger-verify.ts";
import type { RunStore } from "../../src/store/run-store.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { plan, testLedger, testSigner, transition } from "./support.ts";

export type Step =
  | { readonly kind: "boundary"; readonly run: number; readonly choices: readonly number[]; readonly amount: number }
  | { readonly kind: "command"; readonly run: number; readonly what: number; readonly accepted: boolean }
  | { readonly kind: "finish"; readonly run: number }
  | { readonly kind: "rewind"; readonly run: number; readonly keep: number };

const run = fc.nat(2);
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("boundary" as const),
        run,
        choices: fc.array(fc.nat(5), { maxLength: 4 }),
        amount: fc.nat(1_000_000),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("command" as const), run, what: fc.nat(3), accepted: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("finish" as const), run }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("rewind" as const), run, keep: fc.nat(20) }) },
  ),
  { maxLength: 40 },
);

interface Run {
  epoch: number;
  readonly seeds: Map<string, { state: LifecycleState; sequence: number }>;
  told: SeedTransition[];
  budget: BudgetStanding;
  pending: string[];
}

/** The snapshots that the store keeps for us: the budget alone. */
export const budgetOf = (snapshots: unknown): BudgetStanding => (snapshots as { budget: BudgetStanding }).budget;

const escalation = (runId: string, epoch: number): EscalationEvent => ({
  kind: "settled",
  runId,
  seedId: "seed:h1",
  epoch,
  reason: "no answer – “policy”",
  verdict: "keep",
  by: "policy",
});

export class History {
  readonly store: RunStore;
  readonly #database: Database;
  readonly #runs = new Map<string, Run>();
  #requests = 0;

  constructor(database: Database, headEntriesMax = 8) {
    this.#database = database;
    const ledger = testLedger(database, { headEntriesMax });
    this.store = createRunStore({ database, ledger, idempotencyMs: 1_000, outboxMessagesMax: 10_000, boundariesMax: 4 });
  }

  /** All of it is on the disk after. */
  tell(all: readonly Step[]): this {
    for (const step of all) this.#tell(step);
    this.#database.transaction(() => undefined);
    return this;
  }

  #tell(step: Step): void {
    const runId = `r-${step.run}`;
    const known = this.#run(runId);
    switch (step.kind) {
      case "boundary":
        this.#boundary(runId, known, step);
        break;
      case "command":
        this.#command(runId, known, step);
        break;
      case "finish":
        this.store.finishRun(runId, { kind: "stopped", reason: "asked" }, []);
        break;
      case "rewind":
        this.#rewind(runId, known, step.keep);
        break;
    }
  }

  #run(runId: string): Run {
    const known = this.#runs.get(runId);
    if (known !== undefined) return known;
    this.store.createRun({ runId, arm: "grown", nowMs: 1 });
    const made: Run = { epoch: 0, seeds: new Map(), told: [], budget: noBudget, pending: [] };
    this.#runs.set(runId, made);
    return made;
  }

  #boundary(runId: string, known: Run, { choices, amount }: Extract<Step, { kind: "boundary" }>): void {
    known.epoch += 1;
    const { epoch } = known;
    const transitions: SeedTransition[] = [];
    const budget: BudgetMovement[] =
      known.budget === noBudget ? [{ move: "open", standing: { limits: { flops: 1e9 }, used: {}, reserved: {} } }] : [];
    budget.push({ move: "charge", used: { flops: amount, seconds: amount / 7 } });
    for (const choice of choices) {
      const seedId = `seed:h${choice % 3}`;
      const { state, sequence } = known.seeds.get(seedId) ?? { state: "DORMANT" as const, sequence: 0 };
      const ways = legalTransitions[state];
      const to = ways[choice % Math.max(1, ways.length)];
      if (to === undefined) continue;
      transitions.push(transition(sequence + 1, state, to, { runId, seedId, epoch, reason: `“${choice}” \u0007 ü` }));
      known.seeds.set(seedId, { state: to, sequence: sequence + 1 });
      if (state === "DORMANT") budget.push({ move: "reserve", seedId, amounts: { parameters: choice + 1 } });
      if (to === "FOSSILIZED") budget.push({ move: "commit", seedId, amounts: { parameters: choice + 1 } });
      if (to === "CULLED") budget.push({ move: "release", seedId, amounts: {} });
    }
    known.budget = budget.reduce(moveBudget, known.budget);
    known.told.push(...transitions);
    const [first] = known.pending;
    this.store.recordBoundary({
      runId,
      epoch,
      reply: { kind: "run", plan: plan(epoch, runId) },
      snapshots: { budget: known.budget },
      transitions,
      appliedCommands: known.pending,
      refusals: first === undefined || amount % 2 === 0 ? [] : [{ requestId: first, code: "embargo", reason: "too early" }],
      budget,
      escalations: amount % 5 === 0 ? [escalation(runId, epoch)] : [],
      outbox: [],
    });
    known.pending = [];
  }

  #command(runId: string, known: Run, { what, accepted }: Extract<Step, { kind: "command" }>): void {
    const requestId = `q-${++this.#requests}`;
    const commands: readonly KasminaControlCommand[] = [
      { requestId, kind: "germinate", seedId: "seed:h1", reason: "Grüße" },
      { requestId, kind: "cull", seedId: "seed:h2", reason: "" },
      { requestId, kind: "pause" },
      { requestId, kind: "resume" },
    ];
    const command = commands[what] ?? { requestId, kind: "stop" as const, reason: "" };
    const pauses = accepted && (command.kind === "pause" || command.kind === "resume");
    this.store.recordCommand({
      command,
      receipt: accepted
        ? { kind: "accepted", requestId, runId, appliesAtEpoch: known.epoch + 1, detail: "" }
        : { kind: "refused", requestId, code: "limit", reason: "no" },
      sender: what % 2 === 0 ? "operator" : "tamiyo",
      origin: { role: "operator", transport: "nats", traceId: "0".repeat(32) },
      runId,
      pending: accepted,
      ...(pauses ? { paused: command.kind === "pause" } : {}),
      nowMs: this.#requests,
      outbox: [],
    });
    if (accepted) known.pending.push(requestId);
  }

  #rewind(runId: string, known: Run, keep: number): void {
    const kept: SeedTransition[] = [];
    const seeds = new Map<string, { state: LifecycleState; sequence: number }>();
    for (const each of known.told.slice(0, keep)) {
      kept.push(each);
      seeds.set(each.seedId, { state: each.to, sequence: each.sequence });
    }
    known.told = kept;
    known.seeds.clear();
    for (const [seedId, seed] of seeds) known.seeds.set(seedId, seed);
    known.epoch = 0;
    const budget = known.budget;
    const isOpen = budget !== noBudget;
    this.store.rewindRun({
      runId,
      epoch: 0,
      snapshots: isOpen ? { budget } : null,
      transitions: kept,
      ...(isOpen ? { budget } : {}),
    });
  }
}

async function* iterate(heads: Iterable<LedgerHead>): AsyncGenerator<LedgerHead> {
  yield* heads;
}

export const headsOf = (database: Database): readonly LedgerHead[] => [...readLedgerHeads(database)];

/** Verifies with the file's heads as given: those that stood there before anybody tampered. */
export const verify = (
  database: Database,
  fileHeads: readonly LedgerHead[] | undefined,
  fingerprint: string | undefined = testSigner.fingerprint,
): Promise<LedgerVerdict> => verifyLedger({ database, fileHeads: fileHeads && iterate(fileHeads), fingerprint, problemsMax: 5 });
