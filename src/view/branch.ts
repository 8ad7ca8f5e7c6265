/** "Run again from here with another decision": from which checkpoint, and how a person would ask for it. */
import type { BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import type { FirstCommand } from "../contracts/command-steering.ts";
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

/** A checkpoint as the `start` command names it: relative to the node's data directory. */
export const resumeNameOf = (runId: string, { epoch }: Pick<ViewCheckpoint, "epoch">): string => `checkpoints/${runId}/${epoch}`;

/** What a person would have done instead. */
export type Instead =
  /** The seed, and its layer with it, is left alone. */
  | { readonly kind: "spare"; readonly target: string }
  | {
      readonly kind: "grow";
      readonly seedId: string;
      readonly toSite?: string | undefined;
      readonly blueprint?: BlueprintRequest | undefined;
    }
  | { readonly kind: "cull"; readonly seedId: string }
  | { readonly kind: "same" };

/** The other decision as commands of a start. */
export const firstCommandsFor = (instead: Instead, reason: string): readonly FirstCommand[] => {
  switch (instead.kind) {
    case "spare":
      return [{ kind: "pin", target: instead.target, reason }];
    case "grow": {
      const { seedId, toSite, blueprint } = instead;
      const where = toSite === undefined ? {} : { toSite };
      return [{ kind: "germinate", seedId, ...where, ...(blueprint === undefined ? {} : { blueprint }), reason }];
    }
    case "cull":
      return [{ kind: "cull", seedId: instead.seedId, reason }];
    case "same":
      return [];
  }
};

/** The decision that a branch is most likely about: the first to change anything after the checkpoint. What came before it stays as it was. */
export const decisionToChange = <T extends { readonly epoch: number; readonly outcome: string }>(
  decisions: readonly T[],
  checkpointEpoch: number,
): T | undefined =>
  decisions.find(({ epoch, outcome }) => epoch > checkpointEpoch && (outcome === "germinate" || outcome === "prune"));
