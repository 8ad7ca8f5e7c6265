/** A process whose training thread is inside the native engine nearly all the time. A line on its input tells it how to end. */
import { delay } from "../../src/contracts/ports.ts";
import { SeedStateTable } from "../../src/contracts/seed-state.ts";
import { endProcess } from "../../src/ports/end-process.ts";
import { createSystemClock } from "../../src/ports/system.ts";
import { createTrainingLane } from "../../src/workers/piscina-lanes.ts";
import { haltThreads, threadsAreOpen } from "../../src/workers/threads.ts";
import { dataset, seedIds, spec } from "./fixture.ts";

const clock = createSystemClock();
const lane = createTrainingLane();
const table = new SeedStateTable(seedIds.length);
await lane.open({ spec, dataset, table, seedIds });
const plan = { runId: spec.runId, epoch: 1, before: [], work: { kind: "host" as const, steps: 1e9 }, measureSignal: false };
const running = lane.run(plan, {});
while (table.windowStep < 5) await delay(clock, 2);

const ways: Readonly<Record<string, () => Promise<unknown>>> = {
  halt: () => endProcess(130, { clock, halt: haltThreads }),
  late: () => endProcess(130, { clock, halt: () => new Promise(() => undefined) }),
  destroy: async () => {
    await lane.destroy();
    const outcomes = [(await running).kind, (await lane.status(spec.runId)).kind, threadsAreOpen()];
    process.stdout.write(outcomes.join(" "), () => process.exit(0));
  },
};
process.stdin.once("data", (way) => void ways[way.toString().trim()]?.());
process.stdout.write("busy\n");
