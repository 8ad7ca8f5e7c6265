/** What the programs read of one hidden layer, and the one interface of everything that is made of it. */
import type { LayerSignal } from "../../contracts/signal.ts";
import type { DenseMatrix } from "../linear-algebra.ts";
import type { BlockMoments } from "./blocks.ts";

/** Plain arrays of one layer, from one sampled batch or several pooled ones. A part that could not be read is absent. */
export interface LayerReading {
  /** Features of what the layer reads, and of what layers above it can still read, against the network's error. */
  readonly input: BlockMoments;
  readonly output: BlockMoments;
  /** Covariances of random projections of the input, of the pre-activation, and of each bypass that runs past the layer; each [s, s]. */
  readonly inputSketch: DenseMatrix;
  readonly preActivationSketch: DenseMatrix;
  readonly bypassSketches: readonly DenseMatrix[];
  /** Inputs that a unit sums over for each unit that it reads: a convolution's taps, else 1. */
  readonly taps: number;
  /** Variance of each of its units. */
  readonly unitVariances: ArrayLike<number>;
  /** tr C and ‖C‖² of its output's covariance. */
  readonly covarianceTrace: number;
  readonly covarianceSquares: number;
  /** ‖∂L/∂W‖² (estimated) and ‖W‖². */
  readonly gradientSquares: number;
  readonly weightSquares: number;
  /** Mean over its weights of the mean square times half the inputs that a unit sums over: 1 as He et al. (2015) start it. */
  readonly weightGainSquares: number;
  /** Mean squared gradient of a sample's loss by the pre-activation. */
  readonly preActivationGradientSquares: number;
  /**
   * Moments of [p projections of the input | q random ReLU features of it | projections of the pre-activation's gradient], all centred.
   */
  readonly expressivity: { readonly moments: DenseMatrix; readonly linear: number; readonly features: number };
}

export interface MeasureOptions {
  readonly ridge: number;
}

/** A part of a layer's signal; undefined where it could not be measured. */
export type LayerMeasure<Part extends keyof LayerSignal> = (
  reading: LayerReading,
  options: MeasureOptions,
) => Pick<Required<LayerSignal>, Part> | undefined;
