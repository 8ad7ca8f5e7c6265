/** How this node does at this moment, gathered from its breakers and from the tree of its actors. */
import { Performance } from "../contracts/performance.ts";
import type { Clock } from "../contracts/ports.ts";
import type { Breakers } from "../resilience/breakers.ts";
import type { SupervisorTree } from "../supervision/spec.ts";

type Queue = Performance["queues"][number];

const queuesMax = 1000;
const actorLengthMax = 1000;

const queuesOf = (tree: SupervisorTree): readonly Queue[] =>
  tree.children.flatMap(({ path, stats, nested }) => {
    if (nested !== null) return queuesOf(nested);
    if (stats === null) return [];
    const { mailboxDepth, mailboxDepthMax, processed, deadLetters, processingMsTotal, processingMsMax } = stats;
    const counts = { mailboxDepth, mailboxDepthMax, processed, deadLetters, processingMsTotal, processingMsMax };
    return [{ actor: path.slice(0, actorLengthMax), ...counts }];
  });

export const performanceOf = (tree: SupervisorTree, breakers: Breakers, clock: Clock): Performance =>
  Performance.parse({ atMs: clock.nowMs(), breakers: breakers.stats(), queues: queuesOf(tree).slice(0, queuesMax) });
