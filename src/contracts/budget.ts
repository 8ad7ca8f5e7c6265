/** What a run may spend on trials: the resources, and how a budget stands. */
import { z } from "zod";

export const budgetResources = ["parameters", "flops", "seconds", "deviceBytes"] as const;
export type BudgetResource = (typeof budgetResources)[number];
/** An amount of each resource that is meant; one that is left out is not touched. */
export const BudgetAmounts = z.partialRecord(z.enum(budgetResources), z.number().min(0));
export type BudgetAmounts = z.infer<typeof BudgetAmounts>;

/** What a run may use, has used, and holds back for its open trials. */
export const BudgetStanding = z.strictObject({
  limits: BudgetAmounts,
  used: BudgetAmounts,
  /** By seed. */
  reserved: z.record(z.string(), BudgetAmounts),
});
export type BudgetStanding = z.infer<typeof BudgetStanding>;
