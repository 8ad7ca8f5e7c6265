/** The README's commands and snippets, and how they are typed. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = await readFile(join(root, "README.md"), "utf8");

const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(([, block]) => block!.trim());

export const commands: readonly string[] = blocks("sh").flatMap((block) => block.split("\n"));
export const snippets: readonly string[] = blocks("js");

export interface Ended {
  readonly code: number;
  readonly output: string;
}

export const children = new Set<ChildProcess>();

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** The first text of the output that fits; rejects when the process ends without it. */
  said(pattern: RegExp): Promise<string>;
}

/** Runs a line in `folder`. `esper` stands for the built command line, as the README says. */
export const start = (line: string, folder: string): Started => {
  const [name, ...args] = line.split(" ");
  if (name !== "esper" && name !== "node") throw new Error(`expected a line that begins with esper or node, got ${line}`);
  const child = spawn(process.execPath, name === "esper" ? [join(root, "dist/main.js"), ...args] : args, {
    cwd: folder,
    env: { ...process.env, NO_COLOR: "1" },
  });
  children.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<Ended>((resolve) =>
    child.on("exit", (code) => {
      children.delete(child);
      resolve({ code: code ?? -1, output });
    }),
  );
  const said = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const [found] = pattern.exec(output) ?? [];
        if (found !== undefined) resolve(found);
      };
      for (const stream of [child.stdout, child.stderr]) stream.on("data", look);
      void ended.then(() => reject(new Error(`expected ${pattern}, got ${output}`)));
      look();
    });
  return { child, ended, said };
};

export const run = (line: string, folder: string): Promise<Ended> =>
  line.startsWith("curl ") ? fetchAs(line) : start(line, folder).ended;

/** What `curl -s` of this line would ask, asked by Node itself: a machine may have no curl. The code is 0 where a server answered without an error. */
const fetchAs = async (line: string): Promise<Ended> => {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain ?? "",
  );
  const headers: [string, string][] = [];
  let url = "";
  let body: string | undefined;
  for (let at = 1; at < words.length; at += 1) {
    const word = words[at]!;
    if (word === "-s") continue;
    if (word === "-H") {
      const [name, ...value] = words[++at]!.split(": ");
      headers.push([name!, value.join(": ")]);
    } else if (word === "-d") body = words[++at]!;
    else url = word;
  }
  const answer = await fetch(url, { headers, ...(body === undefined ? {} : { method: "POST", body }) });
  return { code: answer.ok ? 0 : answer.status, output: await answer.text() };
};

/** Points on the arms of a spiral, as the example has them: a problem that a layer of one unit cannot pass on. */
export const spiral = (samples: number, arms: number): { readonly x: number[][]; readonly y: number[] } => {
  const points = Array.from({ length: samples }, (_, i) => {
    const [arm, radius] = [i % arms, Math.sqrt(i / samples)];
    const angle = 2.5 * radius + (2 * Math.PI * arm) / arms;
    return { at: [2 * radius * Math.cos(angle), 2 * radius * Math.sin(angle)], arm };
  });
  return { x: points.map(({ at }) => at), y: points.map(({ arm }) => arm) };
};

/** A table whose last column follows from the others, and a text of a few words: what a person would bring. */
export const ownTable = (rows: number): string => {
  const lines = Array.from({ length: rows }, (_, i) => {
    const [a, b] = [Math.sin(1.7 * i), Math.cos(2.3 * i)];
    return `${a.toFixed(4)},${b.toFixed(4)},${i % 2 === 0 ? "red" : "blue"},${(2 * a * b + (i % 2)).toFixed(4)}`;
  });
  return ["size,sun,soil,price", ...lines, ""].join("\n");
};

export const ownText = (words: number): string =>
  Array.from({ length: words }, (_, i) => ["the", "quick", "brown", "fox", "jumps"][(i * i + (i >> 3)) % 5]).join(" ");
