/** Images of the user's own as a data set: parted, and normalised by the statistics of their training images. */
import type { DatasetConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { channelStatistics, gatherImages, limited, splitRows } from "./split.ts";

export interface OwnImages {
  /** Bytes, [images, channels, height, width]. */
  readonly pixels: Uint8Array;
  readonly labels: ArrayLike<number>;
  readonly inputShape: readonly [channels: number, height: number, width: number];
  readonly classes: number;
  readonly classNames?: readonly string[];
  /** Images at the end that the data bring as test data; 0: they are drawn. */
  readonly testRows: number;
}

export const ownImages = (
  config: DatasetConfig,
  { inputShape, classes, classNames, testRows, ...samples }: OwnImages,
): DatasetBuffers => {
  const stride = inputShape[0] * inputShape[1] * inputShape[2];
  const split = splitRows(config, samples.labels.length, testRows);
  return {
    name: config.name,
    kind: "images",
    task: "classification",
    inputShape,
    rows: 1,
    classes,
    ...channelStatistics(samples.pixels, inputShape, split.train),
    ...(classNames === undefined ? {} : { classNames }),
    augmentation: config.augmentation,
    train: gatherImages(samples, stride, limited(config, split.train)),
    validation: gatherImages(samples, stride, split.validation),
    test: gatherImages(samples, stride, split.test),
  };
};
