/** What the ledger is told of a budget adds up to how the budget stands, after every boundary. */
import { expect, test } from "vitest";
import { BudgetStanding } from "../../src/contracts/budget.ts";
import { BudgetMovement, moveBudget, noBudget } from "../../src/contracts/ledger.ts";
import { budgetMovements } from "../../src/machines/budget-ledger.ts";
import { wholeStanding } from "../../src/machines/run-budget.ts";
import { cull, drive, germinate, type Script } from "./driver.ts";
import { config, kernelFailed, lossSpike, measurements, setup } from "./fixtures.ts";

/** Follows the movements of a run; the moves of every boundary. */
const follow = (windows: number, script: Script) => {
  let standing = noBudget;
  let before: Parameters<typeof budgetMovements>[0];
  const { boundaries } = drive(windows, script);
  const moves = boundaries.map(({ state, steps }) => {
    const movements = budgetMovements(before, state, steps).map((movement) => BudgetMovement.parse(movement));
    standing = movements.reduce(moveBudget, standing);
    expect(standing).toEqual(wholeStanding(state));
    // As it is stored and read again.
    before = JSON.parse(JSON.stringify(state));
    return movements.map(({ move }) => move);
  });
  return { moves, standing: BudgetStanding.parse(standing) };
};

const limit = { kind: "limit", requestId: "l", resource: "parameters", max: 5, reason: "less" } as const;

test("a trial that is kept: opened, reserved, reserved again with the kernel's own parameters, charged, committed", () => {
  const { moves, standing } = follow(10, { commands: { 0: [germinate] } });
  expect(moves.flat().filter((move) => move !== "charge")).toEqual(["open", "reserve", "reserve", "commit"]);
  expect(moves.flat()).toContain("charge");
  expect(standing.used.parameters).toBeGreaterThan(0);
  expect(standing.reserved).toEqual({});
});

test.each([1, 2, 3, 4, 5, 6])(
  "a trial that is culled by order in window %i: released, and nothing stays used of its parameters",
  (window) => {
    const { moves, standing } = follow(10, { commands: { 0: [germinate], [window]: [cull] } });
    expect([...new Set(moves.flat())].filter((move) => move !== "charge")).toEqual(["open", "reserve", "release"]);
    expect(standing.used.parameters).toBe(0);
    expect(standing.reserved).toEqual({});
  },
);

test.each<[string, number, Script]>([
  ["without growth", 4, {}],
  ["while a trial is open", 4, { commands: { 0: [germinate] } }],
  ["when no kernel could be made", 6, { commands: { 0: [germinate] }, compiled: "failed" }],
  ["when the kernel fails", 8, { commands: { 0: [germinate] }, windows: { 4: { change: { anomalies: [kernelFailed] } } } }],
  ["when the loss spikes", 8, { commands: { 0: [germinate] }, windows: { 5: { change: { anomalies: [lossSpike] } } } }],
  ["when a limit is set while a trial is open", 9, { commands: { 0: [germinate], 3: [limit] } }],
  [
    "when the FLOPs of trials are limited again and again while a contest goes on",
    12,
    {
      commands: {
        1: [germinate],
        4: [{ ...limit, requestId: "l4", resource: "flops", max: 190_000 }],
        8: [{ ...limit, requestId: "l8", resource: "flops", max: 900_000 }],
        9: [{ ...limit, requestId: "l9", resource: "flops", max: 10 }],
      },
      windows: Object.fromEntries(
        [8, 9, 10, 11].map((window, n) => [
          window,
          {
            change: {
              kernel: {
                ...measurements.fine_tuned.failed,
                grownSteps: 10 * (n + 1),
                twinSteps: 11 * (n + 1),
                roundFits: true,
                roundFlops: 30_000,
              },
            },
          },
        ]),
      ),
    },
  ],
  [
    "with seconds and device bytes limited",
    9,
    {
      commands: { 2: [germinate] },
      setup: { ...setup, config: { ...config, budget: { ...config.budget, secondsMax: 1e9, deviceBytesMax: 1e9 } } },
    },
  ],
  [
    "when a germination is ended at the boundary that admits it",
    6,
    {
      commands: { 1: [germinate] },
      windows: { 1: { change: { budgetUsed: true } } },
    },
  ],
])("it adds up %s", (_, windows, script) => {
  const { moves } = follow(windows, script);
  expect(moves.flat()[0]).toBe("open");
});
