/**
 * One window under way: counts its steps and losses, looks at the stop flag and at the budget before every step, tells progress.
 *
 * W1 The stop flag ends the window between two steps, never within one.
 * W2 A step is charged when it is done, and begun only when the budget has room for it.
 */
import type { Anomaly, KernelMeasurement } from "../../contracts/measure.ts";
import type { EpochPlan, EpochResult, LaneProgress } from "../../contracts/plan.ts";
import type { SeedStateTable } from "../../contracts/seed-state.ts";
import type { OpenWindow } from "../session-state.ts";
import type { FlopsKind, FlopsLedger } from "./flops.ts";
import type { StepResult } from "./learner.ts";

/** How a loop of steps ended. `halted`: a step said that the next makes no sense. */
export type LoopEnd = "complete" | "interrupted" | "budget" | "halted";

/** Milliseconds that only grow. */
export type Stopwatch = () => number;

export interface WindowPorts {
  readonly ledger: FlopsLedger;
  readonly table: SeedStateTable;
  readonly nowMs: Stopwatch;
  /** At most `progressHz` calls a second. */
  readonly progressHz: number;
  readonly tell: (progress: LaneProgress) => void;
}

export interface StepLoop {
  readonly steps: number;
  readonly kind: FlopsKind;
  readonly flopsOf: (index: number) => number;
  readonly step: (index: number) => Promise<StepResult>;
  /** True when the next step was taken elsewhere already: it is recorded, whatever the stop flag says. */
  readonly taken?: () => boolean;
  /** False ends the loop after this step. */
  readonly goesOn?: (result: StepResult, index: number) => boolean;
}

/** What the signal and the seed at work told, and what went wrong. */
export class TrainingWindow {
  readonly plan: EpochPlan;
  readonly anomalies: Anomaly[] = [];
  readonly losses: number[];
  kernel: KernelMeasurement | undefined;
  /** What became of kernels that commands brought into the cache. */
  readonly cached: NonNullable<EpochResult["cached"]>[number][] = [];
  hostChanged: boolean;
  interrupted = false;
  /** Steps of the twin that a second lane took, since the window was opened or taken up again. */
  secondLaneSteps = 0;
  /** False once a step's loss was not a number that counts. */
  finite = true;
  readonly #ports: WindowPorts;
  readonly #startMs: number;
  #toldMs: number;
  #steps: number;
  #finiteSteps: number;
  #lossSum: number;
  #gradNormSum: number;

  constructor(plan: EpochPlan, ports: WindowPorts, open?: OpenWindow) {
    this.plan = plan;
    this.#ports = ports;
    this.#startMs = ports.nowMs();
    this.#toldMs = this.#startMs;
    this.#steps = open?.steps ?? 0;
    this.#finiteSteps = this.#steps;
    this.#lossSum = open?.lossSum ?? 0;
    this.#gradNormSum = open?.gradNormSum ?? 0;
    this.losses = [...(open?.losses ?? [])];
    this.hostChanged = open?.hostChanged ?? false;
    ports.table.windowStep = this.#steps;
  }

  get steps(): number {
    return this.#steps;
  }

  get durationMs(): number {
    return this.#ports.nowMs() - this.#startMs;
  }

  /** Means over the finite steps so far. */
  get meanLoss(): number | undefined {
    return this.#finiteSteps === 0 ? undefined : this.#lossSum / this.#finiteSteps;
  }
  get meanGradNorm(): number | undefined {
    return this.#finiteSteps === 0 ? undefined : this.#gradNormSum / this.#finiteSteps;
  }

  get open(): OpenWindow {
    return {
      plan: this.plan,
      steps: this.#steps,
      lossSum: this.#lossSum,
      gradNormSum: this.#gradNormSum,
      losses: this.losses,
      hostChanged: this.hostChanged,
    };
  }

  async run(loop: StepLoop): Promise<LoopEnd> {
    const { ledger, table } = this.#ports;
    while (this.#steps < loop.steps) {
      if (table.stopRequested && loop.taken?.() !== true) {
        this.interrupted = true; // W1
        return "interrupted";
      }
      const index = this.#steps;
      const flops = loop.flopsOf(index);
      if (!ledger.fits(flops)) return "budget"; // W2
      const result = await loop.step(index);
      ledger.charge(loop.kind, flops);
      this.#steps++;
      this.#record(result);
      table.windowStep = this.#steps;
      this.#tell(loop.steps, result.loss);
      if (loop.goesOn?.(result, index) === false) return "halted";
    }
    return "complete";
  }

  #record({ loss, gradNorm }: StepResult): void {
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      this.finite = false;
      return;
    }
    this.#finiteSteps++;
    this.#lossSum += loss;
    this.#gradNormSum += gradNorm;
  }

  #tell(steps: number, loss: number): void {
    const now = this.#ports.nowMs();
    if (now - this.#toldMs < 1000 / this.#ports.progressHz || !Number.isFinite(loss)) return;
    this.#toldMs = now;
    const { runId, epoch, work } = this.plan;
    this.#ports.tell({ runId, epoch, work: work.kind, step: this.#steps, steps, loss });
  }
}
