/** Configurations that a node offers to whoever starts a run on it: its own, and those that lie beside the program. Only runs: no services, no roles. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadConfig } from "../config/load.ts";
import { type EsperConfig, StartConfig } from "../contracts/config.ts";
import { isForgeOnly } from "../contracts/config-roles.ts";
import { InputError } from "../contracts/errors.ts";
import type { OfferedConfig } from "../contracts/offer.ts";

const filesMax = 64;
const aboutLinesMax = 6;

const partOf = (config: EsperConfig): StartConfig => {
  const { services: _services, logging: _logging, control: _control, roles: _roles, ...run } = config;
  return StartConfig.parse(run);
};

/** The comment that a configuration file opens with. */
const aboutOf = (text: string): string => {
  const lines = text.split("\n").slice(0, aboutLinesMax);
  const end = lines.findIndex((line) => !line.startsWith("#"));
  return lines
    .slice(0, end < 0 ? lines.length : end)
    .map((line) => line.replace(/^#\s?/, ""))
    .join(" ");
};

/** A file that is no configuration of a run, an experiment's for example, is not offered. */
const read = async (file: string, name: string): Promise<readonly OfferedConfig[]> => {
  try {
    const config = loadConfig({ file });
    if (isForgeOnly(config.roles)) return [];
    return [{ name: name.replace(/\.yaml$/, ""), about: aboutOf(await readFile(file, "utf8")), config: partOf(config) }];
  } catch (error) {
    if (error instanceof InputError) return [];
    throw error;
  }
};

export const packagedConfigs = fileURLToPath(new URL("../../configs", import.meta.url));

/** Tells whether a file was changed; undefined when it is gone. */
const stampOf = async (file: string): Promise<string | undefined> => {
  const found = await stat(file).catch(() => undefined);
  return found === undefined ? undefined : `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
};

interface Known {
  readonly stamp: string;
  readonly found: Promise<readonly OfferedConfig[]>;
}

/** Who asks again is told the same; a file is read again when it was changed. */
export const createOfferedConfigs = (own: EsperConfig, folder = packagedConfigs): (() => Promise<readonly OfferedConfig[]>) => {
  const ownOffer: OfferedConfig = { name: "this node's", about: "What this node was started with.", config: partOf(own) };
  let known: ReadonlyMap<string, Known> = new Map();
  const offered = async (name: string): Promise<readonly [string, Known] | undefined> => {
    const file = join(folder, name);
    const stamp = await stampOf(file);
    if (stamp === undefined) return undefined;
    const before = known.get(name);
    return [name, before?.stamp === stamp ? before : { stamp, found: read(file, name) }];
  };
  return async () => {
    const names = await readdir(folder).catch(() => []);
    const files = names
      .filter((name) => name.endsWith(".yaml"))
      .toSorted()
      .slice(0, filesMax);
    const now = new Map((await Promise.all(files.map(offered))).filter((each) => each !== undefined));
    known = now;
    try {
      return [ownOffer, ...(await Promise.all([...now.values()].map(({ found }) => found))).flat()];
    } catch (error) {
      known = new Map(); // What could not be read is tried again.
      throw error;
    }
  };
};
