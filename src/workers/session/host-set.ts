/** A host with its programs, ready to run: compiled here for the first host, taken from a kernel once that was folded in. */
import type { Host } from "../../contracts/graph.ts";
import type { HostSummary } from "../../contracts/plan.ts";
import type { Engine, Executable } from "../../engine/engine.ts";
import { programFlops } from "../../graph/flops.ts";
import type { LoadedKernel } from "./kernels.ts";
import type { HostProgramName, ProgramOptions } from "./programs.ts";
import { hostProgramNames, hostPrograms, summarizeHost } from "./programs.ts";

export interface HostSet {
  readonly host: Host;
  readonly programs: Readonly<Record<HostProgramName, Executable>>;
  /** FLOPs of one run of each program. */
  readonly flops: Readonly<Record<HostProgramName, number>>;
  readonly summary: HostSummary;
  /** The kernel that owns the programs; absent when they are the session's own. */
  readonly kernel?: LoadedKernel;
}

const summaryOf = (host: Host, batchSize: number, { step, evaluate }: HostSet["flops"]): HostSummary =>
  summarizeHost(host, { batchSize, stepFlops: step, forwardFlops: evaluate });

export const openHost = async (engine: Engine, host: Host, options: ProgramOptions): Promise<HostSet> => {
  const programs = hostPrograms(host, options);
  const loaded = {} as Record<HostProgramName, Executable>;
  const flops = {} as Record<HostProgramName, number>;
  for (const name of hostProgramNames) {
    loaded[name] = await engine.load(await engine.compile(programs[name]));
    flops[name] = programFlops(programs[name]);
  }
  return { host, programs: loaded, flops, summary: summaryOf(host, options.batchSize, flops) };
};

/** The grown host: `jointStep` is its own step from now on. */
export const foldedHostSet = (kernel: LoadedKernel): HostSet => {
  const { jointStep: step, foldedEvaluate: evaluate, foldedSignal: signal, foldedSpans: spans } = kernel.programs;
  const flops = {
    step: kernel.flops.jointStep,
    evaluate: kernel.flops.foldedEvaluate,
    signal: kernel.flops.foldedSignal,
    spans: kernel.flops.foldedSpans,
  };
  return {
    host: kernel.foldedHost,
    programs: { step, evaluate, signal, spans },
    flops,
    summary: summaryOf(kernel.foldedHost, kernel.key.batchSize, flops),
    kernel,
  };
};

export const disposeHost = async ({ programs, kernel }: HostSet): Promise<void> => {
  if (kernel === undefined) await Promise.all(Object.values(programs).map((program) => program.dispose()));
};
