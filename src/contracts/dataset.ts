/** A data set in shared memory, so that every lane reads the same bytes, and where in its batches a run stands. */
import { z } from "zod";
import type { Task } from "./graph.ts";

export interface SampleBuffer {
  readonly count: number;
  /** Sample after sample, each in the order of `inputShape`: uint8 pixels of images, int32 token ids, float32 columns of tables. */
  readonly inputs: SharedArrayBuffer;
  /** Sample after sample: int32 classes [rows], or float32 values [classes] of a regression. */
  readonly targets: SharedArrayBuffer;
}

export interface Augmentation {
  /** Zero padding before a random crop to the image's own size, in pixels; 0: none. */
  readonly cropPixels: number;
  readonly flip: boolean;
}

/** How a column of a table became inputs: standardised as (value − mean) / sd, or 1 at the place of its text and 0 elsewhere. */
export type InputColumn =
  | { readonly kind: "number"; readonly name: string; readonly mean: number; readonly sd: number }
  | { readonly kind: "text"; readonly name: string; readonly categories: readonly string[] };

/** A target of a regression: value = prediction · sd + mean. */
export interface TargetScale {
  readonly name: string;
  readonly mean: number;
  readonly sd: number;
}

/** Enough to prepare a new row, and to read a prediction in the data's own units. */
export interface TableEncoding {
  readonly inputs: readonly InputColumn[];
  /** Empty for a classification. */
  readonly targets: readonly TargetScale[];
}

export interface DatasetBuffers {
  readonly name: string;
  readonly kind: "images" | "tokens" | "table";
  readonly task: Task;
  /** Of one sample: [channels, height, width], [tokens] or [columns]. */
  readonly inputShape: readonly number[];
  /** Predictions for each sample: 1, or one for each token. */
  readonly rows: number;
  /** Classes, size of the vocabulary, or outputs of a regression. */
  readonly classes: number;
  /** Per channel; a pixel p of channel c becomes (p / 255 − mean[c]) / sd[c]. Empty for other kinds: tables are standardised when they are loaded. */
  readonly mean: readonly number[];
  readonly sd: readonly number[];
  /** The character of each token id; for tokens only. */
  readonly vocabulary?: readonly string[];
  /** The name of each class, where the data name them. */
  readonly classNames?: readonly string[];
  /** For tables only; its statistics are those of the training samples. */
  readonly table?: TableEncoding;
  /** Drawn for training batches only. */
  readonly augmentation: Augmentation;
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
