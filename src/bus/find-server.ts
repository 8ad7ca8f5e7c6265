/** Finds a nats-server that is new enough, or says exactly what is wrong with each place that was looked at. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { Processes } from "./server-process.ts";

/** 2.9 is the first with JetStream's per-consumer create subjects. */
export const serverVersionMin = [2, 9, 0] as const;

export interface FindOptions {
  /** The configured path; when given, no other place is looked at. */
  readonly binary?: string | undefined;
  /** Folders that set-up installs into, for example `<project>/.esper/bin` and the user's cache folder. */
  readonly folders: readonly string[];
  readonly processes: Processes;
}

export interface FoundServer {
  readonly path: string;
  readonly version: string;
}

const versionTimeoutMs = 10_000;
const advice = "Run `npm run setup`, install the package nats-server, or set `services.nats.binary` to its path.";

type Check =
  | { readonly kind: "found"; readonly server: FoundServer }
  | { readonly kind: "absent" }
  | { readonly kind: "unfit"; readonly reason: string };

const newEnough = (version: readonly number[]): boolean => {
  for (const [i, least] of serverVersionMin.entries()) {
    const part = version[i] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
};

const check = async (path: string, processes: Processes): Promise<Check> => {
  const file = await stat(path).catch(() => undefined);
  if (!file) return { kind: "absent" };
  if (!file.isFile()) return { kind: "unfit", reason: `${path}: expected a program, found a folder or a special file` };
  const executable = await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!executable) return { kind: "unfit", reason: `${path}: not executable. Run \`chmod +x ${path}\`` };
  let output: string;
  try {
    ({ output } = await processes.run(path, ["--version"], versionTimeoutMs));
  } catch (error) {
    return { kind: "unfit", reason: `${path}: could not be run (${describeError(error)}). Is it built for this machine?` };
  }
  const match = /nats-server: v(\d+)\.(\d+)\.(\d+)(\S*)/.exec(output);
  if (!match)
    return {
      kind: "unfit",
      reason: `${path}: expected "nats-server: v2.…", it said ${JSON.stringify(output.trim().slice(0, 80))}`,
    };
  const version = `${match[1]}.${match[2]}.${match[3]}${match[4] ?? ""}`;
  if (!newEnough([Number(match[1]), Number(match[2]), Number(match[3])]))
    return {
      kind: "unfit",
      reason: `${path}: too old: expected nats-server ${serverVersionMin.join(".")} or newer, found ${version}`,
    };
  return { kind: "found", server: { path, version } };
};

/**
 * The first fit nats-server of: the configured path alone, else PATH, else the set-up folders.
 * @throws ServiceError that names every place and what was wrong there
 */
export const findNatsServer = async ({ binary, folders, processes }: FindOptions): Promise<FoundServer> => {
  if (binary !== undefined) {
    const result = await check(binary, processes);
    if (result.kind === "found") return result.server;
    const reason = result.kind === "absent" ? `${binary}: no such file` : result.reason;
    throw new ServiceError(
      `expected a nats-server at the configured path; ${reason}. Correct or remove \`services.nats.binary\`.`,
      {
        path: "services.nats.binary",
        file: binary,
      },
    );
  }
  const name = "nats-server";
  const candidates = [...processes.searchPath.split(delimiter), ...folders]
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name));
  const unfit: string[] = [];
  for (const candidate of new Set(candidates)) {
    const result = await check(candidate, processes);
    if (result.kind === "found") return result.server;
    if (result.kind === "unfit") unfit.push(result.reason);
  }
  const found =
    unfit.length > 0 ? `found only ${unfit.join("; ")}` : `looked on PATH and in ${folders.join(", ") || "no other folder"}`;
  throw new ServiceError(`expected nats-server ${serverVersionMin.join(".")} or newer, ${found}. ${advice}`);
};
