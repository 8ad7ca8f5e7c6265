/** Counts what came of commands at the Gate, and how long it took. Its labels come from closed lists, so that it cannot grow. */
import type { CommandReceipt } from "../contracts/commands.ts";
import { type CommandCounts, gateBucketsSeconds } from "../contracts/observed.ts";
import type { Clock } from "../contracts/ports.ts";
import { commandKinds, type Requester } from "../contracts/roles.ts";

interface Metered {
  readonly by: Pick<Requester, "transport">;
  readonly command: unknown;
}

export interface GateMeter {
  /** Runs the handler and counts what came of it. */
  around<R extends Metered>(handle: (request: R) => Promise<CommandReceipt>): (request: R) => Promise<CommandReceipt>;
  counts(): CommandCounts;
}

const kindOf = (command: unknown): string => {
  const given = typeof command === "object" && command !== null && "kind" in command ? command.kind : undefined;
  return commandKinds.find((kind) => kind === given) ?? "invalid";
};

export const createGateMeter = (clock: Pick<Clock, "monotonicMs">): GateMeter => {
  const counts = new Map<string, CommandCounts["counts"][number]>();
  const buckets = gateBucketsSeconds.map(() => 0).concat(0);
  let sum = 0;
  const record = ({ by: { transport }, command }: Metered, receipt: CommandReceipt, seconds: number): void => {
    const kind = kindOf(command);
    const outcome = receipt.kind === "refused" ? receipt.code : receipt.kind;
    const key = `${kind} ${transport} ${outcome}`;
    counts.set(key, { kind, transport, outcome, count: (counts.get(key)?.count ?? 0) + 1 });
    const bucket = gateBucketsSeconds.findIndex((bound) => seconds <= bound);
    const place = bucket < 0 ? gateBucketsSeconds.length : bucket;
    buckets[place] = (buckets[place] ?? 0) + 1;
    sum += seconds;
  };
  return {
    around: (handle) => async (request) => {
      const startMs = clock.monotonicMs();
      const receipt = await handle(request);
      record(request, receipt, Math.max(0, clock.monotonicMs() - startMs) / 1000);
      return receipt;
    },
    counts: () => ({ counts: [...counts.values()], seconds: { buckets: [...buckets], sum } }),
  };
};
