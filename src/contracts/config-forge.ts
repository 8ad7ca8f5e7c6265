/** How work goes to forges: those of this node, and those of other machines that joined its bus. */
import { z } from "zod";
import { MachineTag, NodeName } from "./work.ts";

export const ForgeConfig = z.strictObject({
  tags: z.array(MachineTag).max(16).default([]).describe("What this machine says of itself; a task may ask for it."),
  costTier: z.int().min(1).max(5).default(3).describe("What work costs here, from 1 (cheap) to 5; told to whoever looks."),
  requiredTags: z
    .array(MachineTag)
    .max(16)
    .default([])
    .describe("Words that a forge's machine must have to take this run's work."),
  assignee: NodeName.optional().describe("The one node that shall do this run's work; left out, whichever is free."),
  latencyMsMax: z.number().positive().optional().describe("Measured median of a kernel step; a slower kernel is not accepted."),
  memoryBytesMax: z.int().min(1).optional().describe("Measured memory of a kernel; a larger one is not accepted."),
  tokenMsMax: z
    .int()
    .min(1)
    .default(600_000)
    .describe("Life of a task's capability token, and so of the task; it ends with the task's deadline if that is sooner."),
  clockSkewMs: z
    .int()
    .min(0)
    .max(3_600_000)
    .default(5_000)
    .describe("How far the clocks of two nodes may differ: a token's times are taken with this tolerance."),
  ackWaitMs: z
    .int()
    .min(500)
    .default(15_000)
    .describe("A forge says three times in this period that it is still at work; after its silence the task goes to another."),
  deliveriesMax: z
    .int()
    .min(2)
    .max(1_000)
    .default(20)
    .describe("Handed over this often and never done, a task is a dead letter."),
  declinesMax: z
    .int()
    .min(1)
    .max(1_000)
    .default(8)
    .describe("Handed over this often, a task that the forge at hand cannot do is told as failed; before, another may take it."),
  joinMs: z
    .int()
    .min(1)
    .default(120_000)
    .describe("How long a forge on another machine looks for its NATS server before it ends."),
});
export type ForgeConfig = z.infer<typeof ForgeConfig>;
