/**
 * The errors that a person may see. Each says what was expected, what came and what to do next, and carries the place:
 * a config path, a subject or a file. An outcome that a caller handles is a union, not an error.
 */

export interface ErrorPlace {
  readonly path?: string;
  readonly subject?: string;
  readonly file?: string;
}

export abstract class EsperError extends Error {
  /** Stable name for machines, for example in a refusal or a log line. */
  abstract readonly code: string;
  /** The exit code of the command line when this error ends it. */
  abstract readonly exitCode: number;
  readonly place: ErrorPlace;

  constructor(message: string, place: ErrorPlace = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.place = place;
  }
}

/** Wrong input from a person: config, arguments, names. */
export class InputError extends EsperError {
  readonly code = "input";
  readonly exitCode = 2;
}

/** A message or asset that does not fit its schema. */
export class ContractError extends EsperError {
  readonly code = "contract";
  readonly exitCode = 3;
}

/** A file that is missing, truncated or not what its hash says. */
export class DataError extends EsperError {
  readonly code = "data";
  readonly exitCode = 4;
}

/** A service that this node needs: NATS, the disk, the engine. */
export class ServiceError extends EsperError {
  readonly code = "service";
  readonly exitCode = 5;
}

/** Work that was given up because its time was over. */
export class DeadlineError extends EsperError {
  readonly code = "deadline";
  readonly exitCode = 5;
}

/** Training that cannot go on: non-finite loss, rollbacks used up. */
export class TrainingError extends EsperError {
  readonly code = "training";
  readonly exitCode = 6;
}

/** A graph that is not well formed, or an operator that we lack. */
export class GraphError extends EsperError {
  readonly code = "graph";
  readonly exitCode = 2;
}

/** What a parser of JSON says, without the text that it quotes: that may hold a secret. */
const withoutQuote = (message: string): string =>
  message.replace(/(?:'.{1,2}', )?(?:\.\.\.)?".*"(?:\.\.\.)? is not valid/s, "in what is not valid");

/** The text of anything thrown, for a log or a reason. */
export const describeError = (error: unknown): string => {
  if (error instanceof SyntaxError) return withoutQuote(error.message);
  return error instanceof Error ? error.message : String(error);
};

/** What the system says of a file that cannot be used, without the path: for files whose name is not to be told. */
export const describeFileFault = (error: unknown): string => {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "an error";
  return code === "ENOENT" ? "ENOENT: there is no such file" : code;
};

/** What a schema says of one fault, without names that came: a key that is none may be a secret in the wrong place. */
export const describeFault = (issue: {
  readonly code?: string | undefined;
  readonly message: string;
  readonly keys?: readonly string[];
}): string =>
  issue.code === "unrecognized_keys" && issue.keys !== undefined
    ? `expected known keys alone, got ${issue.keys.length} that are none`
    : issue.message;
