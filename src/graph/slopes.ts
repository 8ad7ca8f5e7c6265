/** What the loss's gradient at each layer costs: how far back a step must go that trains a bypass ending there. */

import type { Host } from "../contracts/graph.ts";
import { gradients } from "./autodiff.ts";
import { openBinding } from "./bind.ts";
import { prune } from "./emitter.ts";
import { nodeFlops } from "./operators/index.ts";
import { appendLoss } from "./step.ts";

/** FLOPs, for one batch, of the gradient of the mean loss at each layer's pre-activation, beyond the forward pass. In the layers' order. */
export const slopeFlops = (host: Host, batch: number): number[] => {
  const binding = openBinding(host.graph, { batch, mode: "eval" });
  const { perSample } = appendLoss(binding, host, batch);
  const b = binding.emitter;
  const loss = b.mean(perSample, [0], false);
  const forward = new Set(b.nodes.map(({ id }) => id));
  const values = host.layers.map(({ preActivation }) => binding.resolve(preActivation));
  const slopes = gradients(b, loss, values);
  return values.map((value) =>
    prune(b.nodes, [slopes.get(value)!])
      .filter(({ id }) => !forward.has(id))
      .reduce(
        (sum, node) =>
          sum +
          nodeFlops(
            node,
            node.inputs.map((input) => b.type(input)),
            b.type(node.id),
          ),
        0,
      ),
  );
};
