/** bench/RESULTS.md: each bench writes its own part, between markers, and leaves the others alone. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(new URL("RESULTS.md", import.meta.url));

const begin = (part: string): string => `<!-- ${part}: begin -->`;
const end = (part: string): string => `<!-- ${part}: end -->`;

/** The text with a part replaced, or added at its end. Pure. */
export const withPart = (text: string, part: string, content: string): string => {
  const block = `${begin(part)}\n\n${content.trim()}\n\n${end(part)}`;
  const [from, to] = [text.indexOf(begin(part)), text.indexOf(end(part))];
  if (from < 0 || to < from) return `${text.trimEnd()}\n\n${block}\n`;
  return `${text.slice(0, from)}${block}${text.slice(to + end(part).length)}`;
};

export const writePart = (part: string, content: string): void => {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "# Results\n";
  writeFileSync(file, withPart(text, part, content));
};
