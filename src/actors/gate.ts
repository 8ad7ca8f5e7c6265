/**
 * The Gate: the one door for every command, from whatever transport.
 *
 * D1 A command is judged, reviewed by the Warden if it changes anything, and only then handed to who answers it; there is no other way to them.
 * D2 Who asks is what the transport authenticated. On NATS that is the login whose subject the server let the message through on; over HTTP
 *    the token, and the server lets nobody but the HTTP actor say so.
 * D3 A command is counted on the disk before it goes on: by itself, or with those after it that may come ahead of their own count.
 * D4 Every command gets a receipt: what cannot be reached is a refusal with a code, and the same request id may be sent again.
 * D5 Nobody behind the Gate is asked for longer than the sender waits.
 * D6 What others than Kasmina answer is told and kept here, as she keeps what she answers: one store remembers each request id.
 * D7 What is refused here is told in the ledger, one entry for each login, code and minute.
 * D8 Commands begin in the order in which they came, and wait for none before them but one of the same request id. They reach whoever
 *    answers them in that order.
 * D9 A change is handed over once, however it got its leave: sent again, let pass by an approval, or by two of them at once.
 * D10 Where more events wait to be sent than can be, people's changes are refused for the moment: a flood of them does not end a run.
 */
import type { MessageContext, SendOptions } from "../bus/bus.ts";
import type { CommandReceipt, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import type { ControlConfig } from "../contracts/config.ts";
import { describeError } from "../contracts/errors.ts";
import { type Answerer, type CommandKind, commandKinds, commandRules } from "../contracts/roles.ts";
import {
  type AdmittedCommand,
  type Principal,
  principals,
  type RequestSubject,
  roleOf,
  type WardenVerdict,
} from "../contracts/subjects.ts";
import { type GateRequest, judgeRequest, loginOf, minuteMs, requestIdOf } from "../machines/gate.ts";
import { createRefusalTally } from "../machines/refusal-tally.ts";
import { earliestMs } from "../resilience/deadline.ts";
import type { GateStore } from "../store/gate-store.ts";
import type { OutboxMessage, RunStore } from "../store/run-store.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { createGateMeter } from "./gate-meter.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import { type ActorPorts, type ActorScope, startActor } from "./shell.ts";

export interface GatePorts {
  readonly runs: RunStore;
  readonly windows: GateStore;
  readonly control: ControlConfig;
  readonly requestTimeoutMs: number;
}

export const startGate = (ports: ActorPorts, own: GatePorts): Promise<RunningChild> =>
  startActor("gate", ports, async (scope) => {
    const gate = new Gate(scope, own);
    const meter = createGateMeter(scope.clock);
    const handle = meter.around((request: GateRequest) => gate.handle(request));
    scope.onEnd(() => {
      gate.tellRefusals();
      own.windows.settle();
    });
    const answerCommand = (command: KasminaControlCommand, { sender, traceId, deadlineAtMs }: MessageContext) => {
      const principal = principalOf(sender);
      const role = principal === undefined ? undefined : roleOf(principal);
      if (role === undefined) return refusal(command, "forbidden", `${sender} commands nothing`);
      const bytes = Buffer.byteLength(JSON.stringify(command));
      return handle({ by: { principal: sender, role, transport: "nats" }, command, bytes, traceId, deadlineAtMs }); // D2
    };
    await scope.answer("control.kasmina.commands", answerCommand, { beside: () => true }); // D8
    await scope.answer(
      "control.gate.requests",
      ({ by, command, bytes, clientDeadlineAtMs }, { traceId, deadlineAtMs }) =>
        handle({
          by: { ...by, transport: "http" },
          command,
          bytes,
          traceId,
          deadlineAtMs: earliestMs(clientDeadlineAtMs, deadlineAtMs),
        }),
      { beside: () => true }, // D8
    );
    // D1 D2: what came with a start has the sender whom the Gate knew then.
    await scope.answer("control.gate.first", ({ by, command }, { traceId, deadlineAtMs }) =>
      handle({ by, command, bytes: Buffer.byteLength(JSON.stringify(command)), traceId, deadlineAtMs }),
    );
    await scope.answer("query.commands", () => meter.counts(), { beside: () => true });
    await gate.takeUp();
  });

/** Where each of those who answer is asked. The Warden answers in her review. */
const subjectOf = {
  kasmina: "control.kasmina.admitted",
  urza: "control.urza.admitted",
  tamiyo: "control.tamiyo.admitted",
  nissa: "control.nissa.admitted",
  node: "control.node.admitted",
  letters: "control.letters.admitted",
} as const satisfies Record<Exclude<Answerer, "warden">, RequestSubject>;

const kindOf = (command: unknown): CommandKind | undefined => {
  const kind = typeof command === "object" && command !== null && "kind" in command ? command.kind : undefined;
  return commandKinds.find((each) => each === kind);
};
const asksOnly = (command: unknown): boolean => {
  const kind = kindOf(command);
  return kind !== undefined && commandRules[kind].access === "read";
};

/** Commands that change the policy: what the machine refuses does not count as learning. */
const learns: readonly CommandKind[] = ["policy_load", "policy_update"];

/** Refusals that say nothing about the command: the same request may be sent again. */
const passing: readonly RefusalCode[] = ["unavailable", "no_run"];

const principalOf = (sender: string): Principal | undefined => principals.find((principal) => principal === sender);

/** Of the commands that a role may send in a minute, those that are counted on the disk at once: so much a crash may cost it. */
const aheadShare = 0.01;

const refusal = ({ requestId }: KasminaControlCommand, code: RefusalCode, reason: string): CommandReceipt => ({
  kind: "refused",
  requestId,
  code,
  reason,
});

class Gate {
  readonly #scope: ActorScope;
  readonly #own: GatePorts;
  readonly #outbox: Outbox;
  readonly #refusals = createRefusalTally();
  /** Changes at work, by request id. */
  readonly #atWork = new Map<string, Promise<unknown>>();
  /** Changes that are handed over, by their own request ids. */
  readonly #handing = new Map<string, Promise<CommandReceipt>>();
  /** Takes the appointment back at which refusals are told. */
  #telling: (() => void) | undefined;

  constructor(scope: ActorScope, own: GatePorts) {
    this.#scope = scope;
    this.#own = own;
    this.#outbox = createOutbox(scope.bus, own.runs, scope.clock, scope.log);
    scope.onEnd(this.#outbox.keepSending());
  }

  /** What was kept and not told before the actor ended. */
  takeUp(): Promise<void> {
    return this.#outbox.flush();
  }

  /** D8 */
  async handle(request: GateRequest): Promise<CommandReceipt> {
    if (asksOnly(request.command)) return this.#judge(request);
    const requestId = requestIdOf(request.command);
    for (let before = this.#atWork.get(requestId); before !== undefined; before = this.#atWork.get(requestId))
      await before.catch(() => undefined);
    const answer = this.#judge(request);
    this.#atWork.set(requestId, answer);
    try {
      return await answer;
    } finally {
      if (this.#atWork.get(requestId) === answer) this.#atWork.delete(requestId);
    }
  }

  async #judge(request: GateRequest): Promise<CommandReceipt> {
    const { runs, windows, control } = this.#own;
    const { clock, log } = this.#scope;
    const nowMs = clock.nowMs();
    const memory = { recall: (command: KasminaControlCommand) => runs.recall(command, nowMs), counted: windows.counted };
    const verdict = judgeRequest(request, memory, control, nowMs);
    const { by } = request;
    const ahead = by.role === "controller" ? 1 : control.commandsPerMinuteMax[by.role] * aheadShare;
    const kept = verdict.window === undefined || windows.count(loginOf(by), verdict.window, nowMs, ahead); // D3
    if (verdict.kind === "answered") {
      const { receipt } = verdict;
      await runs.settled(); // D6: what is known may not be on the disk yet.
      if (receipt.kind === "refused") log.info("refused a command", { ...by, code: receipt.code, requestId: receipt.requestId });
      if (receipt.kind === "refused" && verdict.here === true && !asksOnly(request.command))
        this.#noteRefusal(request, receipt.code);
      return receipt;
    }
    const { command } = verdict;
    if (!kept) return refusal(command, "rate", `more than ${control.loginsMax} logins send commands; try again in a minute`);
    const { access, answeredBy } = commandRules[command.kind];
    if (access === "read" && answeredBy !== "warden") return this.#handOver({ by, command }, request);
    // The room that is left is for what runs tell by themselves.
    if (access === "change" && by.role !== "controller" && runs.isCrowded())
      return refusal(command, "unavailable", "more events wait to be sent than can be; nothing was done, try again in a moment");
    const review = await this.#scope.bus.request("control.warden.reviews", { by, command }, this.#until(request));
    if (review.kind !== "reply")
      return refusal(command, "unavailable", `the Warden gave no answer (${review.kind}): ${review.reason}`);
    const ruled = review.value;
    if (ruled.kind === "pass") return this.#handOver(ruled.admitted, request);
    const receipt = ruled.kind === "answer" ? ruled.receipt : await this.#release(ruled, command, request);
    if (access === "change" && !(ruled.kind === "answer" && ruled.again)) await this.#keep({ by, command }, receipt, request);
    return receipt;
  }

  /** Lets another's command pass, and tells the one who approved it what came of it. */
  async #release(
    { admitted, receipt }: Extract<WardenVerdict, { kind: "release" }>,
    { requestId }: KasminaControlCommand,
    request: GateRequest,
  ): Promise<CommandReceipt> {
    const outcome = await this.#handOver(admitted, request);
    if (outcome.kind === "refused") return { ...outcome, requestId, reason: `approved, and then refused: ${outcome.reason}` };
    if (receipt.kind !== "done") return receipt;
    if (outcome.kind === "accepted")
      return { ...receipt, detail: `${receipt.detail}: ${outcome.detail}, takes effect at window ${outcome.appliesAtEpoch}` };
    return "detail" in outcome ? { ...receipt, detail: `${receipt.detail}: ${outcome.detail}` } : receipt;
  }

  /** D6 */
  async #keep({ by, command }: AdmittedCommand, receipt: CommandReceipt, { traceId }: GateRequest): Promise<void> {
    if (receipt.kind === "refused" && passing.includes(receipt.code)) return;
    const { runs } = this.#own;
    const told = { command, sender: by.principal, role: by.role, transport: by.transport, traceId, receipt };
    const outbox: OutboxMessage[] = [{ subject: "system.events.command", payload: told }];
    const nowMs = this.#scope.clock.nowMs();
    const origin = { role: by.role, transport: by.transport, traceId };
    // What waits for approval gets its own receipt once it has passed.
    if (receipt.kind !== "held" && (receipt.kind !== "refused" || commandRules[command.kind].answeredBy !== "kasmina"))
      await runs.recordCommand({ command, receipt, sender: by.principal, origin, pending: false, nowMs, outbox }).stored;
    else await runs.tellCommand({ command, receipt, sender: by.principal, origin, nowMs, outbox });
    void this.#outbox.flush();
  }

  /** D9 */
  async #handOver(admitted: AdmittedCommand, request: GateRequest): Promise<CommandReceipt> {
    const { command } = admitted;
    const { requestId } = command;
    if (commandRules[command.kind].access === "read") return this.#ask(admitted, request);
    const underWay = this.#handing.get(requestId);
    if (underWay !== undefined) return underWay;
    const { runs } = this.#own;
    const known = runs.recall(command, this.#scope.clock.nowMs());
    if (known?.same === true) {
      await runs.settled();
      return known.receipt;
    }
    const answer = this.#ask(admitted, request).finally(() => this.#handing.delete(requestId));
    this.#handing.set(requestId, answer);
    return answer;
  }

  /** D1, D4 */
  async #ask(admitted: AdmittedCommand, request: GateRequest): Promise<CommandReceipt> {
    const { command } = admitted;
    const { access, answeredBy: named } = commandRules[command.kind];
    // What the Warden lets pass of her own kinds is Kasmina's: a veto of what waits for its boundary.
    const answeredBy = named === "warden" ? "kasmina" : named;
    const outcome = await this.#scope.bus.request(subjectOf[answeredBy], admitted, this.#until(request));
    if (outcome.kind !== "reply") return this.#unanswered(command, answeredBy, outcome);
    const receipt = outcome.value;
    if (access === "change" && answeredBy !== "kasmina") await this.#keep(admitted, receipt, request);
    if (receipt.kind === "refused" && learns.includes(command.kind)) await this.#undo(admitted, request);
    return receipt;
  }

  #unanswered(
    command: KasminaControlCommand,
    answeredBy: Answerer,
    { kind, reason }: { readonly kind: string; readonly reason: string },
  ): CommandReceipt {
    if (answeredBy === "kasmina" && kind === "unavailable")
      return refusal(
        command,
        "no_run",
        "no run is going on, or its actors are being restarted; try again in a moment, or start one on a node that stays",
      );
    return refusal(command, "unavailable", `${answeredBy} gave no receipt (${kind}): ${reason}`);
  }

  /** The Warden counted a change that did not come about. Where she is away it stays counted: rather one too few. */
  async #undo({ by, command }: AdmittedCommand, request: GateRequest): Promise<void> {
    const told = await this.#scope.bus.request("control.warden.reviews", { by, command, undone: true }, this.#until(request));
    if (told.kind !== "reply")
      this.#scope.log.warn("a change of the policy was refused and stays counted", { reason: told.reason });
  }

  /** D7 */
  #noteRefusal({ by, command }: GateRequest, code: RefusalCode): void {
    const { clock } = this.#scope;
    const nowMs = clock.nowMs();
    const noted = this.#refusals.note({ ...by, login: loginOf(by), code, kind: kindOf(command) }, nowMs);
    if (noted.full) this.tellRefusals();
    if (this.#telling !== undefined) return;
    const cancel = clock.schedule(minuteMs, () => {
      this.#telling = undefined;
      this.tellRefusals();
    });
    this.#telling = cancel;
  }

  /** D7 */
  tellRefusals(): void {
    this.#telling?.();
    this.#telling = undefined;
    const refusals = this.#refusals.take();
    if (refusals.length === 0) return;
    try {
      this.#own.runs.tellRefusals(refusals);
    } catch (error) {
      this.#scope.log.error("refusals could not be told in the ledger", {
        reason: describeError(error),
        refusals: refusals.length,
      });
    }
  }

  /** D5 */
  #until({ deadlineAtMs, traceId }: GateRequest): SendOptions {
    const timeoutMs = this.#own.requestTimeoutMs;
    return { traceId, timeoutMs, ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }) };
  }
}
