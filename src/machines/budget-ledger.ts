/** How a boundary moved a run's budget: what the ledger is told. */
import { type BudgetAmounts, type BudgetStanding, budgetResources } from "../contracts/budget.ts";
import { type BudgetMovement, moveBudget } from "../contracts/ledger.ts";
import { isActive } from "../contracts/lifecycle.ts";
import type { Decided } from "./boundary.ts";
import type { KasminaRunState } from "./kasmina-state.ts";
import { wholeStanding } from "./run-budget.ts";

type Step = Decided["steps"][number];

const sameAmounts = (a: BudgetAmounts, b: BudgetAmounts): boolean =>
  budgetResources.every((resource) => a[resource] === b[resource]);

/** What a step means for the reservation of its seed; `now` is the standing after the boundary. */
const movementOf = (
  { event, outcome, seedId }: Step,
  standing: BudgetStanding,
  now: BudgetStanding,
): BudgetMovement | undefined => {
  if (outcome.kind !== "transition") return undefined;
  const { from, to } = outcome.transition;
  const held = standing.reserved[seedId] ?? {};
  if (event.type === "GERMINATE") {
    const { parameters = 0, flops = 0 } = event.gate0;
    return { move: "reserve", seedId, amounts: now.reserved[seedId] ?? { parameters, flops } };
  }
  if (to === "FOSSILIZED") return { move: "commit", seedId, amounts: { parameters: held.parameters ?? 0 } };
  if (isActive(from) && !isActive(to)) return { move: "release", seedId, amounts: held };
  // The kernel tells how many parameters it really has.
  const amounts = now.reserved[seedId];
  return amounts === undefined || sameAmounts(amounts, held) ? undefined : { move: "reserve", seedId, amounts };
};

/** What the lane counted: every use that no commit tells. */
const chargeOf = (standing: BudgetStanding, now: BudgetStanding): readonly BudgetMovement[] => {
  const changed = budgetResources.filter((resource) => now.used[resource] !== standing.used[resource]);
  const used = Object.fromEntries(changed.map((resource) => [resource, now.used[resource] ?? 0]));
  return changed.length === 0 ? [] : [{ move: "charge", used }];
};

/** As before anything was spent. */
const unused = ({ limits, used }: BudgetStanding): BudgetStanding => ({
  limits,
  used: Object.fromEntries(Object.keys(used).map((resource) => [resource, 0])),
  reserved: {},
});

/**
 * The movements between two states of a run, in order: applied to the standing before they give the standing after.
 * Without a state before, the budget is opened; other limits open it anew.
 */
export const budgetMovements = (
  before: KasminaRunState | undefined,
  after: KasminaRunState,
  steps: readonly Step[],
): readonly BudgetMovement[] => {
  const now = wholeStanding(after);
  const movements: BudgetMovement[] = [];
  let standing: BudgetStanding = before === undefined ? unused(now) : wholeStanding(before);
  if (before === undefined || !sameAmounts(standing.limits, now.limits)) {
    standing = { ...standing, limits: now.limits };
    movements.push({ move: "open", standing });
  }
  for (const step of steps) {
    const movement = movementOf(step, standing, now);
    if (movement === undefined) continue;
    movements.push(movement);
    standing = moveBudget(standing, movement);
  }
  return [...movements, ...chargeOf(standing, now)];
};
