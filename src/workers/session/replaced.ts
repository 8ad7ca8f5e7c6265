/**
 * A host whose layer was replaced, as its contest starts: the tail that was trained stands under the host's own names and in its cohorts.
 *
 * R1 Nothing of the old layer is left: neither parameters nor running statistics nor moments.
 * R2 The tail's moments go on; they count for as much as they did at the kernel's own step count.
 * R3 What stands before the layer got its gradients through the old weights. Its moments are brought to the size of the fresh ones: Adam would
 *    otherwise hold steps far too small there for as long as it remembers.
 * R4 Everything else before the layer, data order, random state and step counts are the host's.
 */
import type { KernelKey } from "../../contracts/assets.ts";
import type { Host, Tensor } from "../../contracts/graph.ts";
import { parameterOf, recountFactor } from "../../graph/optimizers.ts";
import { ownName } from "../../graph/replace.ts";
import type { Learner, TensorMap } from "./learner.ts";

const scaled = ({ dtype, shape, data }: Tensor, factor: number): Tensor => ({
  dtype,
  shape,
  data: Float32Array.from(data, (value) => value * factor),
});

/** Size of a layer's weights; its shifts and scales do not count. */
const weightSize = (host: Host, site: string, tensorOf: (name: string) => Tensor | undefined): number => {
  const own = new Set(host.layers.find(({ name }) => name === site)?.parameters);
  let squares = 0;
  for (const { name, shape } of host.graph.parameters) {
    if (!own.has(name) || shape.length < 2) continue;
    for (const value of tensorOf(name)?.data ?? []) squares += value * value;
  }
  return Math.sqrt(squares);
};

/** A gradient's size to the power with which it stands in a slot; 0 for what is no slot. */
const gradientPower = (name: string): 0 | 1 | 2 => (name.endsWith("#v") ? 2 : parameterOf(name) === name ? 0 : 1);

/** What is read of a learner. */
interface Trained {
  readonly tensors: TensorMap;
  readonly state: Pick<Learner["state"], "cohortSteps">;
}

/** What changes in the host's tensors, by its own names. */
export const replacedTensors = (
  { seedId, optimizer, fromSite }: Pick<KernelKey, "seedId" | "optimizer" | "fromSite">,
  host: Host,
  kernel: Trained,
  present: Trained,
): TensorMap => {
  const cohorts = new Map(host.graph.parameters.map(({ name, cohort }) => [name, cohort]));
  const [trained, hostSteps] = [kernel.state.cohortSteps[seedId] ?? 0, present.state.cohortSteps];
  const changed = new Map<string, Tensor>();
  for (const [name, tensor] of kernel.tensors) {
    const own = ownName(seedId, name);
    changed.set(own, scaled(tensor, recountFactor(optimizer, own, trained, hostSteps[cohorts.get(parameterOf(own)) ?? ""] ?? 0))); // R1, R2
  }
  const before = weightSize(host, fromSite, (name) => present.tensors.get(name));
  const ratio = before > 0 ? weightSize(host, fromSite, (name) => changed.get(name)) / before : 1;
  for (const [name, tensor] of present.tensors) {
    const power = gradientPower(name);
    if (power > 0 && !changed.has(name)) changed.set(name, scaled(tensor, ratio ** power)); // R3
  }
  return changed;
};
