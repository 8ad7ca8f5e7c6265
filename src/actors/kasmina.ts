/**
 * Kasmina, the execution layer: holds the seeds of a run, answers Tolaria's question at every boundary, and takes commands.
 *
 * K1 Nothing is answered, published or shown to a live seed before it is in the database.
 * K2 A boundary and a command are each one transaction; asked again, the same answer comes.
 * K3 While the run is paused the boundary stays open: nothing is decided until it is resumed.
 * K4 A compilation is asked for again when nobody can say what became of it: a seed never waits for a lost message.
 * K5 A kernel is taken only with Urabrask's characterisation; one that does not come in time ends the trial.
 * K6 While a kernel is outstanding at its window the boundary stays open as in a pause: nothing is decided, commands are taken, and at the
 *    latest the deadlines of K5 close it.
 * K7 What a forge tells is judged by the predicates that it was ordered with; a kernel that passes is ordered to be measured.
 * K8 The first boundary stays open until the commands that came with the run's start have their receipts. Nobody paused: it is answered as a wait.
 */
import type { KernelTags } from "../contracts/characterization.ts";
import { type CommandReceipt, concernsRun, type KasminaControlCommand, type RunStatus } from "../contracts/commands.ts";
import type { CompilationOutcome, CompilationRequest } from "../contracts/compilation.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import { ContractError } from "../contracts/errors.ts";
import type { BoundaryReply, EpochPlan, SettledReply } from "../contracts/plan.ts";
import type { Policy } from "../contracts/policy.ts";
import { commandRules } from "../contracts/roles.ts";
import type { AdmittedCommand, PayloadOf } from "../contracts/subjects.ts";
import { acceptCommand } from "../machines/accept-command.ts";
import { type Decided, decideBoundary } from "../machines/boundary.ts";
import { budgetMovements } from "../machines/budget-ledger.ts";
import {
  createRunState,
  type KasminaRunState,
  type KasminaSetup,
  type PendingCommand,
  seedRow,
} from "../machines/kasmina-state.ts";
import { recover, unansweredCompilation } from "../machines/recovery.ts";
import { hashJson } from "../store/json.ts";
import { kernelKeyHash } from "../store/library.ts";
import type { OutboxMessage, RunStore } from "../store/run-store.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { keepPolicy, lookUp } from "./kasmina-lookup.ts";
import { LiveSeeds } from "./live-seeds.ts";
import { createOrders, type OrderPorts, type Orders } from "./orders.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import type { RunContext } from "./run-context.ts";
import { type ActorPorts, type ActorScope, Later, startActor } from "./shell.ts";

/** Characterisations remembered; a run waits for one at a time. */
const characterizationsMax = 16;

/** While a boundary stays open, what is not sent is tried again so often. */
const flushAgainMs = 1_000;

type Question = PayloadOf<"control.kasmina.boundary">;

export interface KasminaPorts {
  readonly runs: RunStore;
  readonly morphogenetic: MorphogeneticConfig;
  readonly orders: OrderPorts;
  /** Whose measurements of kernels count. */
  readonly machine: string;
  /** What the run's setup needs beside the question that Tolaria asks. */
  readonly setup: Omit<KasminaSetup, "runId" | "arm" | "growth" | "flopsMax">;
}

export const startKasmina = (ports: ActorPorts, run: RunContext, own: KasminaPorts): Promise<RunningChild> =>
  startActor("kasmina", ports, async (scope) => {
    const kasmina = new Kasmina(scope, run, own);
    scope.onEnd(() => kasmina.stop());
    await scope.on("compilation.kernel.ready", (outcome) => kasmina.compiled(outcome));
    await scope.on("validation.kernel.characterized", ({ characterized }) => kasmina.characterized(characterized));
    await scope.answer("control.kasmina.boundary", (question) => kasmina.boundary(question));
    await scope.answer("control.kasmina.admitted", (admitted, { traceId }) => kasmina.command(admitted, traceId), {
      later: true,
    });
    await kasmina.takeUp();
  });

class Kasmina {
  readonly #scope: ActorScope;
  readonly #run: RunContext;
  readonly #own: KasminaPorts;
  readonly #outbox: Outbox;
  readonly #orders: Orders;
  /** The kernel whose measurement is ordered for the trial at hand. */
  #orderedKernel: string | undefined;
  #state: KasminaRunState | undefined;
  /** The state of the last boundary that is in the database: budgets are told as they moved since. */
  #stored: KasminaRunState | undefined;
  #seeds: LiveSeeds | undefined;
  #compilations: CompilationOutcome[] = [];
  /** The last ones, by kernel: it may come before the kernel's own announcement, and be of another run's kernel. */
  readonly #characterizations = new Map<string, KernelTags>();
  #held = false;
  /** The boundary whose recovery was logged: while it is open it is recovered at every question. */
  #recoveredAtEpoch: number | undefined;
  #flushAgainAtMs = 0;
  #waitingSinceMs: number | undefined;
  #compiledSinceMs: number | undefined;

  constructor(scope: ActorScope, run: RunContext, own: KasminaPorts) {
    this.#scope = scope;
    this.#run = run;
    this.#own = own;
    this.#orders = createOrders(own.orders, own.morphogenetic);
    this.#outbox = createOutbox(scope.bus, own.runs, scope.clock, scope.log);
    scope.onEnd(this.#outbox.keepSending());
  }

  /** K4: from what is stored, the state as it was when the last boundary and the last command were. */
  async takeUp(): Promise<void> {
    const { runs } = this.#own;
    const stored = runs.loadRun(this.#run.runId);
    if (stored === undefined) {
      runs.createRun({ runId: this.#run.runId, arm: this.#run.arm, nowMs: this.#scope.clock.nowMs() });
      return;
    }
    await this.#outbox.flush();
    if (stored.snapshots === null) return;
    let state = stored.snapshots as KasminaRunState;
    this.#stored = state;
    for (const command of runs.pendingCommands(this.#run.runId)) state = acceptCommand(state, command).state;
    this.#adopt(state);
    const waiting = unansweredCompilation(state);
    if (waiting !== undefined) this.#submit([waiting]);
    await this.#outbox.flush();
  }

  stop(): void {
    this.#seeds?.stop();
  }

  /** An outcome of another run, or of an earlier trial of the same seed, is nobody's. */
  compiled(outcome: CompilationOutcome): void {
    const waiting = this.#state === undefined ? undefined : unansweredCompilation(this.#state);
    if (outcome.runId !== this.#run.runId || waiting?.seedId !== outcome.seedId) return;
    if (outcome.keyHash !== kernelKeyHash(waiting.key)) return;
    const judged = this.#orders.judgeKernel(waiting, outcome); // K7
    this.#compilations = [...this.#compilations.filter(({ seedId }) => seedId !== outcome.seedId), judged];
    if (judged.kind === "failed" || this.#orderedKernel === judged.kernelHash) return;
    this.#orderedKernel = judged.kernelHash;
    const payload = this.#orders.characterization(waiting, judged, this.#scope.clock.nowMs());
    this.#own.runs.enqueue([{ subject: "validation.kernel.submitted", payload }]);
    void this.#outbox.flush();
  }

  characterized(tags: KernelTags): void {
    this.#characterizations.delete(tags.kernelHash);
    this.#characterizations.set(tags.kernelHash, tags);
    const oldest = this.#characterizations.keys().next().value;
    if (this.#characterizations.size > characterizationsMax && oldest !== undefined) this.#characterizations.delete(oldest);
  }

  async boundary(question: Question): Promise<BoundaryReply> {
    if (question.runId !== this.#run.runId)
      throw new ContractError(`expected a boundary of run ${this.#run.runId}, got ${question.runId}`);
    const { host, epoch, flopsMax } = question.status;
    const state = this.#state ?? createRunState(this.#setup(flopsMax), host);
    if (this.#seeds === undefined) this.#adopt(state);
    const recovery = recover(state, { nowEpoch: epoch, result: question.result });
    if (recovery.kind !== "in_step" && this.#recoveredAtEpoch !== epoch) {
      this.#recoveredAtEpoch = epoch;
      this.#scope.log.warn("an answer at a boundary was lost", { epoch, recovery: recovery.kind });
    }
    if (recovery.kind === "stopped") return { kind: "stop", reason: recovery.reason };
    if (recovery.kind === "postponed") return this.#postpone(recovery.state, recovery.plan);
    const { first } = this.#run;
    if (first?.given === false) {
      first.reached();
      return { kind: "wait", outstanding: "commands", askAgainMs: this.#own.setup.askAgainMs }; // K8
    }

    const input = {
      nowEpoch: epoch,
      host,
      result: question.result,
      compilations: this.#dueCompilations(state),
      characterizations: [...this.#characterizations.values()],
      hashPolicy: (policy: Policy) => hashJson(policy, "policy"),
    };
    const decision = decideBoundary(recovery.kind === "ahead" ? recovery.state : state, input);
    if (decision.kind === "out_of_step") throw new ContractError(`run ${this.#run.runId}: ${decision.reason}`);
    if (decision.kind === "repeated") return decision.reply;
    this.#held = decision.reply.kind === "pause";
    if (decision.kind === "waiting") {
      this.#flushAgain();
      return decision.reply; // K6
    }
    if (decision.reply.kind === "pause") return decision.reply; // K3
    return this.#commit(state, decision, decision.reply);
  }

  /** K1: the answer waits until what it tells, and all that it may rest on, is in the database; the next command does not. */
  async command(admitted: AdmittedCommand, traceId: string): Promise<Later<CommandReceipt>> {
    const receipt = await this.#accept(admitted, traceId);
    return new Later(this.#own.runs.settled().then(() => receipt));
  }

  async #accept({ command, by }: AdmittedCommand, traceId: string): Promise<CommandReceipt> {
    const { requestId } = command;
    const known = this.#own.runs.findReceipt(requestId, this.#scope.clock.nowMs());
    if (known !== undefined) return known; // K2
    if (this.#state === undefined) {
      return {
        kind: "refused",
        requestId,
        code: "no_run",
        reason: `run ${this.#run.runId} has not reached its first boundary; try again in a moment`,
      };
    }
    const ports = { asker: this.#scope, machine: this.#own.machine, producer: `${by.role}:${by.principal}` };
    const foreign = command.runId !== undefined && command.runId !== this.#run.runId;
    const looked = foreign ? ({ kind: "found", command } as const) : await lookUp(ports, this.#state, command);
    const nowMs = this.#scope.clock.nowMs();
    const resolved = looked.kind === "found" ? looked.command : command;
    const { state, receipt } =
      looked.kind === "found" ? acceptCommand(this.#state, resolved) : { state: this.#state, receipt: looked.receipt };
    if (receipt.kind === "status") return { ...receipt, run: this.#asItIsNow(state, receipt.run) };
    if (commandRules[command.kind].access === "read") return receipt;
    const accepted = receipt.kind === "accepted";
    const recorded = this.#own.runs.recordCommand({
      command,
      ...(resolved === command ? {} : { resolved }),
      receipt,
      sender: by.principal,
      origin: { role: by.role, transport: by.transport, traceId },
      runId: this.#run.runId,
      pending: accepted,
      ...(accepted && (command.kind === "pause" || command.kind === "resume") && concernsRun(command)
        ? { paused: command.kind === "pause" }
        : {}),
      nowMs,
      outbox: [
        {
          subject: "system.events.command",
          payload: {
            command: this.#ofThisRun(command),
            sender: by.principal,
            role: by.role,
            transport: by.transport,
            traceId,
            receipt,
          },
        },
      ],
    });
    if (!recorded.repeated) this.#state = state;
    // A commit that fails ends the actor by its answer.
    void recorded.stored.then(
      () => this.#outbox.flush(),
      () => undefined,
    );
    return recorded.receipt;
  }

  /** K1 */
  async #commit(before: KasminaRunState, decision: Decided, reply: SettledReply): Promise<BoundaryReply> {
    const { runId } = this.#run;
    await this.#keepChangedPolicy(before, decision);
    const applied = before.pending.filter(
      ({ requestId }) => !decision.state.pending.some((left) => left.requestId === requestId),
    );
    const refused = decision.refusals.flatMap(({ requestId, code, reason }) => {
      const command = before.pending.find((each) => each.requestId === requestId);
      return command === undefined
        ? []
        : [{ command: this.#ofThisRun(command), sender: "kasmina", receipt: { kind: "refused", requestId, code, reason } }];
    });
    const { reply: stored } = this.#own.runs.recordBoundary({
      runId,
      epoch: decision.state.epoch + 1,
      reply,
      snapshots: decision.state,
      transitions: decision.transitions,
      appliedCommands: applied.map(({ requestId }) => requestId),
      refusals: decision.refusals,
      budget: budgetMovements(this.#stored, decision.state, decision.steps),
      escalations: decision.escalations,
      outbox: [
        ...decision.transitions.map((payload): OutboxMessage => ({ subject: "system.events.seed", payload })),
        ...refused.map((payload): OutboxMessage => ({ subject: "system.events.command", payload })),
        ...decision.escalations.map((payload): OutboxMessage => ({ subject: "system.events.escalation", payload })),
        ...decision.fieldReports.map((payload): OutboxMessage => ({ subject: "innovation.field_reports", payload })),
        ...decision.submissions.map(
          (submission): OutboxMessage => ({
            subject: "compilation.blueprint.submitted",
            payload: this.#orders.compilation(this.#withCause(submission, before, decision), this.#scope.clock.nowMs()),
          }),
        ),
      ],
    });
    this.#state = this.#stored = decision.state;
    if (unansweredCompilation(decision.state) === undefined)
      this.#waitingSinceMs = this.#compiledSinceMs = this.#orderedKernel = undefined;
    this.#seeds?.follow(decision.state, decision.steps);
    this.#compilations = this.#compilations.filter(({ seedId }) => unansweredCompilation(decision.state)?.seedId === seedId);
    // Not awaited: training does not wait for the stream. What is not sent yet is in the database.
    void this.#outbox.flush();
    if (decision.health !== undefined) await this.#scope.bus.publish("telemetry.seed.health", decision.health);
    if (decision.parts !== undefined) await this.#scope.bus.publish("telemetry.host.parts", decision.parts);
    return stored;
  }

  /** What the boundary's state cannot know: alpha moves within a window, and an open boundary is a pause. */
  #asItIsNow(state: KasminaRunState, run: RunStatus): RunStatus {
    const seeds = run.seeds.map((seed) => {
      const row = seed.state === "GRAFTING" ? seedRow(state, seed.seedId) : undefined;
      return row === undefined ? seed : { ...seed, alpha: this.#run.table.alpha(row) };
    });
    return { ...run, seeds, paused: run.paused || this.#held };
  }

  /** What could not be sent when the boundary before this one was recorded may be the very request that is waited for. */
  #flushAgain(): void {
    const nowMs = this.#scope.clock.monotonicMs();
    if (nowMs < this.#flushAgainAtMs) return;
    this.#flushAgainAtMs = nowMs + flushAgainMs;
    void this.#outbox.flush();
  }

  /** K2, for a plan that is given a second time. */
  #postpone(state: KasminaRunState, plan: EpochPlan): BoundaryReply {
    const reply = { kind: "run", plan } as const;
    const { runId } = this.#run;
    this.#own.runs.recordBoundary({
      runId,
      epoch: plan.epoch,
      reply,
      snapshots: state,
      transitions: [],
      appliedCommands: [],
      refusals: [],
      budget: budgetMovements(this.#stored, state, []),
      escalations: [],
      outbox: [],
    });
    this.#state = this.#stored = state;
    return reply;
  }

  /** What changes made of the policy, in the library before it decides. Without her the run goes on: the state has it too. */
  async #keepChangedPolicy({ pending }: KasminaRunState, { state: { policy }, refusals }: Decided): Promise<void> {
    const change = pending.findLast(
      ({ kind, requestId }) => kind === "policy_update" && !refusals.some((refused) => refused.requestId === requestId),
    );
    if (change === undefined || policy === undefined) return;
    const commandHash = this.#own.runs.commandHash(change.requestId);
    const problem = await keepPolicy(this.#scope, { policy: policy.policy, runId: this.#run.runId, commandHash });
    if (problem !== undefined) this.#scope.log.warn("a policy is in force and was not kept", { hash: policy.hash, problem });
  }

  /** What came back from the forge; past its deadline a seed that still waits is told that nothing will. */
  #dueCompilations(state: KasminaRunState): readonly CompilationOutcome[] {
    const waiting = unansweredCompilation(state);
    const { runId } = this.#run;
    if (waiting === undefined) return this.#compilations;
    const nowMs = this.#scope.clock.nowMs();
    const { compileTimeoutMs, validation } = this.#own.morphogenetic;
    const failed = (reason: string): readonly CompilationOutcome[] => [
      { kind: "failed", taskId: "", runId, seedId: waiting.seedId, keyHash: kernelKeyHash(waiting.key), reason },
    ];
    const [compiled] = this.#compilations;
    if (compiled === undefined) {
      this.#waitingSinceMs ??= nowMs;
      if (nowMs <= this.#waitingSinceMs + 2 * compileTimeoutMs) return [];
      return failed(`the forge told nothing within ${2 * compileTimeoutMs} ms (twice morphogenetic.compileTimeoutMs)`);
    }
    if (compiled.kind === "failed") return this.#compilations;
    const tags = this.#characterizations.get(compiled.kernelHash);
    if (tags !== undefined) {
      // What could not be measured is for the validation's gate, which tells the problem.
      const judged = this.#orders.judgeCharacterization(waiting, compiled, tags); // K7
      return judged.kind === "accepted" || tags.measured === undefined ? this.#compilations : failed(judged.reason);
    }
    // K5
    this.#compiledSinceMs ??= nowMs;
    if (nowMs <= this.#compiledSinceMs + validation.timeoutMs) return this.#compilations;
    return failed(`Urabrask told nothing of it within ${validation.timeoutMs} ms (morphogenetic.validation.timeoutMs)`);
  }

  /** A command as it is told: with the run whose log it belongs to. */
  #ofThisRun<C extends KasminaControlCommand | PendingCommand>(command: C): C {
    return { ...command, runId: command.runId ?? this.#run.runId };
  }

  #adopt(state: KasminaRunState): void {
    this.#state = state;
    this.#seeds?.stop();
    this.#seeds = new LiveSeeds(state, this.#run.table, (error) => this.#scope.end(error));
  }

  #setup(flopsMax: number): KasminaSetup {
    const { runId, arm, growth } = this.#run;
    return { ...this.#own.setup, runId, arm, growth, flopsMax };
  }

  /** A compilation with the germination that asked for it. */
  #withCause(wanted: CompilationRequest, before: KasminaRunState, { refusals }: Decided): CompilationRequest {
    const asked = before.pending.find(
      (each) =>
        each.kind === "germinate" &&
        each.seedId === wanted.seedId &&
        !refusals.some(({ requestId }) => requestId === each.requestId),
    );
    const commandHash = asked === undefined ? undefined : this.#own.runs.commandHash(asked.requestId);
    if (asked?.kind !== "germinate" || commandHash === undefined) return wanted;
    const confidence = asked.adaptation?.confidence;
    return { ...wanted, cause: { commandHash, ...(confidence === undefined ? {} : { confidence }) } };
  }

  #submit(submissions: readonly CompilationRequest[]): void {
    const nowMs = this.#scope.clock.nowMs();
    this.#own.runs.enqueue(
      submissions.map((submission) => ({
        subject: "compilation.blueprint.submitted",
        payload: this.#orders.compilation(submission, nowMs),
      })),
    );
  }
}
