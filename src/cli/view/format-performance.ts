/** How a node does, as tables: its breakers and its actors' queues. Pure; what was not measured is a dash. */
import Table from "cli-table3";
import type { Performance } from "../../contracts/performance.ts";
import { missing } from "./format-values.ts";

const style = { head: [], border: [], compact: true };

const ms = (value: number | undefined): string => (value === undefined ? missing : value.toFixed(1));

const visible = (text: string): string => text.replaceAll(/\p{Cc}+/gu, " ");

export const formatPerformance = ({ breakers, queues }: Performance): string[] => {
  const calls = new Table({
    head: ["breaker", "state", "calls", "failed", "rejected", "p50 ms", "p99 ms", "last error"],
    style,
  });
  for (const { name, state, latency, lastError, ...counts } of breakers)
    calls.push([
      name,
      state,
      String(counts.calls),
      String(counts.failed),
      String(counts.rejected),
      ms(latency?.p50Ms),
      ms(latency?.p99Ms),
      lastError === undefined ? missing : visible(lastError),
    ]);
  if (queues.length === 0) return calls.toString().split("\n");
  const mailboxes = new Table({ head: ["actor", "waiting", "most", "handled", "dead", "longest ms"], style });
  for (const { actor, mailboxDepth, mailboxDepthMax, processed, deadLetters, processingMsMax } of queues)
    mailboxes.push([
      actor,
      String(mailboxDepth),
      String(mailboxDepthMax),
      String(processed),
      String(deadLetters),
      processed === 0 ? missing : ms(processingMsMax),
    ]);
  return [...calls.toString().split("\n"), ...mailboxes.toString().split("\n")];
};
