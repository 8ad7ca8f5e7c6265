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

/** The text of anything thrown, for a log or a reason. */
export const describeError = (error: unknown): string => (error instanceof Error ? error.message : String(error));
