/**
 * A text as character tokens: from each window of `contextLength` characters the next character is predicted at every place.
 *
 * X1 Training, validation and test windows come from three stretches of the text, in this order, that share no character: no target of one
 *    part is an input of another, and nothing of the end is ever trained on.
 */
import type { SampleBuffer } from "../contracts/dataset.ts";
import { DataError, InputError } from "../contracts/errors.ts";
import { checkBounds } from "./bounds.ts";
import type { DatasetLoader } from "./ports.ts";
import { readUnpacked, required } from "./read.ts";
import { testCount, validationCount } from "./split.ts";

/** @param stream True lets the last character be incomplete. */
const decodes = (bytes: Uint8Array, stream: boolean): boolean => {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream });
    return true;
  } catch {
    return false;
  }
};

const characterBytesMax = 4;

/** Where the first character begins that is not UTF-8. */
const firstInvalid = (bytes: Uint8Array): number => {
  // The longest beginning that may go on as UTF-8, found by halving; then back to the end of its last whole character.
  let [low, high] = [0, bytes.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (decodes(bytes.subarray(0, middle), true)) low = middle;
    else high = middle - 1;
  }
  const ends = Array.from({ length: characterBytesMax }, (_, back) => low - back);
  return ends.find((end) => end >= 0 && decodes(bytes.subarray(0, end), false)) ?? low;
};

/** The text of UTF-8 bytes; a byte order mark is left out. Throws DataError with the place of the first byte that is not UTF-8. */
export const decodeText = (bytes: Uint8Array, file: string): string => {
  if (decodes(bytes, false)) return new TextDecoder("utf-8").decode(bytes);
  const offset = firstInvalid(bytes);
  const found = bytes[offset]!.toString(16).padStart(2, "0");
  throw new DataError(`data file ${file}, byte ${offset}: expected UTF-8, found 0x${found}; save the file as UTF-8`, { file });
};

/** The characters (Unicode code points) of a text in order, and for each place of the text its number. */
export const tokenize = (text: string): { readonly vocabulary: readonly string[]; readonly tokens: Int32Array } => {
  const seen = new Set<string>();
  let length = 0;
  for (const character of text) {
    seen.add(character);
    length++;
  }
  const vocabulary = [...seen].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const ids = new Map(vocabulary.map((character, id) => [character, id]));
  const tokens = new Int32Array(length);
  let place = 0;
  for (const character of text) tokens[place++] = ids.get(character)!;
  return { vocabulary, tokens };
};

/** Windows of `length` tokens, one after the other, with the token that follows each place; what is left over at the end is dropped. */
const windowsOf = (tokens: Int32Array, length: number, countMax = Number.POSITIVE_INFINITY): SampleBuffer => {
  const count = Math.min(countMax, Math.floor((tokens.length - 1) / length));
  const inputs = new SharedArrayBuffer(4 * count * length);
  const targets = new SharedArrayBuffer(4 * count * length);
  new Int32Array(inputs).set(tokens.subarray(0, count * length));
  new Int32Array(targets).set(tokens.subarray(1, count * length + 1));
  return { count, inputs, targets };
};

export const loadText: DatasetLoader = async (config, ports) => {
  const file = required(config.file, "dataset.file", "the text file to learn from");
  const { contextLength, classesMax, trainSamplesMax } = config;
  const { vocabulary, tokens } = tokenize(decodeText(await readUnpacked(ports.files, file, config.fileBytesMax), file));
  if (vocabulary.length > classesMax) {
    throw new InputError(
      `data file ${file}: expected at most ${classesMax} different characters, found ${vocabulary.length}; raise dataset.classesMax`,
      { path: "dataset.classesMax", file },
    );
  }
  // A window and the character after its last one; each part needs one more than its windows hold.
  const windows = Math.floor((tokens.length - 3) / contextLength);
  if (windows < 3 || vocabulary.length < 2) {
    throw new InputError(
      `data file ${file}: expected at least ${3 * contextLength + 3} characters, of two kinds or more, for three windows of ${contextLength}, found ${tokens.length}; bring more text or lower dataset.contextLength`,
      { path: "dataset.contextLength", file },
    );
  }
  checkBounds(config, windows, 8 * contextLength);
  // X1: each stretch is as long as its windows and one character more.
  const testTokens = testCount(config, windows) * contextLength + 1;
  const rest = tokens.length - testTokens;
  const validationTokens = validationCount(config, Math.floor((rest - 2) / contextLength)) * contextLength + 1;
  const trainTokens = rest - validationTokens;
  return {
    source: file,
    notes: [`${tokens.length} characters of ${vocabulary.length} kinds, windows of ${contextLength}`],
    buffers: {
      name: config.name,
      kind: "tokens",
      task: "classification",
      inputShape: [contextLength],
      rows: contextLength,
      classes: vocabulary.length,
      mean: [],
      sd: [],
      vocabulary,
      augmentation: { cropPixels: 0, flip: false },
      train: windowsOf(tokens.subarray(0, trainTokens), contextLength, trainSamplesMax),
      validation: windowsOf(tokens.subarray(trainTokens, trainTokens + validationTokens), contextLength),
      test: windowsOf(tokens.subarray(trainTokens + validationTokens), contextLength),
    },
  };
};
