/** All signals of a host's layers, from what the programs read of them. */
import type { LayerSignal } from "../../contracts/signal.ts";
import { constantUnits } from "./constant-units.ts";
import { dimensions } from "./dimensions.ts";
import { effectiveRank } from "./effective-rank.ts";
import { explainedErrorGap, rememberRegressions } from "./explained-error.ts";
import { expressivity } from "./expressivity.ts";
import { fisher } from "./fisher.ts";
import { gradientRatios } from "./gradient-ratio.ts";
import type { LayerReading, MeasureOptions } from "./measure.ts";
import { weightGain } from "./weight-gain.ts";

export type { LayerReading } from "./measure.ts";

export interface SiteReading {
  readonly site: string;
  readonly reading: LayerReading;
}

/**
 * One signal for each layer, in the given order.
 * @returns undefined where the gap of one layer could not be measured: a signal with holes would read as health.
 */
export const layerSignals = (sites: readonly SiteReading[], options: MeasureOptions): LayerSignal[] | undefined => {
  const gapOf = explainedErrorGap(rememberRegressions(options.ridge));
  const ratios = gradientRatios(sites.map(({ reading }) => reading));
  const layers: LayerSignal[] = [];
  for (const [index, { site, reading }] of sites.entries()) {
    const gap = gapOf(reading, options);
    if (gap === undefined) return undefined;
    const ratio = ratios[index];
    layers.push({
      site,
      ...gap,
      ...dimensions(reading, options),
      ...effectiveRank(reading, options),
      ...constantUnits(reading, options),
      ...(ratio === undefined ? {} : { gradientRatio: ratio }),
      ...weightGain(reading, options),
      ...fisher(reading, options),
      ...expressivity(reading, options),
    });
  }
  return layers;
};
