/** A forge that is slower than its lead: equal configurations give equal runs all the same, whoever dies or interrupts meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { ReportArm } from "../../src/contracts/report.ts";
import type { SubjectName } from "../../src/contracts/subjects.ts";
import type { ForgeLane } from "../../src/workers/lane.ts";
import { hashTensors, readCheckpoint, smallConfig, startNode, type TestNode, temporaryFolder } from "./support.ts";

/** The real forge, which a test may hold: its work begins when it is let go, or ends when it is given up. */
const hold = vi.hoisted(() => {
  let passed: Promise<void> = Promise.resolve();
  let open: () => void = () => undefined;
  return {
    take: () => {
      passed = new Promise((resolve) => {
        open = resolve;
      });
    },
    release: () => open(),
    passes: (signal: AbortSignal | undefined): Promise<void> =>
      new Promise((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
        void passed.then(resolve);
      }),
  };
});
vi.mock("../../src/workers/piscina-lanes.ts", async (load) => {
  const real = await load<typeof import("../../src/workers/piscina-lanes.ts")>();
  return {
    ...real,
    createForgeLane: (): ForgeLane => {
      const lane = real.createForgeLane();
      return {
        ...lane,
        compile: async (key, host, signal) => {
          await hold.passes(signal);
          return lane.compile(key, host, signal);
        },
        characterize: async (artifact, host, config, signal) => {
          await hold.passes(signal);
          return lane.characterize(artifact, host, config, signal);
        },
      };
    },
  };
});

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let fast: ReportArm;

/** Every node has a library of its own, so that each forges its kernel. The lead is one window, 47 steps. */
const configOf = (name: string) => {
  const config = smallConfig(`${folder.path}/${name}`);
  return {
    ...config,
    services: { ...config.services, restartsMax: 50 },
    morphogenetic: { ...config.morphogenetic, kernelLeadEpochs: 1 },
  };
};

/** What two equal runs have in common: all but measured times, and what Urabrask's clock makes of a kernel. */
const timeless = (reason: string): string =>
  reason.replace(/[\d.]+ ms/g, "so many ms").replace(/validation: [a-z, -]+/g, "validation: tags");
const story = async (arm: ReportArm) => ({
  seeds: arm.seeds.map(({ id, history, outcome, measuredGain, forecast }) => ({
    id,
    outcome,
    measuredGain,
    forecast,
    history: history.map((step) => ({ ...step, reason: timeless(step.reason) })),
  })),
  flops: arm.flops,
  hostSteps: arm.hostSteps,
  testAccuracy: arm.testAccuracy,
  tensors: hashTensors((await readCheckpoint(arm.checkpoint!)).tensors),
});

const waits = (node: TestNode) =>
  node.payloads("system.events.run").flatMap((event) => (event.kind === "waiting" ? [event] : []));
const untilWaiting = (node: TestNode, outstanding: "compilation" | "characterization") =>
  node.until("system.events.run", (event) => event.kind === "waiting" && event.outstanding === outstanding);
/** Resolves with the next message of the subject that fits. */
const next = <S extends SubjectName>(node: TestNode, subject: S, fits: Parameters<typeof node.until<S>>[1]) => {
  let before = node.payloads(subject).filter(fits).length;
  return node.until(subject, (payload) => fits(payload) && before-- <= 0);
};

beforeAll(async () => {
  folder = await temporaryFolder();
  fast = (await startNode(configOf("fast")).done).report.arms[0]!;
  expect(fast.seeds[0]?.outcome).toBe("FOSSILIZED");
});
afterEach(() => hold.release());
afterAll(() => folder.remove());

describe("a run whose kernel comes late", () => {
  it("waits for it and ends as one whose kernel came in time; killing whoever takes part in the wait changes nothing", async () => {
    hold.take();
    const node = startNode(configOf("slow"));
    await untilWaiting(node, "compilation");
    const epoch = waits(node)[0]!.epoch;
    const { supervisor } = await node.handle;
    for (const victim of ["tezzeret", "kasmina", "tolaria"]) {
      const back = next(node, "system.events.supervision", ({ kind, child }) => kind === "started" && child === victim);
      supervisor.killChild(victim);
      await back;
    }
    hold.release();
    await node.until("compilation.kernel.ready", ({ kind }) => kind === "ready");
    const arm = (await node.done).report.arms[0]!;
    expect(new Set(waits(node).map((wait) => wait.epoch))).toEqual(new Set([epoch]));
    expect(arm.seeds[0]?.history.map((step) => [step.state, step.epoch])).toContainEqual(["LOADING", epoch]);
    expect(await story(arm)).toEqual(await story(fast));
  });

  it("interrupted while it waits it stops at once; resumed, it waits again and ends as if nobody had interrupted", async () => {
    hold.take();
    const node = startNode(configOf("interrupted"));
    await untilWaiting(node, "compilation");
    node.interrupt();
    const stopped = (await node.done).report.arms[0]!;
    expect(stopped).toMatchObject({ outcome: "stopped", reason: "interrupted" });
    expect(stopped.seeds[0]?.outcome).toBe("GERMINATED");
    hold.release();
    const resumed = startNode(configOf("interrupted"), { resume: stopped.checkpoint! });
    expect(await story((await resumed.done).report.arms[0]!)).toEqual(await story(fast));
  });
});
