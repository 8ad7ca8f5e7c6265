/**
 * What may be said of a value that came, in errors. The one rule:
 *
 * Q1 A text is told by its length. It is quoted only where its key is declared as shown (src/contracts/shown.ts).
 * Q2 A number is quoted where its key takes numbers and it has at most six characters: nobody's secret, and a person sees what is out of
 *    range. True, false and nothing are told as they are.
 * Q3 A list or a group is told by how many it holds; a name that is no key, by its length. The line in the file tells the place, and a known
 *    name that is near tells what was probably meant.
 * Q4 What a parser of YAML or JSON says is told by the kind of the fault and its place: its own words quote the text.
 */
import { YAMLParseError } from "yaml";
import { addressOf, type Shown } from "../contracts/shown.ts";

const quotedCharactersMax = 60;
const quotedDigitsMax = 6;

export interface Quoting {
  readonly shown?: Shown | undefined;
  /** Whether the key takes numbers. */
  readonly numeric?: boolean;
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

const cut = (text: string): string =>
  text.length > quotedCharactersMax ? `"${text.slice(0, quotedCharactersMax)}…"` : `"${text}"`;

/** A text by its length. */
export const describeText = (text: string): string => `a text of ${plural(text.length, "character")}`;

/** Q1 to Q3. */
export const describeCame = (value: unknown, { shown, numeric = false }: Quoting = {}): string => {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") {
    const text = String(value);
    return numeric && text.length <= quotedDigitsMax ? text : "a number"; // Q2
  }
  if (typeof value === "string") {
    const part = shown?.part === "address" ? addressOf(value) : value;
    return shown === undefined || part === undefined ? describeText(value) : cut(part); // Q1
  }
  if (Array.isArray(value)) return `a list of ${plural(value.length, "item")}`; // Q3
  return typeof value === "object" ? `a group of ${plural(Object.keys(value).length, "key")}` : `a ${typeof value}`;
};

/** Q3: ` of 7 characters`, behind what the name is of. */
export const ofCharacters = (name: string): string => ` of ${plural(name.length, "character")}`;

const faults: Readonly<Record<YAMLParseError["code"], string>> = {
  ALIAS_PROPS: "an alias with an anchor or a tag",
  BAD_ALIAS: "an alias without its anchor",
  BAD_COLLECTION_TYPE: "a tag that does not fit its group or list",
  BAD_DIRECTIVE: "a directive that is none",
  BAD_DQ_ESCAPE: "an escape that is none in a text between double quotes",
  BAD_INDENT: "a wrong indentation",
  BAD_PROP_ORDER: "an anchor or a tag in the wrong place",
  BAD_SCALAR_START: "a text that must stand between quotes",
  BLOCK_AS_IMPLICIT_KEY: "a nested key on the line of another; is a line break or a quote missing?",
  BLOCK_IN_FLOW: "an indented list or group inside { } or [ ]",
  DUPLICATE_KEY: "a key that stands twice",
  IMPOSSIBLE: "something else",
  KEY_OVER_1024_CHARS: "a key of more than 1024 characters",
  MISSING_CHAR: "a bracket, comma, colon or quote missing",
  MULTILINE_IMPLICIT_KEY: "a key over several lines; is a colon missing?",
  MULTIPLE_ANCHORS: "several anchors at one value",
  MULTIPLE_DOCS: "several documents in one file",
  MULTIPLE_TAGS: "several tags at one value",
  NON_STRING_KEY: "a key that is no text",
  RESOURCE_EXHAUSTION: "aliases that unfold to too much",
  TAB_AS_INDENT: "a tab as indentation",
  TAG_RESOLVE_FAILED: "a tag that is not known",
  UNEXPECTED_TOKEN: "something that may not stand there",
};

/** Q4 */
export const describeYamlFault = (error: unknown): string =>
  error instanceof YAMLParseError ? faults[error.code] : "an alias without its anchor, or aliases that unfold to too much";
