/** The text of nats-server.conf for the server that the node starts itself: one user for each principal, on loopback unless told else. Pure. */
import type { Principal } from "../contracts/subjects.ts";
import { type Permissions, permissionsOf, type SubjectRule } from "./permissions.ts";

export interface Credential {
  readonly user: string;
  readonly password: string;
}

export type Credentials = Readonly<Record<Principal, Credential>>;

export interface ServerConfigOptions {
  readonly serverName: string;
  /** Address to listen on. */
  readonly host: string;
  /** TCP port there; -1 lets the server choose. */
  readonly port: number;
  /** Folder for the `…_<pid>.ports` file that tells the port. */
  readonly portsFolder: string;
  readonly storeFolder: string;
  readonly logFile: string;
  readonly memoryBytesMax: number;
  readonly storageBytesMax: number;
  readonly payloadBytesMax: number;
  readonly credentials: Credentials;
}

/** nats-server itself refuses larger messages. */
const serverPayloadBytesMax = 67_108_864;
/** Room for the headers of a message whose body is at the bound. */
export const headerBytesMax = 4_096;

const list = (subjects: readonly string[]): string => `[${subjects.map((subject) => JSON.stringify(subject)).join(", ")}]`;

// The server reads an empty allow-list as "everything".
const rule = ({ allow, deny }: SubjectRule): string =>
  allow.length === 0 ? `{ deny: [">"] }` : `{ allow: ${list(allow)}${deny.length > 0 ? `, deny: ${list(deny)}` : ""} }`;

const permissions = (p: Permissions): string =>
  `{ publish: ${rule(p.publish)}, subscribe: ${rule(p.subscribe)}, allow_responses: { max: ${p.responses.max}, expires: "${p.responses.expiresSeconds}s" } }`;

/** Strings are JSON: its escapes are those of the server's configuration language. Keep the result in a 0600 file: it holds passwords. */
export const serverConfigText = (options: ServerConfigOptions): string => {
  const principals = Object.keys(options.credentials) as Principal[];
  const payloadBytesMax = Math.min(serverPayloadBytesMax, options.payloadBytesMax + headerBytesMax);
  const users = principals.map((principal) => {
    const { user, password } = options.credentials[principal];
    const granted = permissions(permissionsOf(principal, principals));
    return `    { user: ${JSON.stringify(user)}, password: ${JSON.stringify(password)}, permissions: ${granted} }`;
  });
  return `# Written by esper at every start. Holds passwords: keep it private.
host: ${JSON.stringify(options.host)}
port: ${options.port}
server_name: ${JSON.stringify(options.serverName)}
log_file: ${JSON.stringify(options.logFile)}
ports_file_dir: ${JSON.stringify(options.portsFolder)}
max_payload: ${payloadBytesMax}
max_pending: ${Math.max(67_108_864, 4 * payloadBytesMax)}
write_deadline: "10s"
jetstream {
  store_dir: ${JSON.stringify(options.storeFolder)}
  max_memory_store: ${options.memoryBytesMax}
  max_file_store: ${options.storageBytesMax}
}
authorization {
  timeout: 5
  users: [
${users.join(",\n")}
  ]
}
`;
};
