/** What the tests of the bus share: a server in a folder of its own, real clock, quiet log, and messages that fit their schemas. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BusPorts, type Oona, type OonaOptions, startOona } from "../../src/bus/create.ts";
import type { Log } from "../../src/contracts/ports.ts";
import type { InputOf } from "../../src/contracts/subjects.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";

export const quietLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => quietLog };

export const clock = createSystemClock();
export const ports: BusPorts = { clock, entropy: createSystemEntropy(), log: quietLog };

export const embedded = {
  mode: "embedded",
  host: "127.0.0.1",
  port: -1,
  memoryBytesMax: 16_777_216,
  storageBytesMax: 67_108_864,
} as const;

export const temporaryFolder = async (): Promise<{ readonly path: string; remove(): Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), "esper-bus-"));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
};

export interface TestServer {
  readonly oona: Oona;
  readonly dataDir: string;
  stop(): Promise<void>;
}

export const startTestServer = async (options: Partial<OonaOptions> = {}): Promise<TestServer> => {
  const folder = await temporaryFolder();
  const dataDir = options.dataDir ?? folder.path;
  const oona = await startOona({ ...ports, config: embedded, payloadBytesMax: 65_536, ...options, dataDir });
  return {
    oona,
    dataDir,
    stop: async () => {
      await oona.stop();
      await folder.remove();
    },
  };
};

const waitMsMax = 15_000;

/** Resolves when the condition holds; fails the test after a long while. */
export const until = async (condition: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  const endMs = clock.monotonicMs() + waitMsMax;
  while (!(await condition())) {
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise<void>((resolve) => clock.schedule(5, resolve));
  }
};

export const supervision = (detail: string, child = "test"): InputOf<"system.events.supervision"> => ({
  kind: "started",
  child,
  detail,
});

const hash = "0".repeat(64);

export const fieldReport = (reason: string): InputOf<"innovation.field_reports"> => ({
  runId: "r-1",
  seedId: "seed:h2",
  site: "h2",
  fromSite: "h1",
  toSite: "h3",
  outcome: "CULLED",
  reason,
  history: [],
  trialFlops: 1,
});

export const progress = (step: number): InputOf<"telemetry.run.progress"> => ({
  runId: "r-1",
  arm: "grown",
  epoch: 1,
  work: "train",
  step,
  steps: 100,
  loss: 0.5,
});

export const outcomeFailed = (reason: string): InputOf<"compilation.kernel.ready"> => ({
  kind: "failed",
  taskId: "task-1",
  keyHash: "0".repeat(64),
  runId: "r-1",
  seedId: "seed:h2",
  reason,
});

export const assetGet = (): InputOf<"library.asset.get"> => ({ kind: "kernel", hash });

export const statusCommand = (requestId: string): InputOf<"control.kasmina.commands"> => ({ kind: "status", requestId });

export const refusal = (requestId: string, reason = "no run") =>
  ({ kind: "refused", requestId, code: "no_run", reason }) as const;
