/** The only file that imports the NATS client: opens connections, and says in our own words why one could not be opened. */
import { connect, ErrorCode, type Msg, type NatsConnection, NatsError } from "nats";
import { ServiceError } from "../contracts/errors.ts";
import { addressOf } from "../contracts/shown.ts";

export {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  headers,
  type JetStreamManager,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  nanos,
  RequestStrategy,
  RetentionPolicy,
  type Service,
  type ServiceMsg,
  StorageType,
  type StreamConfig,
} from "nats";

export interface ConnectionOptions {
  readonly url: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Shown in the server's own lists. */
  readonly name: string;
  readonly inboxPrefix: string;
  readonly connectMsMax: number;
  /** Attempts after a loss, one each `reconnectWaitMs`, before the connection is given up. */
  readonly reconnectAttemptsMax: number;
  readonly reconnectWaitMs: number;
}

export type ClientFailure = "timeout" | "no_responders" | "denied" | "other";

export const clientFailure = (error: unknown): ClientFailure => {
  if (!(error instanceof NatsError)) return "other";
  if (error.code === ErrorCode.NoResponders) return "no_responders";
  if (error.code === ErrorCode.Timeout) return "timeout";
  return error.code === ErrorCode.PermissionsViolation ? "denied" : "other";
};

const authCodes: readonly string[] = [
  ErrorCode.AuthorizationViolation,
  ErrorCode.BadAuthentication,
  ErrorCode.AuthenticationTimeout,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AccountExpired,
];

/** The address alone: a URL may hold a user and a password, and one that cannot be read may be a password. */
export const publicUrl = (url: string): string => addressOf(url) ?? "the address of services.nats.url";

/** Without the client's own words: they quote the URL. */
const describeFailure = (error: unknown): string =>
  error instanceof NatsError && error.code !== "" ? error.code : "the client gave no code";

/** Why a connection ended. */
export const lossOf = (error: unknown): string => (error instanceof Error ? describeFailure(error) : "closed");

/** @throws ServiceError: the server cannot be reached, refuses the password, or lacks JetStream */
export const openConnection = async (options: ConnectionOptions): Promise<NatsConnection> => {
  const url = publicUrl(options.url);
  let connection: NatsConnection;
  try {
    connection = await connect({
      servers: options.url,
      ...(options.user === undefined ? {} : { user: options.user }),
      ...(options.password === undefined ? {} : { pass: options.password }),
      name: options.name,
      inboxPrefix: options.inboxPrefix,
      timeout: options.connectMsMax,
      maxReconnectAttempts: options.reconnectAttemptsMax,
      reconnectTimeWait: options.reconnectWaitMs,
      reconnectJitter: Math.ceil(options.reconnectWaitMs / 2),
      noAsyncTraces: true,
    });
  } catch (error) {
    const code = error instanceof NatsError ? error.code : "";
    if (authCodes.includes(code))
      throw new ServiceError(
        `expected the NATS server at ${url} to accept ${options.user === undefined ? "a connection without a user" : "the user that it was given"}, it refused the user or the password. Check \`services.nats.user\` and the first line of \`services.nats.passwordFile\`, or the operator file.`,
        { path: "services.nats" },
      );
    throw new ServiceError(
      `expected a NATS server at ${url}, it could not be reached (${describeFailure(error)}). Check that it runs and that \`services.nats.url\` is right.`,
      { path: "services.nats.url" },
    );
  }
  if (connection.info?.jetstream !== true) {
    await connection.close();
    throw new ServiceError(
      `expected JetStream at the NATS server ${url}, it is off. Start that server with JetStream (\`nats-server -js\`).`,
      {
        path: "services.nats.url",
      },
    );
  }
  return connection;
};

/** Undefined as well where the sender's headers are no headers: the client reads them late, and throws. */
export const headerOf = (message: Pick<Msg, "headers">, name: string): string | undefined => {
  try {
    return message.headers?.get(name);
  } catch {
    return undefined;
  }
};

/** The code of a service error that stands in an answer's headers; undefined when the answer is one. */
export const answerFailure = (message: Msg): { readonly code: number; readonly reason: string } | undefined => {
  const code = message.headers?.get("Nats-Service-Error-Code");
  if (!code) return undefined;
  return { code: Number(code), reason: message.headers?.get("Nats-Service-Error") ?? "" };
};
