/** What every training lane does, whatever carries it: run against each implementation. */
import { afterEach, describe, expect, it } from "vitest";
import { KernelCharacterization } from "../../src/contracts/characterization.ts";
import { ValidationConfig } from "../../src/contracts/config-validation.ts";
import { ContractError, GraphError, InputError } from "../../src/contracts/errors.ts";
import type { LaneProgress } from "../../src/contracts/plan.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { contentHash, hostHash } from "../../src/graph/hash.ts";
import type { ForgeLane, LaneOutcome, TrainingLane } from "../../src/workers/lane.ts";
import { Driver, dataset, kernelKey, seedId, seedIds, span, spec } from "./fixture.ts";

const done = <T>(outcome: LaneOutcome<T>): T => {
  if (outcome.kind === "lost") throw new Error(`expected an answer, found a lost lane: ${outcome.reason}`);
  return outcome.value;
};

export const laneContract = (name: string, createTraining: () => TrainingLane, createForge: () => ForgeLane): void => {
  describe(`${name} lanes`, () => {
    const made: { destroy(): Promise<void> }[] = [];
    const training = (): TrainingLane => {
      const lane = createTraining();
      made.push(lane);
      return lane;
    };
    afterEach(async () => {
      await Promise.all(made.splice(0).map((lane) => lane.destroy()));
    });
    const request = (table = new SeedStateTable(seedIds.length)) => ({ spec, dataset, table, seedIds });
    const hostWindow = (epoch: number, steps = 20) => ({
      runId: spec.runId,
      epoch,
      before: [],
      work: { kind: "host" as const, steps },
      measureSignal: false,
    });

    it("L2: runs windows in the order of the calls, with the same result as a session at hand", async () => {
      const lane = training();
      const progress: LaneProgress[] = [];
      lane.onProgress((message) => progress.push(message));
      const status = done(await lane.open(request()));
      expect(hostHash(done(await lane.host(spec.runId)))).toBe(status.host.hash);
      const results = await Promise.all([1, 2].map((epoch) => lane.run(hostWindow(epoch), {})));
      const driver = await Driver.open();
      for (const outcome of results) {
        const expected = await driver.host();
        expect({ ...done(outcome), durationMs: 0 }).toEqual({ ...expected, durationMs: 0 });
      }
      expect(done(await lane.snapshot(spec.runId)).tensors).toEqual(driver.session.snapshot().tensors);
      expect(done(await lane.test(spec.runId)).samples).toBe(dataset.test.count);
      for (const { runId, step, steps } of progress) expect([runId, step <= steps]).toEqual([spec.runId, true]);
      await driver.session.dispose();
      done(await lane.close(spec.runId));
      await expect(lane.status(spec.runId)).rejects.toThrow(ContractError);
    });

    it("typed errors cross the boundary with code, message and place", async () => {
      const lane = training();
      done(await lane.open(request()));
      await expect(lane.open(request())).rejects.toThrow(InputError);
      await expect(lane.run(hostWindow(5), {})).rejects.toThrow(ContractError);
      const damaged = { ...spec, runId: "r-other", damage: { site: "h9", kind: "dead" as const, live: 1, layers: 1 } };
      await expect(lane.open({ ...request(), spec: damaged })).rejects.toMatchObject({
        name: "InputError",
        place: { path: "damage.site" },
      });
      expect(done(await lane.status(spec.runId)).epoch).toBe(0);
    });

    it("L3: the shared flag stops a window that runs, with its state kept", async () => {
      const lane = training();
      const table = new SeedStateTable(seedIds.length);
      done(await lane.open({ ...request(table), spec: { ...spec, hostSteps: 1_000_000 } }));
      const plan = hostWindow(1, 900_000);
      const running = lane.run(plan, {});
      while (table.windowStep < 5) await new Promise((resolve) => setImmediate(resolve));
      table.stopRequested = true;
      const result = done(await running);
      table.stopRequested = false;
      expect(result.interrupted).toBe(true);
      expect(result.steps).toBeGreaterThanOrEqual(5);
      expect(done(await lane.status(spec.runId))).toMatchObject({ epoch: 0, hostStep: result.steps });
    });

    it("L1: a killed thread is an outcome, and a checkpoint brings the run back bit-equal", async () => {
      const lane = training();
      const table = new SeedStateTable(seedIds.length);
      const long = { ...spec, hostSteps: 1_000_000 };
      done(await lane.open({ ...request(table), spec: long }));
      done(await lane.run(hostWindow(1), {}));
      const snapshot = done(await lane.snapshot(spec.runId));
      const running = lane.run(hostWindow(2, 900_000), {});
      while (table.windowStep < 1) await new Promise((resolve) => setImmediate(resolve));
      const aborted = lane.abort();
      const asked = lane.status(spec.runId);
      await aborted;
      expect(await running).toMatchObject({ kind: "lost" });
      expect(await asked).toMatchObject({ kind: "lost", reason: expect.stringContaining("holds no session") });
      expect(done(await lane.open({ ...request(table), spec: long })).epoch).toBe(0);
      expect(done(await lane.restore(spec.runId, snapshot, {})).epoch).toBe(1);
      const { durationMs: _, ...second } = done(await lane.run(hostWindow(2), {}));
      const driver = await Driver.open({ hostSteps: long.hostSteps });
      await driver.host();
      const { durationMs: __, ...expected } = await driver.host();
      expect(second).toEqual(expected);
      await driver.session.dispose();
    });

    it("the forge compiles the same bytes for the same key, and a training lane runs them", async () => {
      const forge = createForge();
      made.push(forge);
      const lane = training();
      const status = done(await lane.open(request()));
      const host = done(await lane.host(spec.runId));
      const key = await kernelKey({ status });
      const [first, second] = [done(await forge.compile(key, host)), done(await forge.compile(key, host))];
      const kernelHash = contentHash(first.artifact);
      expect(contentHash(second.artifact)).toBe(kernelHash);
      expect(contentHash(first.blueprint)).toBe(first.artifact.blueprintHash);
      const load = { kind: "load_kernel" as const, seedId, kernelHash, ...span };
      const plan = { ...hostWindow(1), before: [load], work: { kind: "load" as const, seedId } };
      const { kernel } = done(await lane.run(plan, { [kernelHash]: first.artifact }));
      expect(kernel).toMatchObject({ kind: "loaded", staticProblems: [], dryRun: { finite: true, shapesMatch: true } });
      await expect(forge.compile({ ...key, toSite: "h9" }, host)).rejects.toThrow(GraphError);
      await expect(forge.compile({ ...key, hostHash: "0".repeat(64) }, host)).rejects.toThrow(ContractError);
      await expect(forge.compile(key, host, AbortSignal.abort(new Error("deadline")))).rejects.toThrow("deadline");
    });

    it("the forge is warmed, measures what it compiled, and refuses another host", async () => {
      const forge = createForge();
      made.push(forge);
      const driver = await Driver.open();
      const { host } = driver.session;
      const key = await kernelKey(driver.session);
      await driver.session.dispose();
      const config = ValidationConfig.parse({});
      done(await forge.warm("native"));
      const { artifact } = done(await forge.compile(key, host));
      const measured = done(await forge.characterize(artifact, host, config));
      expect(KernelCharacterization.parse(measured)).toEqual(measured);
      expect(measured).toMatchObject({ drift: { engine: "wasm" }, stability: { steps: 50, finite: true } });
      await expect(forge.characterize(artifact, { ...host, name: "other" }, config)).rejects.toThrow(ContractError);
      const aborted = AbortSignal.abort(new Error("too late"));
      await expect(forge.characterize(artifact, host, config, aborted)).rejects.toThrow("too late");
    });

    it("a measurement given up at any moment ends alone: the process lives, the forge goes on, and closing it waits for the step", async () => {
      const forge = createForge();
      made.push(forge);
      const driver = await Driver.open();
      const { host } = driver.session;
      const key = await kernelKey(driver.session);
      await driver.session.dispose();
      const long = ValidationConfig.parse({ steps: 1000, latencyRuns: 1000 });
      done(await forge.warm("native"));
      const { artifact } = done(await forge.compile(key, host));
      for (const afterMs of [0, 15, 40, 75, 120]) {
        const abort = new AbortController();
        const pending = forge.characterize(artifact, host, long, abort.signal);
        setTimeout(() => abort.abort(new Error("given up")), afterMs);
        await expect(pending).rejects.toThrow("given up");
      }
      expect(done(await forge.compile(key, host)).artifact.key).toEqual(key);
      const lost = forge.characterize(artifact, host, long);
      setTimeout(() => void forge.destroy(), 60);
      expect(await lost).toMatchObject({ kind: "lost" });
    });

    it("an aborted compilation rejects with the signal's reason, and the forge goes on", async () => {
      const forge = createForge();
      made.push(forge);
      const driver = await Driver.open();
      const key = await kernelKey(driver.session);
      const abort = new AbortController();
      const pending = forge.compile(key, driver.session.host, abort.signal);
      abort.abort(new Error("deadline"));
      await expect(pending).rejects.toThrow("deadline");
      expect(done(await forge.compile(key, driver.session.host)).artifact.key).toEqual(key);
      await driver.session.dispose();
    });
  });
};
