/** What this process measures of itself: memory, processor, and how late its event loop runs. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, type Registry } from "prom-client";

const resolutionMs = 20;
const quantiles = [0.5, 0.9, 0.99] as const;
const nanosecondsPerSecond = 1e9;

/** Registers them. Returns what ends the measuring. */
export const registerProcessMetrics = (registry: Registry): (() => void) => {
  const loop = monitorEventLoopDelay({ resolution: resolutionMs });
  loop.enable();
  const registers = [registry];
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory of the node's process.",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: "nodejs_heap_used_bytes",
    help: "Memory that JavaScript objects use.",
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed);
    },
  });
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Processor time that the process has used, lanes included.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "nodejs_eventloop_lag_seconds",
    help: "How late the event loop runs, since the last time that this was read.",
    labelNames: ["quantile"],
    registers,
    collect() {
      for (const quantile of quantiles) {
        const late = loop.percentile(quantile * 100) / nanosecondsPerSecond - resolutionMs / 1000;
        this.set({ quantile: String(quantile) }, Math.max(0, late));
      }
      loop.reset();
    },
  });
  return () => loop.disable();
};
