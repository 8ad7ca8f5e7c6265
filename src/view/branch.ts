/** "Run again from here with another decision": from which checkpoint, and how a person would ask for it. */
import type { ViewCheckpoint } from "../contracts/view.ts";

export interface Branch {
  readonly checkpoint: ViewCheckpoint;
  /** Windows between the checkpoint and the moment that was chosen: they are trained again. */
  readonly epochsBefore: number;
  /** The command line that does it. */
  readonly commandLine: string;
}

/** The newest checkpoint at or before a window; undefined when there is none. */
export const nearestCheckpoint = <T extends { readonly epoch: number }>(
  checkpoints: readonly T[],
  epoch: number,
): T | undefined =>
  checkpoints.reduce<T | undefined>(
    (best, each) => (each.epoch <= epoch && (best === undefined || each.epoch > best.epoch) ? each : best),
    undefined,
  );

/** One word for a POSIX shell, whatever is in it. */
export const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export const branchFrom = (checkpoints: readonly ViewCheckpoint[], epoch: number): Branch | undefined => {
  const checkpoint = nearestCheckpoint(checkpoints, epoch);
  if (checkpoint === undefined) return undefined;
  return {
    checkpoint,
    epochsBefore: epoch - checkpoint.epoch,
    commandLine: `esper train --resume ${shellWord(checkpoint.file)}`,
  };
};
