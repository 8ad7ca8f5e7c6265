/**
 * A kernel's first parameters by TINY: moments of some training batches, the best units, and how strongly they write.
 *
 * T1 Every pass is charged as `gate`; where the budget has no room for all of them nothing runs and the answer is undefined.
 * T2 The amplitude is the one of the listed whose loss on one batch is least. 0 is among them: units that do not help start as nothing.
 */

import type { Host, Program, Tensor } from "../../contracts/graph.ts";
import { tinyAmplitudes } from "../../contracts/trial.ts";
import type { Engine } from "../../engine/engine.ts";
import { blueprints, bypassFor } from "../../graph/blueprints/index.ts";
import { hiddenUnits, linearUnitsMax, writeLinearUnits } from "../../graph/blueprints/tiny-start.ts";
import { programFlops } from "../../graph/flops.ts";
import { alphaInput, seedValue } from "../../graph/rewrite.ts";
import { tinyMomentNames, tinyMoments } from "../../graph/tiny-moments.ts";
import { mean } from "../../growth/statistics.ts";
import type { TinyMoments } from "../../growth/tiny.ts";
import { tinyUnits } from "../../growth/tiny.ts";
import { feedsFor } from "./evaluation.ts";
import type { FlopsLedger } from "./flops.ts";
import type { LoadedKernel } from "./kernels.ts";
import type { Learner, TensorMap } from "./learner.ts";
import { scalar } from "./learner.ts";

export interface TinyStart {
  readonly engine: Engine;
  readonly kernel: LoadedKernel;
  readonly host: Host;
  /** Gives the batches and holds the kernel's first parameters; its cursor moves. */
  readonly learner: Learner;
  readonly hostTensors: TensorMap;
  readonly ledger: FlopsLedger;
  readonly batches: number;
  readonly ridge: number;
}

const layerNamed = (host: Host, site: string) => host.layers.find(({ name }) => name === site)!;

/** The sum of the programs' outputs over the batches, divided by their number. */
const meanMoments = async (program: Program, { engine, learner, hostTensors, batches }: TinyStart): Promise<TinyMoments> => {
  const executable = await engine.load(await engine.compile(program));
  try {
    const sums: Record<string, { shape: readonly number[]; data: Float64Array }> = {};
    for (let batch = 0; batch < batches; batch++) {
      const { x, y } = learner.nextBatch();
      const outputs = await executable.run(feedsFor(executable, { ...Object.fromEntries(hostTensors), x, y }));
      for (const name of tinyMomentNames) {
        const { shape, data } = outputs[name]!;
        const sum = sums[name] ?? { shape, data: new Float64Array(data.length) };
        sums[name] = sum;
        data.forEach((value: number, i: number) => {
          sum.data[i] = sum.data[i]! + value / batches;
        });
      }
    }
    const matrix = (name: (typeof tinyMomentNames)[number]) => {
      const { shape, data } = sums[name]!;
      return { rows: shape[0]!, columns: shape[1]!, data };
    };
    return {
      read: matrix("read"),
      present: matrix("present"),
      overlap: matrix("overlap"),
      presentGradient: matrix("presentGradient"),
      readGradient: matrix("readGradient"),
    };
  } finally {
    await executable.dispose();
  }
};

/** T2. */
const bestAmplitude = async ({ kernel, learner, hostTensors }: TinyStart, parameters: TensorMap): Promise<number> => {
  const { grownEvaluate } = kernel.programs;
  const { x, y } = learner.nextBatch();
  const tensors = {
    ...Object.fromEntries(hostTensors),
    ...Object.fromEntries(learner.tensors),
    ...Object.fromEntries(parameters),
    x,
    y,
  };
  let best = { amplitude: 0, loss: Number.POSITIVE_INFINITY };
  for (const amplitude of tinyAmplitudes) {
    const feeds = feedsFor(grownEvaluate, { ...tensors, [alphaInput(kernel.key.seedId)]: scalar(amplitude) });
    const loss = mean((await grownEvaluate.run(feeds))["lossPerSample"]!.data);
    if (loss < best.loss) best = { amplitude, loss };
  }
  return best.amplitude;
};

/** The kernel's parameters as TINY starts them; undefined where the budget has no room (T1) or the moments are not finite. */
export const tinyStart = async (
  start: TinyStart,
  parameters: ReadonlyMap<string, Tensor>,
): Promise<Map<string, Tensor> | undefined> => {
  const { kernel, host, ledger, ridge, batches } = start;
  const { seedId, request, fromSite, toSite, batchSize } = kernel.key;
  const layers = request.kind === "replacement" ? undefined : blueprints[request.kind].tiny;
  if (layers === undefined) return undefined;
  const [from, to] = [layerNamed(host, fromSite), layerNamed(host, toSite)];
  const blueprint = bypassFor(host, from.input, toSite, request);
  const program = tinyMoments({ host, from, to, blueprint, batch: batchSize });
  const flops = batches * programFlops(program) + tinyAmplitudes.length * kernel.flops.grownEvaluate;
  if (!ledger.fits(flops)) return undefined; // T1
  ledger.charge("gate", flops);
  const { width, bias } = hiddenUnits(blueprint, layers);
  const units = tinyUnits(await meanMoments(program, start), { count: linearUnitsMax(width, layers), centred: bias, ridge });
  if (units === undefined) return undefined;
  const named = { ...layers, first: seedValue(seedId, layers.first), last: seedValue(seedId, layers.last) };
  const own = layers.middle === undefined ? named : { ...named, middle: seedValue(seedId, layers.middle) };
  const amplitude = await bestAmplitude(start, writeLinearUnits(parameters, own, units, 1));
  return writeLinearUnits(parameters, own, units, amplitude);
};
