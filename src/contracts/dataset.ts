/** A data set in shared memory, so that every lane reads the same bytes, and where in its batches a run stands. */
import { z } from "zod";

export interface SampleBuffer {
  readonly count: number;
  /** uint8 pixels, sample after sample, each in the order of `inputShape`. */
  readonly pixels: SharedArrayBuffer;
  /** uint8 class of each sample. */
  readonly labels: SharedArrayBuffer;
}

export interface DatasetBuffers {
  readonly name: string;
  /** Channels, height, width. */
  readonly inputShape: readonly [number, number, number];
  readonly classes: number;
  /** A pixel p becomes (p / 255 − mean) / sd. */
  readonly mean: number;
  readonly sd: number;
  readonly train: SampleBuffer;
  readonly validation: SampleBuffer;
  readonly test: SampleBuffer;
}

export const splitNames = ["train", "validation", "test"] as const;
export type SplitName = (typeof splitNames)[number];

/** Where a stream of training batches stands; enough to go on bit for bit. */
export const BatchCursorState = z.strictObject({
  /** Samples and batch size that the order was drawn for. */
  samples: z.int().min(1),
  batchSize: z.int().min(1),
  /** Complete passes before this one. */
  pass: z.int().min(0),
  /** Batches already taken from this pass. */
  position: z.int().min(0),
  /** State of the random stream just before this pass was shuffled. */
  random: z.array(z.number()).max(64),
});
export type BatchCursorState = z.infer<typeof BatchCursorState>;
