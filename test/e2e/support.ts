/**
 * A whole node inside a test: real bus, real lanes, real files in a folder of its own; small data so that it takes seconds.
 *
 * E1 A node ends before its folder goes, whatever became of the test that started it: one that failed or ran out of time awaits nothing.
 * E2 A node that does not end when it is told to leaves no nats-server behind.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import { afterAll, vi } from "vitest";
import { systemProcesses } from "../../src/bus/server-process.ts";
import { CheckpointState } from "../../src/contracts/checkpoint.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import type { Envelope } from "../../src/contracts/envelope.ts";
import type { Tensor } from "../../src/contracts/graph.ts";
import type { Log } from "../../src/contracts/ports.ts";
import type { InputOf, PayloadOf, SubjectName } from "../../src/contracts/subjects.ts";
import { subjects } from "../../src/contracts/subjects.ts";
import type { NodeView, RunNodeOptions, RunNodeResult } from "../../src/node/api.ts";
import { notedFingerprint } from "../../src/node/ledger-audit.ts";
import { type NodeHandle, runNode } from "../../src/node/node.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { readCheckpoints } from "../../src/store/checkpoint-reader.ts";
import { readEventLog } from "../../src/store/event-log.ts";
import { nodeFileSystem } from "../../src/store/file-system.ts";
import { keyRing } from "../../src/store/ledger-signature.ts";
import { SessionState } from "../../src/workers/session-state.ts";

// Whole nodes on a machine that is busy with other work: slow is no failure, and what hangs is still ended.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

/** A forge at a low priority starves on a busy machine: no deadline of its own ends a kernel here. */
export const patientForge = { compileTimeoutMs: 600_000, validation: { timeoutMs: 600_000 } };

/** Trains in about two seconds: 6,000 images, two hidden layers of 32 of which one has 2 units alive. */
export const smallConfig = (dataDir: string, over: Record<string, unknown> = {}): EsperConfig =>
  EsperConfig.parse({
    randomSeed: 3,
    arms: ["grown"],
    device: "native",
    model: { name: "mlp", widths: [32, 32, 32] },
    dataset: { name: "mnist", batchSize: 64, validationSamples: 1000, trainSamplesMax: 6000 },
    damage: { site: "h2", kind: "dead", live: 1 },
    optimization: { epochs: 24, epochSteps: 47 },
    morphogenetic: {
      signal: { samples: 2048, warmupSteps: 90 },
      training: { steps: 47 },
      grafting: { steps: 24 },
      fineTuning: { steps: 50 },
      kernelLeadEpochs: 8,
      ...patientForge,
      budget: { flopsFractionMax: 0.9 },
    },
    checkpoint: { everyEpochs: 4, keep: 2 },
    services: { dataDir },
    ...over,
  });

export interface Told {
  readonly envelopes: Envelope[];
  readonly notes: string[];
  payloads<S extends SubjectName>(subject: S): PayloadOf<S>[];
}

export interface TestNode extends Told {
  readonly dataDir: string;
  readonly done: Promise<RunNodeResult>;
  /** Ends the run as Ctrl-C does. */
  interrupt(): void;
  /** Resolves with the first message on the subject that fits; rejects when the node ends without one. */
  until<S extends SubjectName>(subject: S, fits: (payload: PayloadOf<S>) => boolean): Promise<PayloadOf<S>>;
  /** The node's inside, once it is up. */
  readonly handle: Promise<NodeHandle>;
}

/** Every node of this test file. */
const started: TestNode[] = [];
const endMsMax = 40_000;

const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // It has ended.
  }
};

/** Kills the server of a node where it still runs, also of one that never came up. Looks where Linux lists its processes. */
const killServer = ({ dataDir }: TestNode): void => {
  const pids = existsSync("/proc") ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : [];
  for (const pid of pids) {
    const command = commandOf(pid);
    if (command.includes("nats-server") && command.includes(`${dataDir}${sep}`)) systemProcesses.signal(Number(pid), "SIGKILL");
  }
};

/** E1 E2 */
const endNodes = async (nodes: readonly TestNode[]): Promise<void> => {
  for (const node of nodes) node.interrupt();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, endMsMax);
  });
  await Promise.race([Promise.allSettled(nodes.map(({ done }) => done)), late]);
  clearTimeout(timer);
  for (const node of nodes) killServer(node);
};
afterAll(() => endNodes(started));
/** After each test of a file whose tests share a data directory: one that failed would make the next one's node find it in use. */
export const endEveryNode = (): Promise<void> => endNodes(started);

export const temporaryFolder = async (): Promise<{ path: string; remove(): Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), "esper-e2e-"));
  return {
    path,
    remove: async () => {
      await endNodes(started.filter(({ dataDir }) => `${dataDir}${sep}`.startsWith(`${path}${sep}`)));
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

export const startNode = (
  config: EsperConfig,
  options: Pick<RunNodeOptions, "resume" | "asked" | "reportFile" | "stay" | "onReport"> = {},
): TestNode => {
  const envelopes: Envelope[] = [];
  const notes: string[] = [];
  const listeners = new Set<(envelope: Envelope) => void>();
  const controller = new AbortController();
  let handed: (handle: NodeHandle) => void = () => undefined;
  const handle = new Promise<NodeHandle>((resolve) => {
    handed = resolve;
  });
  const view: NodeView = {
    onMessage: (envelope) => {
      envelopes.push(envelope);
      for (const listener of listeners) listener(envelope);
    },
    note: (text) => notes.push(text),
  };
  const done = runNode({
    config,
    ports: { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog },
    view,
    signal: controller.signal,
    onUp: (up) => handed(up),
    ...options,
  });
  const node: TestNode = {
    envelopes,
    notes,
    payloads: (subject) => envelopes.filter((each) => each.subject === subject).map((each) => each.payload as never),
    dataDir: config.services.dataDir,
    done,
    handle,
    interrupt: () => controller.abort(new Error("interrupted")),
    until: (subject, fits) =>
      new Promise((resolve, reject) => {
        const look = (envelope: Envelope): void => {
          const payload = envelope.payload as PayloadOf<typeof subject>;
          if (envelope.subject !== subject || !fits(payload)) return;
          listeners.delete(look);
          resolve(payload);
        };
        listeners.add(look);
        for (const envelope of envelopes) look(envelope);
        done.then(
          () => reject(new Error(`the node ended and told nothing that fits on ${subject}`)),
          (error: unknown) => reject(error),
        );
      }),
  };
  done.catch(() => undefined);
  started.push(node);
  return node;
};

/** Trains the host alone in about a second: 12 windows of 20 steps. */
export const hostConfig = (dataDir: string, over: Record<string, unknown> = {}): EsperConfig =>
  smallConfig(dataDir, {
    arms: ["no-growth"],
    model: { name: "mlp", widths: [16, 16] },
    damage: undefined,
    optimization: { epochs: 2.56, epochSteps: 20 },
    checkpoint: { everyEpochs: 3, keep: 3 },
    ...over,
  });

/** The event log of a run, line by line. */
export const readLog = async (file: string): Promise<Envelope[]> => {
  const events: Envelope[] = [];
  for await (const envelope of readEventLog(nodeFileSystem, file)) events.push(envelope);
  return events;
};

/** Payloads of a log on one subject. */
export const payloadsOf = <S extends SubjectName>(events: readonly Envelope[], subject: S): PayloadOf<S>[] =>
  events.filter((each) => each.subject === subject).map((each) => subjects[subject].payload.parse(each.payload) as PayloadOf<S>);

/** Tensors of the last checkpoint of a run as name → bytes in hexadecimal SHA-256, and what lies beside them. */
export const readCheckpoint = async (folder: string) => {
  const dataDir = dirname(dirname(dirname(folder)));
  const checkpoints = readCheckpoints({
    fileSystem: nodeFileSystem,
    folder: dirname(dirname(folder)),
    ring: keyRing((await notedFingerprint(dataDir)) ?? ""),
    fileBytesMax: 1e9,
    headerBytesMax: 1e7,
  });
  const { tensors, state, epoch } = await checkpoints.load(folder, CheckpointState);
  return { tensors, state, epoch, session: SessionState.parse(state.session) };
};

export const hashTensors = (tensors: Readonly<Record<string, Tensor>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [
      name,
      createHash("sha256")
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest("hex"),
    ]),
  );
export type Command = InputOf<"control.kasmina.commands">;
