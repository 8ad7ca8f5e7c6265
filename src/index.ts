/**
 * Esper as a library: make a model of your own grow, or read a configuration, run a node, look at its report, steer it over NATS.
 *
 * ```ts
 * import { wrap } from "esper";
 *
 * const model = await wrap("model.onnx"); // or a tf.LayersModel, or {name: "mlp", widths: [64, 64]}
 * await model.fit({ x, y }, { epochs: 5 });
 * await model.export("grown.onnx");
 * ```
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
export { importModel } from "./interchange/import-model.ts";
export type { ImportedModel } from "./interchange/imported.ts";
export type { Lineage } from "./interchange/lineage.ts";
export type { Adapter } from "./library/adapters.ts";
export type { ArrayInput } from "./library/arrays.ts";
export type { FitOptions, FitResult, WindowReport } from "./library/fit.ts";
export { type FitData, MorphableModel, type Predictions } from "./library/model.ts";
export type { ExportOptions } from "./library/save.ts";
export type { UserData } from "./library/user-data.ts";
export { type WrapOptions, type WrapSource, wrap } from "./library/wrap.ts";
export { machines } from "./machines/catalogue.ts";
export type { NodeHandle, NodePorts, NodeView, RunNode, RunNodeOptions, RunNodeResult } from "./node/api.ts";
export { runNode } from "./node/node.ts";
export { createFileLog, createSystemClock, createSystemEntropy } from "./ports/system.ts";
