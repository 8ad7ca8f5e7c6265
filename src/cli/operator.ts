/** Asking a running node over NATS, as its operator or in another role. */
import { type BusPorts, connectOperator } from "../bus/create.ts";
import { type CommandReceipt, KasminaControlCommand } from "../contracts/commands.ts";
import { ContractError, describeFault, InputError, ServiceError } from "../contracts/errors.ts";
import { silentLog } from "../contracts/ports.ts";
import type { PersonRole } from "../contracts/roles.ts";
import type { InputOf, ReplyOf, RequestSubject } from "../contracts/subjects.ts";
import type { CliContext } from "./context.ts";

export type CommandFields = Readonly<Record<string, unknown>> & { readonly kind: KasminaControlCommand["kind"] };

/** Fills in a request id and checks the command. Throws InputError that names the field. */
export const buildCommand = (fields: CommandFields, newId: () => string): KasminaControlCommand => {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const parsed = KasminaControlCommand.safeParse({ requestId: newId(), ...given });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const name = issue?.path.join(".") || fields.kind;
  throw new InputError(
    `${name}: ${issue === undefined ? "does not fit" : describeFault(issue)}; see \`esper ctl ${fields.kind} --help\``,
  );
};

export interface NodeAsked {
  /** The node's data directory or connection file. */
  readonly path: string;
  readonly timeoutMs: number;
  /** Whose login is used. */
  readonly role: PersonRole;
}

/** Asks once, on a connection that is open. */
export type NodeRequest = <S extends RequestSubject>(subject: S, payload: InputOf<S>) => Promise<ReplyOf<S>>;

/**
 * Opens a connection to a running node for as long as it is used.
 * Its requests throw ServiceError when no node answers or the role may not ask, ContractError when it does not understand.
 */
export const withNode = async <T>(
  context: CliContext,
  { path, timeoutMs, role }: NodeAsked,
  use: (request: NodeRequest) => Promise<T>,
): Promise<T> => {
  const ports: BusPorts = { clock: context.clock, entropy: context.entropy, log: silentLog };
  const bus = await connectOperator(path, ports, { requestTimeoutMs: timeoutMs, role });
  try {
    return await use(async (subject, payload) => {
      const outcome = await bus.request(subject, payload);
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
            `expected an answer of the node within ${timeoutMs} ms, got ${outcome.kind}: ${outcome.reason}; is a run going on there? Its log is in the data directory under logs/`,
          );
      }
    });
  } finally {
    await bus.close();
  }
};

/** Asks a running node once. Throws as `withNode` does. */
export const askNode = <S extends RequestSubject>(
  context: CliContext,
  node: NodeAsked,
  subject: S,
  payload: InputOf<S>,
): Promise<ReplyOf<S>> => withNode(context, node, (request) => request(subject, payload));

/** Sends a command. Throws as `askNode` does. */
export const sendCommand = (
  context: CliContext,
  path: string,
  command: KasminaControlCommand,
  timeoutMs: number,
  role: PersonRole = "operator",
): Promise<CommandReceipt> => askNode(context, { path, timeoutMs, role }, "control.kasmina.commands", command);
