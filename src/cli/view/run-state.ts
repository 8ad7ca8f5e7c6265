/**
 * What the terminal knows of the arms, built from messages alone. Pure.
 *
 * V1 A history of measurements holds at most `historyMax` of them, and a decision is remembered only until the next one.
 * V2 A value that was not measured stays absent.
 */
import type { LifecycleState } from "../../contracts/lifecycle.ts";
import type { LayerSignal } from "../../contracts/signal.ts";
import type { ViewMessage } from "./message.ts";

export const historyMax = 24;

export interface ArmState {
  readonly runId: string;
  readonly arm: string;
  readonly epoch: number;
  readonly work: string;
  readonly step: number;
  readonly steps: number;
  readonly hostSteps: number;
  readonly loss?: number;
  readonly validationLoss?: number;
  readonly validationAccuracy?: number;
  /** Part of the FLOPs budget that is spent. */
  readonly budget?: number;
  /** Measurements of each layer, oldest first. */
  readonly layers: ReadonlyMap<string, readonly LayerSignal[]>;
  readonly seed?: { readonly id: string; readonly state: LifecycleState };
  readonly lastWait?: string;
  readonly outcome?: string;
}

export type RunStates = ReadonlyMap<string, ArmState>;

const unknownArm = (runId: string, arm: string): ArmState => ({
  runId,
  arm,
  epoch: 0,
  work: "host",
  step: 0,
  steps: 0,
  hostSteps: 0,
  layers: new Map(),
});

/** The states after a message. */
export const applyMessage = (states: RunStates, { subject, payload }: ViewMessage): RunStates => {
  const update = (runId: string, arm: string | undefined, change: (state: ArmState) => Partial<ArmState>): RunStates => {
    const known = states.get(runId) ?? unknownArm(runId, arm ?? runId);
    return new Map(states).set(runId, { ...known, ...change(known) });
  };
  switch (subject) {
    case "system.events.run":
      if (payload.kind === "started")
        return update(payload.runId, payload.arm, () => ({ arm: payload.arm, hostSteps: payload.hostSteps }));
      if (payload.kind === "finished")
        return update(payload.runId, payload.arm, () => ({ arm: payload.arm, outcome: payload.outcome }));
      return states;
    case "telemetry.run.progress":
      return update(payload.runId, payload.arm, () => ({
        arm: payload.arm,
        epoch: payload.epoch,
        work: payload.work,
        step: payload.step,
        steps: payload.steps,
        loss: payload.loss,
      }));
    case "system.events.epoch": {
      const { result, flopsMax } = payload;
      return update(payload.runId, payload.arm, (state) => ({
        arm: payload.arm,
        epoch: result.epoch,
        work: result.work,
        step: result.steps,
        steps: result.steps,
        ...(result.trainLoss === undefined ? {} : { loss: result.trainLoss }),
        ...(result.validation ? { validationLoss: result.validation.loss, validationAccuracy: result.validation.accuracy } : {}),
        ...(flopsMax > 0 ? { budget: result.flops.total / flopsMax } : {}),
        layers: result.signal ? withLayers(state.layers, result.signal.layers) : state.layers,
      }));
    }
    case "system.events.seed":
      return update(payload.runId, undefined, () => ({ seed: { id: payload.seedId, state: payload.to } }));
    case "system.events.decision":
      return update(payload.runId, undefined, () => ({ lastWait: payload.outcome === "wait" ? payload.reason : "" }));
    default:
      return states;
  }
};

const withLayers = (known: ArmState["layers"], measured: readonly LayerSignal[]): ArmState["layers"] => {
  const next = new Map(known);
  for (const layer of measured) next.set(layer.site, [...(known.get(layer.site) ?? []), layer].slice(-historyMax));
  return next;
};
