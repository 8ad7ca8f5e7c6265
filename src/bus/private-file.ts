/** Files that hold passwords: readable by their owner alone, never half written. */
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describeError, ServiceError } from "../contracts/errors.ts";

export const privateMode = 0o600;

/** Makes the folder for its owner alone; one that is there keeps its mode. */
export const makePrivateFolder = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new ServiceError(
      `expected to make the folder ${folder}: ${describeError(error)}. Check the disk and the rights on the data directory.`,
      {
        file: folder,
      },
    );
  }
};

/** Replaces the file as one step. @throws ServiceError */
export const writePrivateFile = async (file: string, text: string): Promise<void> => {
  const temporary = `${file}.new`;
  try {
    await makePrivateFolder(dirname(file));
    await rm(temporary, { force: true });
    await writeFile(temporary, text, { mode: privateMode, flag: "wx" });
    await chmod(temporary, privateMode);
    await rename(temporary, file);
  } catch (error) {
    throw new ServiceError(
      `expected to write ${file}: ${describeError(error)}. Check the disk and the rights on the data directory.`,
      { file },
    );
  }
};
