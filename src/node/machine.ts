/** The machine that a report was made on, and that kernels are measured on. */
import { availableParallelism, cpus, platform, release } from "node:os";
import type { Report } from "../contracts/report.ts";

export const describeMachine = (): Report["machine"] => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  node: process.version,
  os: `${platform()} ${release()}`,
});

/** What a measurement of time holds for: the processor, its cores, the runtime. */
export const machineName = (): string => {
  const { cpu, cores, node, os } = describeMachine();
  return `${cpu}, ${cores} cores, ${os}, node ${node}`.slice(0, 300);
};
