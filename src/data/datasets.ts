/** Loads the data set that the configuration names, into shared memory. One loader for each name. */
import type { DatasetConfig, datasetNames } from "../contracts/config-dataset.ts";
import { InputError } from "../contracts/errors.ts";
import { loadCifar10, loadCifar100 } from "./cifar.ts";
import { loadCsv } from "./csv.ts";
import { loadImageFolder } from "./image-folder.ts";
import { loadFashionMnist, loadIdx, loadMnist } from "./mnist-layout.ts";
import { loadNpz } from "./npz.ts";
import type { DatasetLoader, DatasetPorts, LoadedDataset } from "./ports.ts";
import { loadText } from "./text.ts";

export type { DatasetPorts, LoadedDataset } from "./ports.ts";

const loaders: Readonly<Record<(typeof datasetNames)[number], DatasetLoader>> = {
  mnist: loadMnist,
  "fashion-mnist": loadFashionMnist,
  cifar10: loadCifar10,
  cifar100: loadCifar100,
  text: loadText,
  csv: loadCsv,
  npz: loadNpz,
  idx: loadIdx,
  images: loadImageFolder,
};

const tables: readonly DatasetConfig["name"][] = ["csv", "npz"];

/** What the schema cannot say: which settings belong to which data. */
const checkSettings = ({ name, task }: DatasetConfig): void => {
  if (task === "regression" && !tables.includes(name)) {
    throw new InputError(
      `dataset.task: expected classification for ${name}, found regression; a regression needs ${tables.join(" or ")}`,
      {
        path: "dataset.task",
      },
    );
  }
};

/** Augmentation is for images alone. */
const checkAugmentation = ({ buffers, ...loaded }: LoadedDataset, { augmentation, name }: DatasetConfig): LoadedDataset => {
  const { cropPixels, flip } = augmentation;
  if (buffers.kind === "images" || (cropPixels === 0 && !flip)) return { buffers, ...loaded };
  throw new InputError(
    `dataset.augmentation: expected none for ${name} (${buffers.kind}), found some; crops and mirrors are for images`,
    {
      path: "dataset.augmentation",
    },
  );
};

/**
 * Loads a data set and parts it into training, validation and test samples.
 * Throws DataError (missing or damaged files) or InputError (settings that do not fit the data).
 */
export const loadDataset = async (config: DatasetConfig, ports: DatasetPorts): Promise<LoadedDataset> => {
  checkSettings(config);
  return checkAugmentation(await loaders[config.name](config, ports), config);
};
