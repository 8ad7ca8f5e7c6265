/** bench/RESULTS.md, where each bench writes its own part, and the results of growth in README.md. Parts stand between markers; the rest is left alone. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const resultsFile = fileURLToPath(new URL("RESULTS.md", import.meta.url));
const readmeFile = fileURLToPath(new URL("../README.md", import.meta.url));

const begin = (part: string): string => `<!-- ${part}: begin -->`;
const end = (part: string): string => `<!-- ${part}: end -->`;

/** What stands in a part; undefined where the text has none. Pure. */
export const partOf = (text: string, part: string): string | undefined => {
  const [from, to] = [text.indexOf(begin(part)), text.indexOf(end(part))];
  return from < 0 || to < from ? undefined : text.slice(from + begin(part).length, to).trim();
};

/** The text with a part replaced, or added at its end. Pure. */
export const withPart = (text: string, part: string, content: string): string => {
  const block = `${begin(part)}\n\n${content.trim()}\n\n${end(part)}`;
  const [from, to] = [text.indexOf(begin(part)), text.indexOf(end(part))];
  if (from < 0 || to < from) return `${text.trimEnd()}\n\n${block}\n`;
  return `${text.slice(0, from)}${block}${text.slice(to + end(part).length)}`;
};

const headings = /^(?=## )/m;
const titleOf = (section: string): string => section.split("\n", 1)[0] ?? "";

/** A part's text with its sections of the same titles replaced, in their places, and the others added at its end. Pure. */
export const withSections = (content: string, sections: readonly string[]): string => {
  const [head = "", ...before] = content.split(headings);
  const left = new Map(sections.map((section) => [titleOf(section), section.trim()]));
  const kept = before.map((section) => {
    const title = titleOf(section);
    const replaced = left.get(title);
    left.delete(title);
    return replaced ?? section.trim();
  });
  return [head.trim(), ...kept, ...left.values()].filter((text) => text !== "").join("\n\n");
};

/** What a part of the results says now; empty where it is not there. */
export const readPart = (part: string): string =>
  existsSync(resultsFile) ? (partOf(readFileSync(resultsFile, "utf8"), part) ?? "") : "";

export const writePart = (part: string, content: string): void => {
  const text = existsSync(resultsFile) ? readFileSync(resultsFile, "utf8") : "# Results\n";
  writeFileSync(resultsFile, withPart(text, part, content));
};

/** Into README.md, which must have the part. */
export const writeReadmePart = (part: string, content: string): void => {
  const text = readFileSync(readmeFile, "utf8");
  if (partOf(text, part) === undefined) throw new Error(`${readmeFile}: expected ${begin(part)} and ${end(part)}, found none`);
  writeFileSync(readmeFile, withPart(text, part, content));
};
