/**
 * The login of forges on other machines, in a file that only the owner reads: `forge.json` in the node's data directory.
 *
 * F1 The password is made once and stays, so that a copy of the file on another machine is good for the node's next start too. Deleting the
 *    password's file and starting the node again shuts every forge out.
 * F2 No error tells where a login or a password lies, or what is in it: what stands there may be the password itself, in the wrong key.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { NatsConfig } from "../contracts/config.ts";
import { describeError, describeFileFault, InputError, ServiceError } from "../contracts/errors.ts";
import type { Entropy } from "../contracts/ports.ts";
import type { RemoteLogin } from "../contracts/subjects.ts";
import { writePrivateFile } from "./private-file.ts";
import type { Credential } from "./server-config.ts";
import type { DeliveryLimits } from "./stream-admin.ts";

const login: RemoteLogin = "forge";

/** Files of other logins have the same first three fields, and more of their own. */
const LoginFile = z.object({
  url: z.string(),
  user: z.string().optional(),
  password: z.string().optional(),
  /** How the first node's server hands work over. */
  work: z.object({ ackWaitMs: z.int().min(1), deliveriesMax: z.int().min(1) }).optional(),
});
export type ExternalLogin = z.infer<typeof LoginFile>;

const passwordBytes = 24;

export const forgeFile = (dataDir: string): string => resolve(dataDir, "forge.json");

/** F1 */
export const keptForgeLogin = async (dataDir: string, entropy: Entropy): Promise<Credential> => {
  const file = join(resolve(dataDir), "forge", "password");
  const kept = await readFile(file, "utf8").catch(() => "");
  const found = kept.trim();
  if (/^[A-Za-z0-9_-]{16,}$/.test(found)) return { user: login, password: found };
  const password = entropy.token(passwordBytes);
  await writePrivateFile(file, `${password}\n`);
  return { user: login, password };
};

export const writeForgeFile = async (
  dataDir: string,
  { url, user, password }: Credential & { readonly url: string },
  work: DeliveryLimits["work"],
): Promise<void> => {
  const connection = { url, user, password, ...(work === undefined ? {} : { work }) };
  await writePrivateFile(forgeFile(dataDir), `${JSON.stringify(connection, null, 2)}\n`);
};

/** F2 */
const ofLength = (file: string): string => `a path of ${file.length} characters`;

const describeDamage = (error: unknown): string =>
  error instanceof z.ZodError
    ? error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")
    : describeError(error);

const readPassword = async (file: string): Promise<string> => {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new InputError(
      `expected the password of the NATS server in the first line of the file that services.nats.passwordFile names (${ofLength(file)}), it cannot be read (${describeFileFault(error)}).`,
      { path: "services.nats.passwordFile" }, // F2
    );
  });
  return text.split(/\r?\n/)[0] ?? "";
};

const readLoginFile = async (file: string): Promise<ExternalLogin> => {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new ServiceError(
      `expected the login to a node's bus in the file that services.nats.connection names (${ofLength(file)}), it cannot be read (${describeFileFault(error)}). Copy that node's forge.json, or name its address with services.nats.url.`,
      { path: "services.nats.connection" }, // F2
    );
  });
  try {
    return LoginFile.parse(JSON.parse(text));
  } catch (error) {
    throw new ServiceError(
      `expected the login to a node's bus in the file that services.nats.connection names (${ofLength(file)}), it is damaged (${describeDamage(error)}). Copy it again.`,
      { path: "services.nats.connection" }, // F2
    );
  }
};

/**
 * Address and login of a server that is already running. What the configuration says goes before what the file says.
 * @throws InputError for a password file that cannot be read, or when nothing names an address; ServiceError for a file that is missing or damaged
 */
export const externalLogin = async (config: Extract<NatsConfig, { mode: "external" }>): Promise<ExternalLogin> => {
  const found = config.connection === undefined ? undefined : await readLoginFile(config.connection);
  const url = config.url ?? found?.url;
  if (url === undefined)
    throw new InputError(
      "expected services.nats.url or services.nats.connection to tell where the NATS server is, found neither",
      {
        path: "services.nats.url",
      },
    );
  const user = config.user ?? found?.user;
  const password = config.passwordFile === undefined ? found?.password : await readPassword(config.passwordFile);
  return {
    url,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(found?.work === undefined ? {} : { work: found.work }),
  };
};
