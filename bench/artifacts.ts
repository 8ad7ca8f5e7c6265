/** What verifying costs when an artifact is loaded: the library's load beside the same load without signature. `tsx bench/artifacts.ts [--json]` */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlueprintIR, CompiledKernelArtifact, type KernelKey } from "../src/contracts/assets.ts";
import { EsperConfig } from "../src/contracts/config.ts";
import { silentLog } from "../src/contracts/ports.ts";
import { createEngine } from "../src/engine/engine.ts";
import { hostHash } from "../src/graph/hash.ts";
import { type DataShape, hostFor } from "../src/graph/hosts/index.ts";
import { openArtifacts } from "../src/node/artifacts.ts";
import { createSystemClock } from "../src/ports/system.ts";
import { readCheckpoints } from "../src/store/checkpoint-reader.ts";
import { readContent } from "../src/store/content-store.ts";
import { openDatabase } from "../src/store/database.ts";
import { generateSigningKey } from "../src/store/ed25519.ts";
import { nodeFileSystem } from "../src/store/file-system.ts";
import { anything, decodeJson } from "../src/store/json.ts";
import { createLedger } from "../src/store/ledger.ts";
import { keyRing, ledgerSigner } from "../src/store/ledger-signature.ts";
import { migrations } from "../src/store/migrations.ts";
import { dataPaths } from "../src/store/paths.ts";
import { compileKernel } from "../src/workers/session/forge.ts";
import { isMain, median, print, table } from "./support.ts";

/** One kind of artifact: its size, and the median time of a load. */
export interface LoadBench {
  readonly bytes: number;
  readonly plainMs: number;
  readonly verifiedMs: number;
  /** Time of the second over the first, the median of the rounds. */
  readonly ratio: number;
}

export interface ArtifactsBench {
  readonly blueprint: LoadBench;
  readonly kernel: LoadBench;
  readonly checkpoint: Pick<LoadBench, "bytes" | "verifiedMs"> & { readonly signatureMs: number; readonly share: number };
  /** A kernel stored: file, signature, row and index, all durable; and a change of the index alone, with so many names in it. */
  readonly putMs: number;
  readonly names: number;
  readonly indexMs: number;
}

const clock = createSystemClock();

/** Milliseconds of one call, over enough of them to be timed. */
const timed = async (calls: number, work: () => Promise<unknown>): Promise<number> => {
  const startMs = clock.monotonicMs();
  for (let i = 0; i < calls; i++) await work();
  return (clock.monotonicMs() - startMs) / calls;
};

/** In turn, so that both meet the same machine. The first round warms up. */
const compared = async (
  rounds: number,
  calls: number,
  plain: () => Promise<unknown>,
  verified: () => Promise<unknown>,
): Promise<Omit<LoadBench, "bytes">> => {
  const times: { readonly plainMs: number; readonly verifiedMs: number }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const plainMs = await timed(calls, plain);
    const verifiedMs = await timed(calls, verified);
    if (round > 0) times.push({ plainMs, verifiedMs });
  }
  return {
    plainMs: median(times.map(({ plainMs }) => plainMs)),
    verifiedMs: median(times.map(({ verifiedMs }) => verifiedMs)),
    ratio: median(times.map(({ plainMs, verifiedMs }) => verifiedMs / plainMs)),
  };
};

/** A kernel as Tezzeret makes them: a dense bypass of 32 for the quickstart's host. */
const compileOne = async () => {
  const engine = await createEngine("native", { threads: 1 });
  try {
    const { model, optimization, morphogenetic } = EsperConfig.parse({});
    const data: DataShape = { kind: "images", inputShape: [1, 28, 28], rows: 1, classes: 10, task: "classification" };
    const host = hostFor(model, data);
    const key: KernelKey = {
      hostHash: hostHash(host),
      request: { kind: "dense", initialization: "zero", hiddenWidth: 32 },
      seedId: "seed:h1",
      fromSite: "h1",
      toSite: "h2",
      engine: "native",
      engineVersion: engine.version,
      optimizer: optimization.optimizer,
      batchSize: 128,
      signalSamples: morphogenetic.signal.samples,
      signalFeatures: morphogenetic.signal.features,
    };
    return await compileKernel(engine, key, host);
  } finally {
    await engine.dispose();
  }
};

export const benchArtifacts = async ({ rounds = 9, calls = 40, names = 1_000 } = {}): Promise<ArtifactsBench> => {
  const { artifact, blueprint } = await compileOne();
  const folder = await mkdtemp(join(tmpdir(), "esper-bench-artifacts-"));
  const paths = dataPaths(folder);
  const fileSystem = nodeFileSystem;
  const database = openDatabase({ file: paths.database, migrations, busyTimeoutMs: 1_000 });
  const signer = ledgerSigner(generateSigningKey());
  const { services, checkpoint } = EsperConfig.parse({});
  const ledger = createLedger({ database, signer, clock, headEntriesMax: 256, onHead: () => undefined });
  const opened = { database, fileSystem, paths, signer, ledger, clock, toolchain: "bench", log: silentLog, services, checkpoint };
  const { library, checkpoints, index, close } = await openArtifacts(opened);
  try {
    const plain = readContent({ fileSystem, folder: paths.assets, fileBytesMax: services.assetBytesMax });
    const made = { inputs: [], source: "bench", producer: "bench", createdAtMs: 1 };
    const { hash: planHash } = await library.put({ kind: "blueprint", asset: blueprint, ...made });
    const { hash: kernelHash } = await library.put({ kind: "kernel", asset: artifact, ...made });
    /** As the library loads, without row and signature. */
    const read = async (hash: string): Promise<string> => new TextDecoder().decode(await plain.get(hash));
    const bytesOf = async (hash: string): Promise<number> => (await plain.get(hash))?.length ?? 0;
    const loads = {
      blueprint: {
        bytes: await bytesOf(planHash),
        ...(await compared(
          rounds,
          calls,
          async () => decodeJson(await read(planHash), BlueprintIR, "blueprint"),
          () => library.get("blueprint", planHash),
        )),
      },
      kernel: {
        bytes: await bytesOf(kernelHash),
        ...(await compared(
          rounds,
          calls,
          async () => decodeJson(await read(kernelHash), CompiledKernelArtifact, "kernel"),
          () => library.get("kernel", kernelHash),
        )),
      },
    };

    const tensors = { "host/w": { dtype: "float32", shape: [1_000_000], data: new Float32Array(1_000_000).fill(0.5) } } as const;
    const saved = await checkpoints.save({ runId: "r-1", epoch: 1, tensors, state: { epoch: 1 } });
    const ring = keyRing(signer.fingerprint);
    const reader = readCheckpoints({ ...opened, folder: paths.checkpoints, ring, fileBytesMax: 1e9, headerBytesMax: 1e7 });
    const loadMs = await timed(calls, () => reader.load(saved.path, anything));
    const signatureMs = await timed(calls, () => reader.describe(saved.path));

    let seed = 0;
    const another = () =>
      library.put({ kind: "kernel", asset: { ...artifact, key: { ...artifact.key, seedId: `seed:x${seed++}` } }, ...made });
    const putMs = await timed(calls, another);
    // Many changes at once are one after the other; only the last ones are timed.
    for (let i = 0; i < names; i++) await index.set({ kind: "checkpoint", name: `r-${i}`, hash: kernelHash, createdAtMs: i });
    let moved = 0;
    const indexMs = await timed(calls, () =>
      index.set({ kind: "checkpoint", name: "r-0", hash: kernelHash, createdAtMs: ++moved + names }),
    );
    return {
      ...loads,
      checkpoint: { bytes: saved.bytes, verifiedMs: loadMs, signatureMs, share: signatureMs / loadMs },
      putMs,
      names: index.entries().length,
      indexMs,
    };
  } finally {
    await close();
    database.close();
    await rm(folder, { recursive: true, force: true });
  }
};

export const artifactsTable = ({ blueprint, kernel, checkpoint, putMs, names, indexMs }: ArtifactsBench): string => {
  const load = (name: string, { bytes, plainMs, verifiedMs, ratio }: LoadBench): [string, string] => [
    `load of a ${name} of ${(bytes / 1000).toFixed(0)} kB with its signature, over without`,
    `${ratio.toFixed(2)} × (${verifiedMs.toFixed(2)} ms, ${plainMs.toFixed(2)} ms)`,
  ];
  return table(
    ["artifacts", "measured"],
    [
      load("kernel", kernel),
      load("blueprint", blueprint),
      [
        `share of signature and manifest in the load of a checkpoint of ${(checkpoint.bytes / 1e6).toFixed(0)} MB`,
        `${(100 * checkpoint.share).toFixed(1)} % (${checkpoint.signatureMs.toFixed(2)} of ${checkpoint.verifiedMs.toFixed(2)} ms)`,
      ],
      ["a kernel stored: file, signature, row and index, durable", `${putMs.toFixed(1)} ms`],
      [`a change of the index with ${names} names, durable`, `${indexMs.toFixed(1)} ms`],
    ],
  );
};

if (isMain(import.meta.url)) {
  const bench = await benchArtifacts();
  print(bench, artifactsTable(bench));
}
