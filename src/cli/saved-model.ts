/** A trained model out of a checkpoint: its host, its parameters, and what the run's log tells of its seeds. */
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { FieldReport } from "../contracts/assets.ts";
import { CheckpointState } from "../contracts/checkpoint.ts";
import { DataError, InputError } from "../contracts/errors.ts";
import type { Tensor } from "../contracts/graph.ts";
import type { ExportRequest } from "../interchange/exported.ts";
import { lineageOf } from "../interchange/lineage.ts";
import { notedFingerprint, openLedgerReader } from "../node/ledger-audit.ts";
import { indexKey } from "../store/artifact-index.ts";
import type { ArtifactNames } from "../store/artifact-index-file.ts";
import { readIndex } from "../store/artifact-index-read.ts";
import { readCheckpoints } from "../store/checkpoint-reader.ts";
import { readEventLog } from "../store/event-log.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import { keyRing } from "../store/ledger-signature.ts";
import { dataPaths } from "../store/paths.ts";
import { SessionState } from "../workers/session-state.ts";
import type { GlobalOptions } from "./context.ts";

export interface SavedModelOptions extends GlobalOptions {
  readonly run?: string;
  readonly checkpoint?: string;
  readonly trust?: string;
}

export interface SavedModel extends ExportRequest {
  readonly runId: string;
  readonly epoch: number;
  readonly path: string;
  /** A seed was in trial when the checkpoint was written: it is not part of the model. */
  readonly trialSeedId: string | undefined;
}

/** The options that name a saved model. */
export const withSource = (command: Command): Command =>
  command
    .option("--run <id>", "the last checkpoint of that run")
    .option("--checkpoint <folder>", "a checkpoint's own folder")
    .option("--trust <fingerprint>", "take also what the node with this key signed (`ledger/fingerprint` there)", fingerprintOf);

const fingerprintOf = (text: string): string => {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError("expected 64 hexadecimal digits.");
};

/** What a person is told of it. */
export const aboutSaved = ({ runId, epoch, trialSeedId, lineage }: SavedModel): string[] => [
  `run ${runId} after window ${epoch}, ${lineage.seeds.length} seed${lineage.seeds.length === 1 ? "" : "s"} kept`,
  ...(trialSeedId === undefined ? [] : [`${trialSeedId} was in trial: it is left out`]),
];

const checkpointBytesMax = 4_294_967_296;
const headerBytesMax = 16_777_216;

/** Trials that the run's log tells of; none where the log is not at hand. */
const fieldReports = async (file: string, runId: string): Promise<readonly FieldReport[]> => {
  if ((await nodeFileSystem.stat(file)) === undefined) return [];
  const reports: FieldReport[] = [];
  for await (const { subject, payload } of readEventLog(nodeFileSystem, file)) {
    const parsed = subject === "innovation.field_reports" ? FieldReport.safeParse(payload) : undefined;
    if (parsed?.success && parsed.data.runId === runId) reports.push(parsed.data);
  }
  return reports;
};

/**
 * What the node's signed index names; undefined where there never was one. That it is past its end is no fault here: a node that was put
 * away still has its models. @throws ArtifactError when it was swapped or rolled back
 */
const signedNames = async (dataDir: string, fingerprint: string): Promise<ArtifactNames | undefined> => {
  const database = openLedgerReader(dataDir);
  try {
    const { artifacts } = dataPaths(dataDir);
    const index = await readIndex({ fileSystem: nodeFileSystem, paths: artifacts, ring: keyRing(fingerprint), database });
    if (index === undefined) return undefined;
    const byKey = new Map(index.entries.map(({ entry }) => [indexKey(entry.kind, entry.name), entry]));
    return { find: (kind, name) => byKey.get(indexKey(kind, name)) };
  } finally {
    database.close();
  }
};

/**
 * The last checkpoint of a run, held against the signed index, or the named one.
 * @throws InputError unless exactly one is asked for, DataError when it is damaged, ArtifactError when another stands in its place.
 */
export const loadSavedModel = async (options: SavedModelOptions): Promise<SavedModel> => {
  const { run, checkpoint, trust, dataDir = ".esper" } = options;
  if ((run === undefined) === (checkpoint === undefined)) {
    throw new InputError(
      "expected --run with the id of a run, or --checkpoint with a folder, got neither or both; esper status and the report name runs",
    );
  }
  const paths = dataPaths(resolve(dataDir));
  const own = await notedFingerprint(resolve(dataDir));
  if (own === undefined && trust === undefined) {
    throw new DataError(
      `expected the fingerprint of the node's key in ${paths.ledger.fingerprint}, found nothing there; name the node's data directory by --data-dir, or its key by --trust`,
      { file: paths.ledger.fingerprint },
    );
  }
  const index = own === undefined ? undefined : await signedNames(resolve(dataDir), own);
  const checkpoints = readCheckpoints({
    ...(index === undefined ? {} : { index }),
    fileSystem: nodeFileSystem,
    folder: paths.checkpoints,
    ring: keyRing(own ?? trust ?? "", trust === undefined ? [] : [trust]),
    fileBytesMax: checkpointBytesMax,
    headerBytesMax,
  });
  // A run's own folder asks for its last checkpoint, which the index knows.
  const place = checkpoint ?? ((await checkpoints.list(run!)).length === 0 ? undefined : join(paths.checkpoints, run!));
  if (place === undefined) {
    throw new InputError(
      `expected a run with a checkpoint in ${paths.checkpoints}, found none of ${run}; name its data directory by --data-dir`,
      {
        file: paths.checkpoints,
      },
    );
  }
  const { state, tensors, path, runId, epoch } = await checkpoints.load(place, CheckpointState);
  const session = SessionState.safeParse(state.session);
  if (!session.success) {
    throw new DataError(
      `checkpoint ${path}: expected a session's state, found: ${session.error.issues[0]?.message ?? "something else"}; use another checkpoint`,
      {
        file: path,
      },
    );
  }
  const { host, trial } = session.data;
  const parameters: Record<string, Tensor> = {};
  for (const { name } of host.graph.parameters) {
    const tensor = tensors[`host/${name}`];
    if (tensor === undefined)
      throw new DataError(`checkpoint ${path}: expected the tensor host/${name}, found none; use another checkpoint`, {
        file: path,
      });
    parameters[name] = tensor;
  }
  const source = state.config.model.name === "file" ? state.config.model.file : undefined;
  const lineage = lineageOf(host, parameters, { runId, source, fieldReports: await fieldReports(paths.eventLog(runId), runId) });
  return { host, parameters, lineage, runId, epoch, path, trialSeedId: trial?.seedId };
};
