/** A small data set: 8 × 8 images of four classes, drawn from fixed seeds. */
import type { DatasetBuffers, SampleBuffer } from "../../src/contracts/dataset.ts";
import { createRandom } from "../../src/graph/random.ts";

const side = 8;
const classes = 4;

/** Each class has three prototypes, so that a linear model does not suffice; pixels carry noise. */
const makeSplit = (count: number, seed: number): SampleBuffer => {
  const prototypes = createRandom(7).fork("prototypes");
  const patterns = Array.from({ length: classes * 3 }, () =>
    Array.from({ length: side * side }, () => (prototypes.uniform() < 0.5 ? 60 : 190)),
  );
  const random = createRandom(seed);
  const inputs = new SharedArrayBuffer(count * side * side);
  const targets = new SharedArrayBuffer(4 * count);
  const [pixelView, labelView] = [new Uint8Array(inputs), new Int32Array(targets)];
  for (let sample = 0; sample < count; sample++) {
    const pattern = random.integer(patterns.length);
    labelView[sample] = pattern % classes;
    for (let pixel = 0; pixel < side * side; pixel++) {
      const value = patterns[pattern]![pixel]! + 110 * random.normal();
      pixelView[sample * side * side + pixel] = Math.max(0, Math.min(255, Math.round(value)));
    }
  }
  return { count, inputs, targets };
};

export const patterns = (): DatasetBuffers => ({
  name: "patterns",
  kind: "images",
  task: "classification",
  inputShape: [1, side, side],
  rows: 1,
  classes,
  mean: [0.5],
  sd: [0.4],
  augmentation: { cropPixels: 0, flip: false },
  train: makeSplit(1024, 1),
  validation: makeSplit(300, 2),
  test: makeSplit(200, 3),
});
