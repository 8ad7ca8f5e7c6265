/** Emrakul on a bus: from a look at the parts to a command that Kasmina takes, and to a decision that says what came of it. */
import { describe, expect, it } from "vitest";
import { type PruneMemory, startEmrakul } from "../../src/actors/emrakul.ts";
import type { CommandReceipt, KasminaControlCommand } from "../../src/contracts/commands.ts";
import { MorphogeneticConfig } from "../../src/contracts/config.ts";
import type { PruneSurvey } from "../../src/contracts/pruning.ts";
import { createActorWorld } from "./support.ts";

const survey = (change: Partial<PruneSurvey> = {}): PruneSurvey => ({
  runId: "r-1",
  epoch: 8,
  hostHash: "a".repeat(64),
  layers: [
    {
      site: "h2",
      units: [0, 1, 2, 3].map((unit) => ({ unit, importance: unit < 2 ? 0 : 1, mean: 0, spread: 1 })),
      stepFlopsPerUnit: 100,
    },
  ],
  bypasses: [],
  validationLoss: 0.5,
  embargoEpochs: {},
  ...change,
});

const start = async (answer: (command: KasminaControlCommand) => CommandReceipt, enabled = true) => {
  const world = createActorWorld();
  const memory: PruneMemory = new Map();
  const morphogenetic = MorphogeneticConfig.parse({ pruning: { enabled } });
  const child = await startEmrakul(world.ports, { morphogenetic, memory });
  const [kasmina, gate] = [await world.as("kasmina"), await world.as("gate")];
  const commands: KasminaControlCommand[] = [];
  await gate.respond("control.kasmina.commands", async (command) => {
    commands.push(command);
    return answer(command);
  });
  const look = async (told: PruneSurvey): Promise<void> => {
    await kasmina.publish("telemetry.host.parts", told);
    await world.clock.advance(10);
  };
  return { ...world, child, memory, commands, look, decisions: () => world.sent("system.events.decision") };
};

const accept = ({ requestId }: KasminaControlCommand): CommandReceipt => ({
  kind: "accepted",
  requestId,
  runId: "r-1",
  appliesAtEpoch: 10,
  detail: "germinate",
});

describe("Emrakul", () => {
  it("E1: asks through the command path, with the target", async () => {
    const { look, commands, decisions } = await start(accept);
    await look(survey());
    expect(commands).toEqual([
      {
        kind: "germinate",
        requestId: "r-1:8:prune:h2",
        runId: "r-1",
        seedId: "seed:h2.prune",
        prune: { kind: "units", site: "h2", units: [0, 1], constants: [0, 0] },
        reason: expect.stringMatching(/^2 units of h2/),
      },
    ]);
    expect(decisions()).toMatchObject([{ by: "emrakul", outcome: "prune", site: "h2", requestId: "r-1:8:prune:h2" }]);
    expect(decisions()[0]!.latencyMs).toBeGreaterThanOrEqual(0);
  });

  it("E2: a refused command is told as refused, with Kasmina's reason; nothing worth it is told too", async () => {
    const { look, decisions } = await start(({ requestId }) => ({
      kind: "refused",
      requestId,
      code: "lock_held",
      reason: "seed:h1 holds the lock",
    }));
    await look(survey());
    await look(survey({ epoch: 12, embargoEpochs: { h2: 3 } }));
    expect(decisions().map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ["refused", expect.stringMatching(/refused \(lock_held\): seed:h1 holds the lock$/)],
      ["refused", expect.stringMatching(/^none of 0 free parts/)],
    ]);
  });

  it("a look that comes twice leads to one command, also after a restart; runs are remembered apart", async () => {
    const world = await start(accept);
    await world.look(survey());
    await world.look(survey());
    await world.child.stop("the test restarts her");
    await startEmrakul(world.ports, {
      morphogenetic: MorphogeneticConfig.parse({ pruning: { enabled: true } }),
      memory: world.memory,
    });
    await world.look(survey());
    expect(world.commands).toHaveLength(1);
    await world.look(survey({ runId: "r-2" }));
    expect(world.commands.map(({ runId }) => runId)).toEqual(["r-1", "r-2"]);
  });

  it("learns from a pruning that failed: its site is left alone", async () => {
    const world = await start(accept);
    const kasmina = await world.as("kasmina");
    const report = (runId: string) => ({
      runId,
      seedId: "seed:h2.prune",
      site: "h2",
      fromSite: "h2",
      toSite: "h2",
      prune: { kind: "units" as const, site: "h2", units: [0], constants: [] },
      outcome: "CULLED" as const,
      reason: "for the test",
      history: [{ state: "CULLED" as const, epoch: 7, reason: "for the test" }],
      trialFlops: 0,
    });
    await kasmina.publish("innovation.field_reports", report("r-1"));
    await world.clock.advance(10);
    await world.look(survey());
    await world.look(survey({ runId: "r-2" }));
    expect(world.commands.map(({ runId }) => runId)).toEqual(["r-2"]);
  });

  it("E3: the oldest runs are forgotten", async () => {
    const { look, memory } = await start(accept, false);
    for (let run = 0; run < 70; run++) await look(survey({ runId: `r-${run}` }));
    expect(memory.size).toBe(64);
    expect(memory.has("r-5")).toBe(false);
    expect(memory.has("r-69")).toBe(true);
  });

  it("is off by default", async () => {
    const { look, commands, decisions } = await start(accept, false);
    await look(survey());
    expect(commands).toEqual([]);
    expect(decisions()).toMatchObject([{ outcome: "wait", reason: "pruning is turned off by the configuration" }]);
  });
});
