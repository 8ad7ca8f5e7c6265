/** What a loader of data gets and gives: the same for every set. */
import type { DatasetConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import type { Download } from "./download.ts";

export interface DataFiles {
  /** Undefined when nothing is there. */
  stat(path: string): Promise<{ readonly kind: "file" | "folder"; readonly bytes: number } | undefined>;
  read(path: string): Promise<Uint8Array>;
  /** Names in a folder, sorted; none when there is no such folder. */
  list(path: string): Promise<readonly string[]>;
}

export interface DatasetPorts {
  readonly files: DataFiles;
  /** Where downloads are kept: `<services.dataDir>/datasets`. */
  readonly folder: string;
  /** Both or neither: without them nothing is fetched. */
  readonly download?: Download;
  /** Stores a file durably, its folder included. */
  readonly save?: (path: string, bytes: Uint8Array) => Promise<void>;
}

export interface LoadedDataset {
  readonly buffers: DatasetBuffers;
  /** The file, folder or mirror that the data came from. */
  readonly source: string;
  /** What a person should know of them: that a set is only a part of the original, which columns were made into inputs. */
  readonly notes: readonly string[];
}

/** Throws DataError (missing or damaged files) or InputError (settings that do not fit the data). */
export type DatasetLoader = (config: DatasetConfig, ports: DatasetPorts) => Promise<LoadedDataset>;
