/** Asking a running node over NATS, as its operator. */
import { type BusPorts, connectOperator } from "../bus/create.ts";
import { type CommandReceipt, KasminaControlCommand } from "../contracts/commands.ts";
import { ContractError, InputError, ServiceError } from "../contracts/errors.ts";
import { silentLog } from "../contracts/ports.ts";
import type { CliContext } from "./context.ts";

export type CommandFields = Readonly<Record<string, unknown>> & { readonly kind: KasminaControlCommand["kind"] };

/** Fills in a request id and checks the command. Throws InputError that names the field. */
export const buildCommand = (fields: CommandFields, newId: () => string): KasminaControlCommand => {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const parsed = KasminaControlCommand.safeParse({ requestId: newId(), ...given });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const name = issue?.path.join(".") || fields.kind;
  throw new InputError(`${name}: ${issue?.message ?? "does not fit"}; see \`esper ctl ${fields.kind} --help\``);
};

/**
 * Sends a command to the node whose data directory or connection file is named.
 * Throws ServiceError when no node answers, ContractError when it does not understand.
 */
export const sendCommand = async (
  context: CliContext,
  path: string,
  command: KasminaControlCommand,
  requestTimeoutMs: number,
): Promise<CommandReceipt> => {
  const ports: BusPorts = { clock: context.clock, entropy: context.entropy, log: silentLog };
  const bus = await connectOperator(path, ports, { requestTimeoutMs });
  try {
    const outcome = await bus.request("control.kasmina.commands", command);
    switch (outcome.kind) {
      case "reply":
        return outcome.value;
      case "invalid":
        throw new ContractError(
          `expected a command and a receipt that both sides know, got ${outcome.reason}; do node and command have the same version?`,
        );
      case "timeout":
      case "unavailable":
      case "denied":
        throw new ServiceError(
          `expected an answer of the node within ${requestTimeoutMs} ms, got ${outcome.kind}: ${outcome.reason}; is a run going on there? Its log is in the data directory under logs/`,
        );
    }
  } finally {
    await bus.close();
  }
};
