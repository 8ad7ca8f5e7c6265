/** The machine a report was made on. */
import { availableParallelism, cpus, platform, release } from "node:os";
import type { Report } from "../contracts/report.ts";

export const describeMachine = (): Report["machine"] => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  node: process.version,
  os: `${platform()} ${release()}`,
});
