/**
 * The folder of an experiment: results.jsonl with a line for each finished job, and the hosts that other jobs start from.
 *
 * O1 A line is appended when its job is finished, and synced; a line that a crash cut off is taken away when the folder is opened again.
 * O2 The last line of a key wins; a failed job counts as not done.
 */
import { join } from "node:path";
import { DataError, describeError, InputError } from "../contracts/errors.ts";
import { JobResult } from "../contracts/experiment.ts";
import { Host } from "../contracts/graph.ts";
import type { FileSystem } from "../store/file-system.ts";

export interface ResultFolder {
  readonly results: ReadonlyMap<string, JobResult>;
  append(result: JobResult): Promise<void>;
  saveHost(key: string, host: Host): Promise<void>;
  /** Undefined when there is none. @throws DataError when it is damaged. */
  loadHost(key: string): Promise<Host | undefined>;
  /** Writes a file of the folder anew, for example the report: whoever reads it finds the old one or the new one whole. */
  write(name: string, text: string): Promise<string>;
}

const resultsBytesMax = 1_073_741_824;

const makeFolders = async (files: FileSystem, folder: string): Promise<void> => {
  const parts = folder.split("/");
  for (let length = 1; length <= parts.length; length += 1) {
    const path = parts.slice(0, length).join("/");
    if (path !== "" && path !== "." && path !== ".." && (await files.stat(path)) === undefined) await files.makeFolder(path);
  }
};

const parseLine = (text: string, number: number, file: string): JobResult => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(
      `${file} line ${number}: expected JSON, found: ${describeError(error)}; take the line out, or name another folder`,
      {
        file,
      },
    );
  }
  const parsed = JobResult.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DataError(
    `${file} line ${number}: expected a job's result, found ${issue?.path.join(".")}: ${issue?.message}; take the line out, or name another folder`,
    { file },
  );
};

/** O1. Complete lines, and the length of the file up to the last of them. */
const readLines = async (
  files: FileSystem,
  file: string,
): Promise<{ readonly lines: readonly string[]; readonly bytes: number }> => {
  const stat = await files.stat(file);
  if (stat === undefined) return { lines: [], bytes: 0 };
  if (stat.bytes > resultsBytesMax) {
    throw new DataError(`${file}: expected at most ${resultsBytesMax} bytes, found ${stat.bytes}; name another folder`, { file });
  }
  const text = Buffer.from(await files.read(file)).toString("utf8");
  const end = text.lastIndexOf("\n") + 1;
  const bytes = Buffer.byteLength(text.slice(0, end));
  if (end < text.length) {
    await files.truncate(file, bytes);
    await files.sync(file);
  }
  return {
    lines: text
      .slice(0, end)
      .split("\n")
      .filter((line) => line !== ""),
    bytes,
  };
};

/** @throws InputError when the folder holds results and `resume` is false. */
export const openResultFolder = async (files: FileSystem, folder: string, resume: boolean): Promise<ResultFolder> => {
  await makeFolders(files, folder);
  await makeFolders(files, join(folder, "hosts"));
  const file = join(folder, "results.jsonl");
  const { lines, bytes } = await readLines(files, file);
  if (bytes > 0 && !resume) {
    throw new InputError(
      `expected an empty folder, found ${lines.length} results in ${folder}; go on from them with --resume, or name another folder with --out`,
      { file: folder },
    );
  }
  const results = new Map<string, JobResult>();
  for (const [index, line] of lines.entries()) {
    const result = parseLine(line, index + 1, file);
    if (result.outcome === "done")
      results.set(result.key, result); // O2
    else results.delete(result.key);
  }
  const hostFile = (key: string): string => join(folder, "hosts", `${key}.json`);
  return {
    results,
    append: async (result) => {
      await files.append(file, Buffer.from(`${JSON.stringify(result)}\n`));
      await files.sync(file);
      results.set(result.key, result);
    },
    saveHost: async (key, host) => {
      const path = hostFile(key);
      await files.write(`${path}.part`, Buffer.from(JSON.stringify(host)));
      await files.sync(`${path}.part`);
      await files.rename(`${path}.part`, path);
    },
    loadHost: async (key) => {
      const path = hostFile(key);
      if ((await files.stat(path)) === undefined) return undefined;
      try {
        return Host.parse(JSON.parse(Buffer.from(await files.read(path)).toString("utf8")));
      } catch (error) {
        throw new DataError(
          `${path}: expected a host, found: ${describeError(error)}; remove the file and run again with --resume`,
          {
            file: path,
          },
        );
      }
    },
    write: async (name, text) => {
      const path = join(folder, name);
      await files.write(`${path}.part`, Buffer.from(text));
      await files.sync(`${path}.part`);
      await files.rename(`${path}.part`, path);
      return path;
    },
  };
};
