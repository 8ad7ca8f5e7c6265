/** The configuration reference in the README, written from the schema. */
import { configKeys, environmentName } from "./keys.ts";

export const referenceBegin = "<!-- config:begin -->";
export const referenceEnd = "<!-- config:end -->";

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** A markdown table: a row for every key that holds a value. */
export const configReference = (): string => {
  const rows = configKeys.keys
    .filter((key) => !key.group)
    .map((key) => {
      const fallback = key.fallback === undefined ? "none" : `\`${JSON.stringify(key.fallback)}\``;
      const only = key.onlyWith === undefined ? "" : `Only with \`${key.onlyWith}\`. `;
      return `| \`${key.path.join(".")}\` | ${cell(key.expected)} | ${cell(fallback)} | ${cell(only + key.description)} |`;
    });
  const example = environmentName(["optimization", "epochSteps"]);
  return [
    `A key can also be set in the environment: \`optimization.epochSteps\` is \`${example}\`.`,
    "",
    "| key | value | default | what it does |",
    "|---|---|---|---|",
    ...rows,
  ].join("\n");
};

/** Puts the reference between its markers. Returns undefined when the text lacks them. */
export const withReference = (text: string): string | undefined => {
  const begin = text.indexOf(referenceBegin);
  const end = text.indexOf(referenceEnd);
  if (begin < 0 || end < begin) return undefined;
  return `${text.slice(0, begin + referenceBegin.length)}\n${configReference()}\n${text.slice(end)}`;
};
