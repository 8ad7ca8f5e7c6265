import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LoadSource, plant } from "../../bench/page-load.ts";
import { ViewConfig } from "../../src/contracts/config-view.ts";
import type { ViewChange, ViewDelta, ViewSnapshot, ViewState } from "../../src/contracts/view.ts";
import { ViewHub, type ViewSink } from "../../src/view/hub.ts";
import { packView, unpackView } from "../../src/view/pack.ts";
import { applyChanges, emptyView } from "../../src/view/reduce.ts";
import { createSimulatedClock } from "../support/clock.ts";
import { anyChange } from "./support.ts";

/** A page: it takes what it is sent at once, or not before `take`. */
class Page implements ViewSink {
  state: ViewState | undefined;
  lastId: string | undefined;
  readonly causes: string[] = [];
  readonly atMs: number[] = [];
  deltas = 0;
  beats = 0;
  bytesMost = 0;
  readonly #waiting: (() => void)[] = [];
  #bytes = 0;
  readonly #slow: boolean;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, slow = false) {
    this.#nowMs = nowMs;
    this.#slow = slow;
  }
  waitingBytes(): number {
    return this.#bytes;
  }
  send(event: "snapshot" | "delta", id: string, data: string): void {
    this.atMs.push(this.#nowMs());
    this.#bytes += data.length;
    this.bytesMost = Math.max(this.bytesMost, this.#bytes);
    this.#waiting.push(() => {
      this.lastId = id;
      if (event === "snapshot") {
        const { state, cause } = JSON.parse(data) as ViewSnapshot;
        this.causes.push(cause);
        this.state = unpackView(state);
      } else {
        this.deltas += 1;
        const { changes } = JSON.parse(data) as ViewDelta;
        if (this.state === undefined) throw new Error("a delta came before the state that it changes");
        applyChanges(this.state, changes);
      }
    });
    if (!this.#slow) this.take();
  }
  beat(): void {
    this.beats += 1;
  }
  take(): void {
    for (const each of this.#waiting.splice(0)) each();
    this.#bytes = 0;
  }
}

const config = ViewConfig.parse({});
const setUp = (more: Partial<ViewConfig> = {}, look?: () => readonly ViewChange[]) => {
  const clock = createSimulatedClock();
  const hub = new ViewHub({
    clock,
    config: { ...config, ...more },
    instance: "one",
    state: emptyView("live"),
    ...(look === undefined ? {} : { look }),
  });
  return { clock, hub, page: (slow = false) => new Page(() => clock.monotonicMs(), slow) };
};
const progress = (step: number, run = "r"): ViewChange => {
  return { k: "progress", r: run, progress: { epoch: 1, work: "host", step, steps: 100, loss: 1 } };
};
const row = (epoch: number): ViewChange => {
  const nothing = { trainLoss: null, validationLoss: null, validationAccuracy: null, gradNorm: null, stepsPerSecond: null };
  return { k: "row", r: "r", row: { epoch, ...nothing, flops: epoch } };
};

describe("the hub", () => {
  test("H4: a page that left and came back, at any moments, stands where one that stayed does: where the hub stands", async () => {
    const script = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.record({ kind: fc.constant("change" as const), change: anyChange }) },
        { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 200 }) }) },
        { weight: 1, arbitrary: fc.constant({ kind: "away" as const }) },
        { weight: 1, arbitrary: fc.constant({ kind: "back" as const }) },
        { weight: 1, arbitrary: fc.constant({ kind: "drain" as const }) },
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(script, fc.constantFrom(100, 5, 1), async (steps, ringItemsMax) => {
        const { clock, hub, page } = setUp({ ringItemsMax, clientBytesMax: 400 });
        const [stays, comesAndGoes, slow] = [page(), page(), page(true)];
        hub.attach(stays);
        hub.attach(slow);
        let detach: (() => void) | undefined = hub.attach(comesAndGoes);
        for (const step of steps) {
          if (step.kind === "change") hub.take([step.change]);
          else if (step.kind === "wait") await clock.advance(step.ms);
          else if (step.kind === "drain") slow.take();
          else if (step.kind === "away") {
            detach?.();
            detach = undefined;
          } else detach ??= hub.attach(comesAndGoes, comesAndGoes.lastId);
        }
        detach ??= hub.attach(comesAndGoes, comesAndGoes.lastId);
        for (let turn = 0; turn < 3; turn += 1) {
          await clock.advance(60);
          slow.take();
        }
        const state = JSON.parse(JSON.stringify(hub.state));
        expect(stays.state).toEqual(state);
        expect(comesAndGoes.state).toEqual(state);
        expect(slow.state).toEqual(state);
        hub.close();
      }),
      { numRuns: 150 },
    );
  });

  test("H1: at most deltasHz batches a second, the last of what may be merged in each", async () => {
    const { clock, hub, page } = setUp();
    const one = page();
    hub.attach(one);
    for (let ms = 0; ms < 1000; ms += 1) {
      hub.take([progress(ms)]);
      await clock.advance(1);
    }
    expect(one.deltas).toBeLessThanOrEqual(config.deltasHz);
    expect(one.deltas).toBeGreaterThanOrEqual(config.deltasHz - 1);
    const gaps = one.atMs.slice(2).map((at, index) => at - one.atMs[index + 1]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1000 / config.deltasHz);
    await clock.advance(60);
    expect(one.state?.runs[0]?.progress?.step).toBe(999);
  });

  test("H2: a page that takes nothing is sent no more than its bound and one batch; when it has taken them, what it missed in one", async () => {
    const { clock, hub, page } = setUp({ clientBytesMax: 2_000 });
    const slow = page(true);
    hub.attach(slow);
    let largest = 0;
    for (let epoch = 1; epoch <= 500; epoch += 1) {
      const change = row(epoch);
      largest = Math.max(largest, JSON.stringify({ changes: [change] }).length);
      hub.take([change]);
      await clock.advance(50);
    }
    expect(slow.bytesMost).toBeLessThanOrEqual(2_000 + largest);
    const before = slow.atMs.length;
    slow.take();
    expect(slow.state?.runs[0]?.epoch ?? 0).toBe(0);
    await clock.advance(50);
    slow.take();
    expect(slow.atMs.length).toBe(before + 1);
    expect(slow.state).toEqual(JSON.parse(JSON.stringify(hub.state)));
    expect(slow.causes).toEqual(["new"]);
  });

  test("H2, H3: what it missed is no longer known: it gets the whole state, and others never noticed", async () => {
    const { clock, hub, page } = setUp({ clientBytesMax: 1_000, ringItemsMax: 20 });
    const [slow, quick] = [page(true), page()];
    hub.attach(slow);
    hub.attach(quick);
    for (let epoch = 1; epoch <= 300; epoch += 1) {
      hub.take([row(epoch)]);
      await clock.advance(50);
    }
    slow.take();
    await clock.advance(50);
    slow.take();
    expect(slow.causes).toEqual(["new", "slow"]);
    expect(slow.state).toEqual(quick.state);
    expect(quick.deltas).toBe(300);
    const gone = page();
    hub.attach(gone, "one:3");
    expect(gone.causes).toEqual(["gap"]);
    const foreign = page();
    hub.attach(foreign, "other:299");
    hub.attach(foreign, "one:99999");
    hub.attach(foreign, "nonsense");
    expect(foreign.causes).toEqual(["gap", "gap", "gap"]);
  });

  test("a page that missed nothing is sent nothing; one that has nothing to hear is told that the stream lives", async () => {
    const { clock, hub, page } = setUp();
    const one = page();
    const detach = hub.attach(one);
    hub.take([row(1)]);
    await clock.advance(50);
    detach();
    const again = page();
    again.state = one.state;
    hub.attach(again, one.lastId);
    expect([again.deltas, again.causes]).toEqual([0, []]);
    await clock.advance(2.5 * config.heartbeatMs);
    expect(again.beats).toBe(2);
  });

  test("H5: nobody looks: the actors are not asked and nothing runs", async () => {
    let looks = 0;
    const { clock, hub, page } = setUp({ actorsHz: 1 }, () => {
      looks += 1;
      return [{ k: "actors", actors: [] }];
    });
    hub.take([row(1)]);
    await clock.advance(10_000);
    expect(looks).toBe(0);
    const detach = hub.attach(page());
    expect(looks).toBe(1);
    await clock.advance(3_000);
    expect(looks).toBe(4);
    detach();
    await clock.advance(10_000);
    expect(looks).toBe(4);
  });

  test("what nobody waits for is not kept: the queue is bounded without a page, and a page that comes then has all", async () => {
    const { clock, hub, page } = setUp({ ringItemsMax: 100 });
    for (let epoch = 1; epoch <= 1000; epoch += 1) hub.take([row(epoch)]);
    const late = page();
    hub.attach(late, "one:0");
    await clock.advance(50);
    expect(late.causes).toEqual(["gap"]);
    expect(late.state).toEqual(JSON.parse(JSON.stringify(hub.state)));
  });

  test("H2, H3: a hundred thousand seeds, pages that take nothing and one that comes and goes: what is kept stays within its bounds", async () => {
    const bounds = { ringItemsMax: 20_000, clientBytesMax: 65_536 };
    const { clock, hub, page } = setUp(bounds);
    const shape = { layers: 100, perLayer: 1_000 };
    hub.take(plant(shape));
    const source = new LoadSource(shape);
    const slow = [page(true), page(true)];
    for (const each of slow) hub.attach(each);
    const snapshotBytes = Math.max(...slow.map(({ bytesMost }) => bytesMost));
    const quick = page();
    hub.attach(quick);
    let largest = 0;
    for (let round = 0; round < 20; round += 1) {
      const changes = source.take(2_500);
      if (round % 5 === 0) largest = Math.max(largest, 2 * JSON.stringify({ changes }).length);
      hub.take(changes);
      expect(hub.kept.ring + hub.kept.queue).toBeLessThanOrEqual(2 * bounds.ringItemsMax);
      await clock.advance(50);
      expect(hub.kept.ring).toBeLessThanOrEqual(bounds.ringItemsMax);
      if (round === 10) hub.attach(page(), quick.lastId)();
    }
    // Nothing but the first state went to those who take nothing.
    for (const each of slow) expect(each.bytesMost).toBeLessThanOrEqual(snapshotBytes + bounds.clientBytesMax + largest);
    // More at once than is kept, with pages that wait.
    hub.take(source.take(3 * bounds.ringItemsMax));
    expect(hub.kept.queue).toBeLessThanOrEqual(bounds.ringItemsMax);
    await clock.advance(50);
    for (const each of slow) each.take();
    await clock.advance(50);
    for (const each of slow) each.take();
    // As texts: a hundred thousand objects are compared slowly.
    const told = (state: ViewState): string => JSON.stringify(packView(state).runs.map(({ seeds }) => seeds));
    const state = told(hub.state);
    for (const each of [quick, slow[0]!]) expect(told(each.state!) === state).toBe(true);
    hub.close();
  });

  test("H6: pages that get the whole state at the same place get the same text; a change makes another", () => {
    const { hub } = setUp();
    hub.take([row(1)]);
    const [first, second] = [hub.snapshot("new"), hub.snapshot("gap")];
    expect(second.data).toBe(first.data.replace('"cause":"new"', '"cause":"gap"'));
    hub.take([row(2)]);
    expect(hub.snapshot("new").data).not.toBe(first.data);
  });
});
