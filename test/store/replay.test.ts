/** The seeds' lifecycle from the log alone. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Envelope } from "../../src/contracts/envelope.ts";
import { DataError } from "../../src/contracts/errors.ts";
import { type LifecycleState, legalTransitions, type SeedTransition } from "../../src/contracts/lifecycle.ts";
import { cutSubject, openEventLog, readEventLog } from "../../src/store/event-log.ts";
import { replaySeeds } from "../../src/store/replay.ts";
import { createSimulatedDisk } from "../support/simulated-disk.ts";
import { envelope, transition } from "./support.ts";

fc.configureGlobal({ seed: 20, numRuns: 100 });

const told = (each: SeedTransition): Envelope => envelope(`${each.seedId}.${each.sequence}`, each, "system.events.seed");
/** A legal life, steered by numbers. */
const lifeOf = (seedId: string, choices: readonly number[]): SeedTransition[] => {
  let state: LifecycleState = "DORMANT";
  const life: SeedTransition[] = [];
  for (const choice of choices) {
    const ways: readonly LifecycleState[] = legalTransitions[state];
    const to = ways[choice % Math.max(1, ways.length)];
    if (to === undefined) break;
    life.push(transition(life.length + 1, state, to, { seedId }));
    state = to;
  }
  return life;
};
const lives = fc.array(fc.array(fc.nat(2), { minLength: 1, maxLength: 15 }), { minLength: 1, maxLength: 4 });

test("P1: the last state of every seed comes out of the log, with repeats and other events between", async () => {
  await fc.assert(
    fc.asyncProperty(lives, fc.nat(3), async (choices, stride) => {
      const stories = choices.map((each, index) => lifeOf(`seed:h${index}`, each));
      const events: Envelope[] = [];
      for (let step = 0; step < 15; step++) {
        for (const story of stories) {
          const each = story[step];
          if (each === undefined) continue;
          events.push(told(each), envelope(`other-${events.length}`, { any: 1 }));
          if (events.length % (stride + 2) === 0) events.push(told(story[Math.max(0, step - 1)]!));
        }
      }
      const disk = createSimulatedDisk();
      const file = "/run/events.jsonl";
      const log = await openEventLog({
        fileSystem: disk,
        file,
        bytesMax: 1_000_000,
        recentIdsMax: 2,
        tailBytes: 1000,
        syncPolicy: "batch",
      });
      await log.append(events);
      expect(await replaySeeds(readEventLog(disk, file))).toEqual(
        new Map(stories.map((story, index) => [`seed:h${index}`, story.at(-1)!.to])),
      );
    }),
  );
});

test("P2: any transition left out before the last is told", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(1), { minLength: 6, maxLength: 15 }), fc.nat(), async (choices, place) => {
      const life = lifeOf("seed:h1", choices);
      fc.pre(life.length > 1);
      const gap = place % (life.length - 1);
      await expect(replaySeeds(life.filter((_, index) => index !== gap).map(told))).rejects.toThrow(
        /found a gap; lines are missing/,
      );
    }),
  );
});

test.each<[string, Envelope[], RegExp]>([
  [
    "P1: another transition of the same number",
    [told(transition(1, "DORMANT", "GERMINATED")), told(transition(1, "DORMANT", "GERMINATED", { reason: "other" }))],
    /found another transition of the same number/,
  ],
  [
    "P2: an illegal step",
    [told(transition(1, "DORMANT", "TRAINING"))],
    /expected a legal step from DORMANT, found DORMANT → TRAINING/,
  ],
  [
    "P2: a step from elsewhere",
    [told(transition(1, "DORMANT", "GERMINATED")), told(transition(2, "LOADING", "CULLED"))],
    /from GERMINATED, found LOADING → CULLED/,
  ],
  [
    "P2: another run",
    [
      told(transition(1, "DORMANT", "GERMINATED")),
      told(transition(1, "DORMANT", "GERMINATED", { runId: "r-2", seedId: "seed:x" })),
    ],
    /expected run r-1, found r-2/,
  ],
  ["P2: no transition", [envelope("a", { seedId: 5 }, "system.events.seed")], /event a: expected a seed transition/],
  [
    "P3: a log that was cut",
    [told(transition(1, "DORMANT", "GERMINATED")), envelope("log-cut", {}, cutSubject)],
    /it was cut at its bound; raise logging\.eventLogBytesMax/,
  ],
])("%s is a DataError", async (_, events, message) => {
  await expect(replaySeeds(events)).rejects.toThrow(DataError);
  await expect(replaySeeds(events)).rejects.toThrow(message);
});
