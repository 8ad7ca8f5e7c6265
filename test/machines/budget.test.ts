/** The budget's rule: nothing is reserved beyond a limit, in any order, and what is not measured does not fit. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BudgetResource, type BudgetStanding, budgetResources } from "../../src/contracts/budget.ts";
import { CommandReceipt, type KasminaControlCommand } from "../../src/contracts/commands.ts";
import { moveBudget, noBudget } from "../../src/contracts/ledger.ts";
import { acceptCommand, createRunState, type KasminaRunState } from "../../src/machines/boundary.ts";
import { leftFor, shortfallOf } from "../../src/machines/budget.ts";
import { drive, germinate } from "./driver.ts";
import { config, host, setup } from "./fixtures.ts";

const amounts = fc.record(
  Object.fromEntries(budgetResources.map((resource) => [resource, fc.integer({ min: 0, max: 60 })])) as Record<
    BudgetResource,
    fc.Arbitrary<number>
  >,
);
const limits = Object.fromEntries(budgetResources.map((resource) => [resource, 100]));

const claimsOf = (standing: BudgetStanding, needs: Record<BudgetResource, number>, holder: string) =>
  budgetResources.map((resource) => ({ resource, needed: needs[resource], left: leftFor(standing, resource, holder) ?? 0 }));

describe("the rule", () => {
  it("U1 U3 used and reserved never exceed a limit, whatever is reserved, kept and given back in whatever order", () => {
    let refusals = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("reserve", "commit", "release"), fc.constantFrom("a", "b", "c"), amounts), {
          minLength: 10,
          maxLength: 40,
        }),
        (moves) => {
          let standing: BudgetStanding = { ...noBudget, limits };
          for (const [move, seedId, needs] of moves) {
            const held = standing.reserved[seedId];
            if (move === "reserve") {
              if (shortfallOf(claimsOf(standing, needs, seedId)) !== undefined) refusals += 1;
              else {
                standing = moveBudget(standing, { move, seedId, amounts: needs });
                // Asked again it takes the place of the first: nothing is held twice.
                expect(shortfallOf(claimsOf(standing, needs, seedId))).toBeUndefined();
                expect(moveBudget(standing, { move, seedId, amounts: needs })).toEqual(standing);
              }
            } else if (held !== undefined) {
              standing = moveBudget(standing, { move, seedId, amounts: held });
              if (move === "release") expect(moveBudget(standing, { move, seedId, amounts: held })).toEqual(standing);
            }
            for (const resource of budgetResources) {
              const reserved = Object.values(standing.reserved).reduce((sum, each) => sum + (each[resource] ?? 0), 0);
              expect((standing.used[resource] ?? 0) + reserved).toBeLessThanOrEqual(100);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(refusals).toBeGreaterThan(100);
  });

  it("U2 what nobody can tell does not fit, nor does what is no number", () => {
    for (const needed of [undefined, Number.NaN, -1, Number.POSITIVE_INFINITY])
      expect(shortfallOf([{ resource: "flops", needed, left: 10 }])).toMatchObject({ measured: false });
    expect(shortfallOf([{ resource: "flops", needed: 10, left: 10 }])).toBeUndefined();
    expect(shortfallOf([{ resource: "flops", needed: 10.5, left: 10 }])).toMatchObject({ measured: true, needed: 10.5 });
    expect(shortfallOf([{ resource: "flops", needed: 1, left: Number.NaN }])).toMatchObject({ measured: true });
  });
});

const codeOf = (state: KasminaRunState, command: KasminaControlCommand): string => {
  const { receipt } = acceptCommand(state, command);
  return receipt.kind === "refused" ? receipt.code : receipt.kind;
};
const limit = (resource: BudgetResource, max: number): KasminaControlCommand => ({
  kind: "limit",
  requestId: `l-${resource}`,
  resource,
  max,
  reason: "x",
});

describe("a run", () => {
  it.each(budgetResources)("a limit on %s that is set while it runs holds from the next boundary on", (resource) => {
    const { state } = drive(2, { commands: { 0: [limit(resource, 0)] } });
    expect(codeOf(state, germinate)).toBe("budget");
    const raised = drive(3, { commands: { 0: [limit(resource, 0)], 1: [limit(resource, 1e15)] } }).state;
    // Seconds are measured from when they are limited.
    expect(codeOf(raised, germinate)).toBe("accepted");
  });

  it("seconds that are limited before any window was timed are not measured: refused", () => {
    const timed = { ...setup, config: { ...config, budget: { ...config.budget, secondsMax: 1e9 } } };
    expect(acceptCommand(createRunState(timed, host), germinate).receipt).toMatchObject({
      kind: "refused",
      code: "budget",
      reason: expect.stringContaining("was not measured"),
    });
    expect(codeOf(drive(2, { setup: timed }).state, germinate)).toBe("accepted");
  });

  it("device bytes follow from the parameters", () => {
    const tight = (deviceBytesMax: number) =>
      codeOf(createRunState({ ...setup, config: { ...config, budget: { ...config.budget, deviceBytesMax } } }, host), germinate);
    expect([tight(1), tight(1_000_000)]).toEqual(["budget", "accepted"]);
  });

  it("tells its budget: what a trial holds back while it is open, and what it used when it was kept", () => {
    const ask = (state: KasminaRunState) => {
      const receipt = CommandReceipt.parse(acceptCommand(state, { kind: "budget", requestId: "b" }).receipt);
      if (receipt.kind !== "budget") throw new Error(receipt.kind);
      return receipt;
    };
    const start = ask(createRunState(setup, host));
    expect(start.standing.reserved).toEqual({});
    expect(start.left.parameters).toBe(config.budget.parametersMax);
    expect(start.left.seconds).toBeUndefined();
    const open = ask(drive(3, { commands: { 0: [germinate] } }).state);
    const held = open.standing.reserved["seed:h2"]!;
    expect(held.parameters).toBeGreaterThan(0);
    expect(open.left.parameters).toBe(config.budget.parametersMax - held.parameters!);
    const { state, transitions } = drive(24, { commands: { 0: [germinate] } });
    expect(transitions.map(({ to }) => to)).toContain("FOSSILIZED");
    const kept = ask(state);
    expect(kept.standing.reserved).toEqual({});
    expect(kept.standing.used.parameters).toBe(held.parameters);
  });
});
