/** Loss and accuracy from logits, on plain arrays in double precision. */
import type { Task } from "../contracts/graph.ts";
import type { Validation } from "../contracts/measure.ts";

interface Judged {
  readonly task: Task;
  readonly rows: number;
  readonly classes: number;
  readonly logits: Float32Array;
  /** Classes, one a row, or values of a regression. */
  readonly targets: Int32Array | Float32Array;
}

/** log Σ exp, with the largest taken off first. */
const logSumExp = (line: Float32Array): number => {
  const largest = line.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  return largest + Math.log(line.reduce((sum, value) => sum + Math.exp(value - largest), 0));
};

const classification = ({ rows, classes, logits, targets }: Judged): Validation => {
  let [loss, right] = [0, 0];
  for (let row = 0; row < targets.length; row++) {
    const line = logits.subarray(row * classes, (row + 1) * classes);
    const label = targets[row]!;
    loss += logSumExp(line) - line[label]!;
    if (line.every((value, i) => i === label || value < line[label]! || (value === line[label]! && i > label))) right++;
  }
  return { loss: loss / targets.length, accuracy: right / targets.length, samples: targets.length / rows };
};

/** Mean squared error; accuracy is R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)² over all outputs, 0 where the targets do not vary. */
const regression = ({ classes, logits, targets }: Judged): Validation => {
  const samples = targets.length / classes;
  const means = Array.from({ length: classes }, (_, k) => {
    let sum = 0;
    for (let i = k; i < targets.length; i += classes) sum += targets[i]!;
    return sum / samples;
  });
  let [error, variance] = [0, 0];
  for (let i = 0; i < targets.length; i++) {
    error += (targets[i]! - logits[i]!) ** 2;
    variance += (targets[i]! - means[i % classes]!) ** 2;
  }
  return { loss: error / targets.length, accuracy: variance === 0 ? 0 : 1 - error / variance, samples };
};

export const measure = (judged: Judged): Validation =>
  judged.task === "classification" ? classification(judged) : regression(judged);

/** Softmax of each row, in place of the logits. */
export const probabilitiesOf = (logits: Float32Array, classes: number): Float32Array => {
  const result = new Float32Array(logits.length);
  for (let row = 0; row < logits.length; row += classes) {
    const line = logits.subarray(row, row + classes);
    const total = logSumExp(line);
    line.forEach((value, i) => {
      result[row + i] = Math.exp(value - total);
    });
  }
  return result;
};
