/**
 * What training costs, and the budget that holds every arm to the same.
 *
 * F1 `charge` is called with FLOPs that fit: the total never exceeds the budget.
 * F2 Monitoring is counted and not charged: it is the same in every arm.
 */
import { type FlopsAccount, zeroFlops } from "../../contracts/measure.ts";

export type FlopsKind = "host" | "kernel" | "trial" | "signal" | "gate";

export class FlopsLedger {
  readonly flopsMax: number;
  #account: FlopsAccount;

  constructor(flopsMax: number, account?: FlopsAccount) {
    this.flopsMax = flopsMax;
    this.#account = account ?? zeroFlops;
  }

  get account(): FlopsAccount {
    return { ...this.#account };
  }

  fits(flops: number): boolean {
    return this.#account.total + flops <= this.flopsMax;
  }

  /** F1. */
  charge(kind: FlopsKind, flops: number): void {
    if (!this.fits(flops)) {
      const left = this.flopsMax - this.#account.total;
      throw new RangeError(`FLOPs for ${kind}: expected at most the ${left} that the budget has left, found ${flops}`);
    }
    this.#account = {
      ...this.#account,
      [kind]: this.#account[kind] + flops,
      total: this.#account.total + flops,
    };
  }

  /** Books FLOPs that are charged already under another name; the total stays. */
  rebook(from: FlopsKind, to: FlopsKind, flops: number): void {
    this.#account = { ...this.#account, [from]: this.#account[from] - flops };
    this.#account = { ...this.#account, [to]: this.#account[to] + flops };
  }

  /** F2. */
  monitor(flops: number): void {
    this.#account = { ...this.#account, monitoring: this.#account.monitoring + flops };
  }
}
