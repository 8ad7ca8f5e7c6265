/**
 * The signal: what a layer's input still knows of the network's error and its output has lost.
 * `explained[i]` is the fraction of the error that random features of activation i explain; layer i maps activation i to i + 1.
 */
import type { LayerSignal } from "../contracts/measure.ts";
import type { Moments } from "./ridge.ts";
import { explainedFraction } from "./ridge.ts";

/**
 * Gaps of the hidden layers `sites`, from the moments of the host's input and of each hidden layer's output, in order of depth.
 * @returns undefined where an activation could not be measured: a signal with holes would read as health.
 */
export const explainedErrorGaps = (
  sites: readonly string[],
  activations: readonly Moments[],
  ridge: number,
): LayerSignal[] | undefined => {
  const explained = activations.map((moments) => explainedFraction(moments, ridge));
  const layers: LayerSignal[] = [];
  for (const [index, site] of sites.entries()) {
    const [explainedIn, explainedOut] = [explained[index], explained[index + 1]];
    if (explainedIn === undefined || explainedOut === undefined) return undefined;
    layers.push({ site, explainedIn, explainedOut, gap: explainedIn - explainedOut });
  }
  return layers;
};

/** The layer of the largest gap; the first on ties. */
export const largestGap = (layers: readonly LayerSignal[]): LayerSignal | undefined =>
  layers.reduce<LayerSignal | undefined>((best, layer) => (best === undefined || layer.gap > best.gap ? layer : best), undefined);
