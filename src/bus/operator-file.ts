/**
 * People's connections: where the node's NATS server is and how to log in, one for each role, in files that only the owner reads.
 *
 * `operator.json` is for `esper ctl`. `operator.context.json` has the form of a context of the `nats` command line: copy it to
 * `~/.config/nats/context/esper.json`, then `nats --context esper sub 'system.events.>'`. Without it:
 * `nats --server nats://USER:PASSWORD@HOST:PORT request control.kasmina.commands '{"requestId":"1","kind":"status"}'`.
 * The other roles' files are named for them, and they name themselves in the subject: `control.kasmina.commands.observer`.
 */
import { readFile, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { describeError, ServiceError } from "../contracts/errors.ts";
import { type PersonRole, personRoles } from "../contracts/roles.ts";
import { inboxPrefix } from "./permissions.ts";
import { writePrivateFile } from "./private-file.ts";

export const OperatorConnection = z.strictObject({
  url: z.string(),
  user: z.string().optional(),
  password: z.string().optional(),
  dataDir: z.string(),
  /** Where the node serves HTTP; left out where it does not. */
  http: z.string().optional(),
  /** The node's process. */
  pid: z.int().min(1),
  startedAtMs: z.number(),
});
export type OperatorConnection = z.infer<typeof OperatorConnection>;

const loginFile = (dataDir: string, role: PersonRole): string => resolve(dataDir, `${role}.json`);
const contextFile = (dataDir: string, role: PersonRole): string => resolve(dataDir, `${role}.context.json`);
export const operatorFile = (dataDir: string): string => loginFile(dataDir, "operator");

export const writeLoginFiles = async (connection: OperatorConnection, role: PersonRole): Promise<void> => {
  const { url, user = "", password = "", dataDir } = connection;
  const description = `Esper node at ${dataDir}, as ${role}`;
  const context = { description, url, user, password, inbox_prefix: inboxPrefix(role) };
  await writePrivateFile(contextFile(dataDir, role), `${JSON.stringify(context, null, 2)}\n`);
  await writePrivateFile(loginFile(dataDir, role), `${JSON.stringify(connection, null, 2)}\n`);
};

/** Adds to the files that are there where HTTP is served. */
export const tellHttpAddress = async (dataDir: string, http: string): Promise<void> => {
  for (const role of personRoles) {
    const connection = await readOperatorFile(loginFile(dataDir, role), role).catch(() => undefined);
    // To a server of somebody else there is the operator's login alone.
    if (connection !== undefined) await writeLoginFiles({ ...connection, http }, role);
  }
};

export const removeLoginFiles = async (dataDir: string): Promise<void> => {
  const files = personRoles.flatMap((role) => [loginFile(dataDir, role), contextFile(dataDir, role)]);
  await Promise.all(files.map((file) => rm(file, { force: true })));
};

/**
 * @param path the node's data directory, or the file itself
 * @param role whose file is read in a data directory
 * @throws ServiceError when there is none, or it is damaged
 */
export const readOperatorFile = async (path: string, role: PersonRole = "operator"): Promise<OperatorConnection> => {
  const folder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const file = folder ? join(path, `${role}.json`) : path;
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ServiceError(
      `expected the connection file of a running node at ${file}, it cannot be read (${describeError(error)}). Start a node with \`esper start\`, or name its data directory.`,
      { file },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = OperatorConnection.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ServiceError(
    `expected a connection file of a node at ${file}, it is damaged. Restart the node: it writes the file anew.`,
    { file },
  );
};
