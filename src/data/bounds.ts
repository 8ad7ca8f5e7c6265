/** What a data set may at most be. */
import type { DatasetConfig } from "../contracts/config.ts";
import { InputError } from "../contracts/errors.ts";

/** Throws InputError where a set is larger than the configuration allows. */
export const checkBounds = (config: DatasetConfig, samples: number, sampleBytes: number): void => {
  const { name, samplesMax, memoryBytesMax } = config;
  if (samples > samplesMax) {
    throw new InputError(`dataset ${name}: expected at most ${samplesMax} samples, found ${samples}; raise dataset.samplesMax`, {
      path: "dataset.samplesMax",
    });
  }
  const bytes = samples * sampleBytes;
  if (bytes > memoryBytesMax) {
    throw new InputError(
      `dataset ${name}: expected at most ${memoryBytesMax} bytes in memory, found ${samples} samples of ${sampleBytes} bytes; raise dataset.memoryBytesMax or bring less`,
      { path: "dataset.memoryBytesMax" },
    );
  }
};

/** Throws InputError unless there are two classes at least and no more than allowed. */
export const checkClasses = ({ classesMax }: DatasetConfig, file: string, what: string, found: number): void => {
  if (found > classesMax) {
    throw new InputError(
      `data file ${file}: expected at most ${classesMax} classes in ${what}, found ${found}; set dataset.task to regression or raise dataset.classesMax`,
      { path: "dataset.classesMax", file },
    );
  }
  if (found < 2) {
    throw new InputError(
      `data file ${file}: expected at least 2 classes in ${what}, found ${found}; name another by dataset.target`,
      {
        path: "dataset.target",
        file,
      },
    );
  }
};
