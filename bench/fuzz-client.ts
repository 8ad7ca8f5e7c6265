/**
 * The one who asks nonsense, in a process of its own, so that what it keeps is not counted as the node's. Started by `fork`: it gets
 * {target} once, then {kind, seed, count} as often as is wanted, and answers each with a count.
 */
import { type FuzzKind, type FuzzSender, type FuzzTarget, openFuzz } from "./fuzz-send.ts";

export type FuzzOrder =
  | { readonly target: FuzzTarget }
  | { readonly kind: FuzzKind; readonly seed: number; readonly count: number };

let sender: FuzzSender | undefined;
process.on("message", (order: FuzzOrder) => {
  if ("target" in order) {
    sender = openFuzz(order.target);
    process.send?.({ ready: true });
    return;
  }
  void sender?.send(order.kind, order.seed, order.count).then((count) => process.send?.(count));
});
process.on("disconnect", () => process.exit(0));
