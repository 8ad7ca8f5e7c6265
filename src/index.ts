/**
 * Esper as a library: read a configuration, run a node, look at its report, steer it over NATS.
 *
 * ```ts
 * import { createSystemClock, createSystemEntropy, loadConfig, runNode, silentLog } from "esper";
 *
 * const config = loadConfig({ file: "configs/quickstart.yaml" });
 * const { report } = await runNode({
 *   config,
 *   ports: { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog },
 *   view: { onMessage: (message) => console.log(message.subject), note: console.log },
 *   signal: new AbortController().signal,
 * });
 * ```
 */

export type { Bus, MessageContext, PublishOutcome, RequestOutcome } from "./bus/bus.ts";
export { connectOperator } from "./bus/create.ts";
export { type ConfigOverride, loadConfig } from "./config/load.ts";
export { EsperConfig } from "./contracts/config.ts";
export { Envelope } from "./contracts/envelope.ts";
export { EsperError } from "./contracts/errors.ts";
export { type LifecycleState, legalTransitions, lifecycleStates, SeedTransition } from "./contracts/lifecycle.ts";
export { type Clock, type Entropy, type Log, silentLog } from "./contracts/ports.ts";
export { Report } from "./contracts/report.ts";
export { type PayloadOf, type SubjectName, subjects } from "./contracts/subjects.ts";
export { machines } from "./machines/catalogue.ts";
export type { NodeHandle, NodePorts, NodeView, RunNode, RunNodeOptions, RunNodeResult } from "./node/api.ts";
export { runNode } from "./node/node.ts";
export { createFileLog, createSystemClock, createSystemEntropy } from "./ports/system.ts";
