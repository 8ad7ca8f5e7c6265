/**
 * The Gate: the one door for every command, from whatever transport.
 *
 * D1 A command is judged, reviewed by the Warden if it changes anything, and only then handed to Kasmina; there is no other way to her.
 * D2 Who asks is what the transport authenticated. On NATS that is the login whose subject the server let the message through on.
 * D3 A command is counted on the disk before it goes on.
 * D4 Every command gets a receipt: what cannot be reached is a refusal with a code, and the same request id may be sent again.
 * D5 Nobody behind the Gate is asked for longer than the sender waits.
 * D6 What the Warden answers is told and kept here, as Kasmina keeps what she answers: one store remembers each request id.
 */
import type { SendOptions } from "../bus/bus.ts";
import type { CommandReceipt, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import type { ControlConfig } from "../contracts/config.ts";
import { commandRules } from "../contracts/roles.ts";
import { type AdmittedCommand, type Principal, principals, roleOf, type WardenVerdict } from "../contracts/subjects.ts";
import { type GateRequest, judgeRequest, loginOf } from "../machines/gate.ts";
import type { GateStore } from "../store/gate-store.ts";
import type { OutboxMessage, RunStore } from "../store/run-store.ts";
import type { RunningChild } from "../supervision/spec.ts";
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
    await scope.answer("control.kasmina.commands", (command, { sender, traceId, deadlineAtMs }) => {
      const principal = principalOf(sender);
      const role = principal === undefined ? undefined : roleOf(principal);
      if (role === undefined) return refusal(command, "forbidden", `${sender} commands nothing`);
      const bytes = Buffer.byteLength(JSON.stringify(command));
      return gate.handle({ by: { principal: sender, role, transport: "nats" }, command, bytes, traceId, deadlineAtMs }); // D2
    });
    await gate.takeUp();
  });

/** Refusals that say nothing about the command: the same request may be sent again. */
const passing: readonly RefusalCode[] = ["unavailable", "no_run"];

const principalOf = (sender: string): Principal | undefined => principals.find((principal) => principal === sender);

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

  constructor(scope: ActorScope, own: GatePorts) {
    this.#scope = scope;
    this.#own = own;
    this.#outbox = createOutbox(scope.bus, own.runs, () => scope.clock.nowMs(), scope.log);
  }

  /** What was kept and not told before the actor ended. */
  takeUp(): Promise<void> {
    return this.#outbox.flush();
  }

  async handle(request: GateRequest): Promise<CommandReceipt> {
    const { runs, windows, control } = this.#own;
    const { clock, log } = this.#scope;
    const nowMs = clock.nowMs();
    const memory = { recall: (command: KasminaControlCommand) => runs.recall(command, nowMs), counted: windows.counted };
    const verdict = judgeRequest(request, memory, control, nowMs);
    const { by } = request;
    const kept = verdict.window === undefined || windows.count(loginOf(by), verdict.window, nowMs); // D3
    if (verdict.kind === "answered") {
      const { receipt } = verdict;
      if (receipt.kind === "refused") log.info("refused a command", { ...by, code: receipt.code, requestId: receipt.requestId });
      return receipt;
    }
    const { command } = verdict;
    if (!kept) return refusal(command, "rate", `more than ${control.loginsMax} logins send commands; try again in a minute`);
    const { access, answeredBy } = commandRules[command.kind];
    if (access === "read" && answeredBy === "kasmina") return this.#handOver({ by, command }, request);
    const review = await this.#scope.bus.request("control.warden.reviews", { by, command }, this.#until(request));
    if (review.kind !== "reply")
      return refusal(command, "unavailable", `the Warden gave no answer (${review.kind}): ${review.reason}`);
    const ruled = review.value;
    if (ruled.kind === "pass") return this.#handOver(ruled.admitted, request);
    const receipt = ruled.kind === "answer" ? ruled.receipt : await this.#release(ruled, command, request);
    if (access === "change" && !(ruled.kind === "answer" && ruled.again)) this.#keep({ by, command }, receipt, request);
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
    return receipt.kind === "done" && outcome.kind === "accepted"
      ? { ...receipt, detail: `${receipt.detail}: ${outcome.detail}, takes effect at window ${outcome.appliesAtEpoch}` }
      : receipt;
  }

  /** D6 */
  #keep({ by, command }: AdmittedCommand, receipt: CommandReceipt, { traceId }: GateRequest): void {
    if (receipt.kind === "refused" && passing.includes(receipt.code)) return;
    const { runs } = this.#own;
    const told = { command, sender: by.principal, role: by.role, transport: by.transport, traceId, receipt };
    const outbox: OutboxMessage[] = [{ subject: "system.events.command", payload: told }];
    const nowMs = this.#scope.clock.nowMs();
    const origin = { role: by.role, transport: by.transport, traceId };
    // What waits for approval gets its own receipt once it has passed.
    if (receipt.kind === "done" || (receipt.kind === "refused" && commandRules[command.kind].answeredBy === "warden"))
      runs.recordCommand({ command, receipt, sender: by.principal, origin, pending: false, nowMs, outbox });
    else runs.tellCommand({ command, receipt, sender: by.principal, origin, nowMs, outbox });
    void this.#outbox.flush();
  }

  /** D4 */
  async #handOver(admitted: AdmittedCommand, request: GateRequest): Promise<CommandReceipt> {
    const outcome = await this.#scope.bus.request("control.kasmina.admitted", admitted, this.#until(request));
    if (outcome.kind === "reply") return outcome.value;
    return outcome.kind === "unavailable"
      ? refusal(admitted.command, "no_run", "no run is going on, or its actors are being restarted; try again in a moment")
      : refusal(admitted.command, "unavailable", `Kasmina gave no receipt (${outcome.kind}): ${outcome.reason}`);
  }

  /** D5 */
  #until({ deadlineAtMs, traceId }: GateRequest): SendOptions {
    const timeoutMs = this.#own.requestTimeoutMs;
    return { traceId, timeoutMs, ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }) };
  }
}
