/** What is known beforehand of a published data set in MNIST's layout: four IDX files. */
import type { DatasetConfig } from "../contracts/config.ts";

export type FileRole = "trainImages" | "trainLabels" | "testImages" | "testLabels";

export interface MnistLike {
  readonly name: DatasetConfig["name"];
  /** Channels, height, width. */
  readonly inputShape: readonly [number, number, number];
  readonly classes: number;
  /** Of the training pixels as fractions of 255. */
  readonly mean: number;
  readonly sd: number;
  /** Folders of this machine that may hold the files, best first. */
  readonly places: () => readonly string[];
  /** The official files are `<mirror><file name>.gz`. */
  readonly mirrors: readonly string[];
  /** SHA-256 of each original file, unpacked. */
  readonly sha256: Readonly<Record<FileRole, string>>;
}

/** Plain name; `.gz` may follow. The same in every set of this layout. */
export const fileNames: Readonly<Record<FileRole, string>> = {
  trainImages: "train-images-idx3-ubyte",
  trainLabels: "train-labels-idx1-ubyte",
  testImages: "t10k-images-idx3-ubyte",
  testLabels: "t10k-labels-idx1-ubyte",
};
