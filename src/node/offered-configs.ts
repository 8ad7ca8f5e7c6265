/** Configurations that a node offers to whoever starts a run on it: its own, and those that lie beside the program. Only runs: no services, no roles. */
import { readdir, readFile } from "node:fs/promises";
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
const offered = async (folder: string, name: string): Promise<readonly OfferedConfig[]> => {
  const file = join(folder, name);
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

export const offeredConfigs = async (own: EsperConfig, folder = packagedConfigs): Promise<readonly OfferedConfig[]> => {
  const names = await readdir(folder).catch(() => []);
  const files = names
    .filter((name) => name.endsWith(".yaml"))
    .toSorted()
    .slice(0, filesMax);
  const others = await Promise.all(files.map((name) => offered(folder, name)));
  return [{ name: "this node's", about: "What this node was started with.", config: partOf(own) }, ...others.flat()];
};
