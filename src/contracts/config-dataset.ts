/** What to train on: sets that ship, and data of the user's own. */
import { z } from "zod";
import { shown } from "./shown.ts";

export const datasetNames = ["mnist", "fashion-mnist", "cifar10", "cifar100", "text", "csv", "npz", "idx", "images"] as const;

export const DatasetConfig = z.strictObject({
  name: z
    .enum(datasetNames)
    .default("mnist")
    .describe(
      "A set that ships, or the form of your own: `text` (any UTF-8 file, next-character prediction), `csv` and `npz` (tables), `idx` (MNIST's layout), `images` (a folder for each class).",
    ),
  dataDir: shown("report, notes, errors", z.string())
    .optional()
    .describe(
      "Folder with the set's files (plain or .gz), or with a folder of the set's name that holds them; when given, no other place is looked in. For `images` the folder of class folders.",
    ),
  file: shown("report, notes, errors", z.string()).optional().describe("The file of `text`, `csv` and `npz`."),
  task: z
    .enum(["classification", "regression"])
    .default("classification")
    .describe(
      "For `csv` and `npz`: what the target column holds. The sets that ship, `text`, `idx` and `images` are classification.",
    ),
  target: shown("errors", z.string())
    .optional()
    .describe(
      "For `csv` the target column (left out: the last); for `npz` the name of the target array (left out: `y`, inputs in `x`).",
    ),
  contextLength: z.int().min(1).max(4096).default(64).describe("For `text`: characters that a sample holds."),
  imageSize: z
    .int()
    .min(1)
    .max(1024)
    .default(32)
    .describe("For `images`: side in pixels that every image is scaled and cropped to."),
  testFraction: z
    .number()
    .min(0.01)
    .max(0.5)
    .default(0.1)
    .describe(
      "Part of your own data set apart as test data where the data bring none: the end of a text, a fixed draw from a table.",
    ),
  fileBytesMax: z.int().min(1).default(268_435_456).describe("Size of one file of the set, unpacked."),
  memoryBytesMax: z.int().min(1).default(4_294_967_296).describe("Size of the whole set in memory."),
  samplesMax: z.int().min(1).default(10_000_000).describe("Samples of the whole set; a larger one is refused."),
  classesMax: z
    .int()
    .min(2)
    .max(1_000_000)
    .default(10_000)
    .describe("Classes of your own data, or different characters of a `text`."),
  categoriesMax: z
    .int()
    .min(2)
    .max(65_536)
    .default(64)
    .describe("For `csv`: different values that a text column may hold; each becomes an input of 0 or 1."),
  imagePixelsMax: z.int().min(1).default(67_108_864).describe("For `images`: width × height of one image file."),
  batchSize: z.int().min(1).max(65_536).default(128).describe("Samples in an optimizer step."),
  validationSamples: z
    .int()
    .min(16)
    .optional()
    .describe(
      "Held out from the training data; every decision is made on these. Left out: 10,000, or a sixth of the training data where that is less.",
    ),
  trainSamplesMax: z
    .int()
    .min(16)
    .optional()
    .describe("Use only so many training samples (after the validation samples are set apart)."),
  augmentation: z
    .strictObject({
      cropPixels: z
        .int()
        .min(0)
        .max(64)
        .default(0)
        .describe("Zero padding before a random crop to the image's own size; 0: none."),
      flip: z.boolean().default(false).describe("Mirror every second image from left to right, drawn afresh each time."),
    })
    .prefault({})
    .describe("Drawn for training batches only."),
});
export type DatasetConfig = z.infer<typeof DatasetConfig>;
