import { type ArtifactFault, ArtifactIndex } from "../../src/contracts/artifact.ts";
import type { Database } from "../../src/store/database.ts";
import { encodeJson } from "../../src/store/json.ts";
import { kernelKeyHash } from "../../src/store/library.ts";
import { dataPaths } from "../../src/store/paths.ts";
import { ArtifactError } from "../../src/store/provenance.ts";
import { createSimulatedClock, type SimulatedClock } from "../support/clock.ts";
import { createSimulatedDisk, type SimulatedDisk } from "../support/simulated-disk.ts";
import { kernel, kernelKey, type TestArtifacts, type TestArtifactsOptions, temporaryDatabase } from "./support.ts";

export const paths = dataPaths("/data");
export const dayMs = 86_400_000;

export interface World extends TestArtifactsOptions {
  readonly fileSystem: SimulatedDisk;
  readonly database: Database;
  readonly clock: SimulatedClock;
}
export const world = (over: Partial<TestArtifactsOptions> = {}): World => ({
  database: temporaryDatabase(":memory:"),
  clock: createSimulatedClock(),
  ...over,
  fileSystem: createSimulatedDisk(),
});

export const faultOf = async (work: () => unknown): Promise<ArtifactFault | undefined> => {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof ArtifactError) return error.fault;
    throw error;
  }
};

export const putKernel = ({ library }: Pick<TestArtifacts, "library">, seedId: string, parameters = 3, createdAtMs = 1_000) =>
  library.put({
    kind: "kernel",
    asset: kernel({ key: kernelKey(seedId), parameters }),
    inputs: [],
    source: "run r-1",
    producer: "tezzeret",
    createdAtMs,
  });
export const keyOf = (seedId: string): string => kernelKeyHash(kernelKey(seedId));
export const checkpoint = ({ checkpoints }: Pick<TestArtifacts, "checkpoints">, epoch: number, runId = "r-1") =>
  checkpoints.save({ runId, epoch, tensors: {}, state: { epoch } });

/** What is under a path, to be put back as it was then. */
export const copyOf = async (disk: SimulatedDisk, path: string): Promise<ReadonlyMap<string, Uint8Array>> => {
  const files = disk.files().map((file) => file.split(" ")[0]!);
  const inside = files.filter((file) => file === path || file.startsWith(`${path}/`));
  return new Map(await Promise.all(inside.map(async (file) => [file, await disk.read(file)] as const)));
};
export const putBack = (disk: SimulatedDisk, files: ReadonlyMap<string, Uint8Array>): void => {
  for (const [file, bytes] of files) disk.damage(file, () => bytes);
};

export const readIndexFile = async (disk: SimulatedDisk): Promise<ArtifactIndex> =>
  ArtifactIndex.parse(JSON.parse(Buffer.from(await disk.read(paths.artifacts.index)).toString()));
export const writeIndexFile = (disk: SimulatedDisk, index: ArtifactIndex): void =>
  disk.damage(paths.artifacts.index, () => Buffer.from(encodeJson(index, "index")));
