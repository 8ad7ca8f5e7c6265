/** Subjects, and who may command what, as tables for the README, written from the tables that the program runs on. */
import { commandKinds, commandRules, personRoles, roles } from "../contracts/roles.ts";
import { type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";

interface Section {
  readonly begin: string;
  readonly end: string;
  readonly text: () => string;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const code = (text: string): string => `\`${text}\``;
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), `|${head.map(() => "---|").join("")}`, ...rows.map(row)].join("\n");

/** Everybody who may look is one word. */
const names = (principals: readonly string[]): string => {
  const people = personRoles.filter((role) => principals.includes(role));
  const shown =
    people.length === personRoles.length ? ["every role"] : people.length === 4 ? ["every role but anonymous"] : people;
  return [...principals.filter((name) => !people.some((role) => role === name)), ...shown].join(", ") || "nobody";
};

const subjectRow = (name: SubjectName): string[] => {
  const subject = subjects[name];
  const way = "stream" in subject ? `stream ${subject.stream}` : "reply" in subject ? "request" : "live";
  const sent = "vouched" in subject ? `${code(`${name}.<login>`)}` : code(name);
  return [sent, names(subject.publishers), names(subject.listeners), way, subject.about];
};

/** Every subject with who publishes, who listens, how it is kept and what it is for. */
export const subjectReference = (): string =>
  table(["subject", "who publishes", "who listens", "kept", "what it is for"], subjectNames.map(subjectRow));

/** Every command with who answers it and who may send it. */
export const commandReference = (): string =>
  table(
    ["command", "kind", "answered by", ...roles],
    commandKinds.map((kind) => {
      const { access, answeredBy, roles: may } = commandRules[kind];
      return [code(kind), access, answeredBy, ...roles.map((role) => (may.includes(role) ? "yes" : ""))];
    }),
  );

const sections: readonly Section[] = [
  { begin: "<!-- subjects:begin -->", end: "<!-- subjects:end -->", text: subjectReference },
  { begin: "<!-- commands:begin -->", end: "<!-- commands:end -->", text: commandReference },
];

/** Puts both tables between their markers. Returns the markers that the text lacks when it does. */
export const withTables = (
  text: string,
): { readonly kind: "written"; readonly text: string } | { readonly kind: "missing"; readonly markers: readonly string[] } => {
  const missing = sections.flatMap(({ begin, end }) =>
    text.indexOf(begin) >= 0 && text.indexOf(end) > text.indexOf(begin) ? [] : [begin, end],
  );
  if (missing.length > 0) return { kind: "missing", markers: missing };
  let next = text;
  for (const { begin, end, text: written } of sections)
    next = `${next.slice(0, next.indexOf(begin) + begin.length)}\n${written()}\n${next.slice(next.indexOf(end))}`;
  return { kind: "written", text: next };
};
