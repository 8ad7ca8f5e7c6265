/**
 * The node's ledger with what lies beside the database: its key, the key's fingerprint and the file of signed heads.
 *
 * N1 The key is made once, at the first start, for its owner alone. A ledger that was signed never gets another key by itself.
 * N2 The fingerprint is written before anything is signed.
 */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { writePrivateFile } from "../bus/private-file.ts";
import { DataError, describeError, ServiceError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { Database } from "../store/database.ts";
import { generateSigningKey } from "../store/ed25519.ts";
import { errorCode, type FileSystem } from "../store/file-system.ts";
import { createLedger, type Ledger } from "../store/ledger.ts";
import { openHeadsFile } from "../store/ledger-heads.ts";
import { readLedgerTail } from "../store/ledger-rows.ts";
import { fingerprintOf, type LedgerSigner, ledgerSigner } from "../store/ledger-signature.ts";
import type { LedgerPaths } from "../store/paths.ts";

export interface NodeLedgerOptions {
  readonly database: Database;
  readonly fileSystem: FileSystem;
  readonly paths: LedgerPaths;
  readonly headEntriesMax: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface NodeLedger {
  readonly ledger: Ledger;
  /** The node's one key. */
  readonly signer: LedgerSigner;
  readonly fingerprint: string;
  /** The last heads are beside the database too. */
  close(): Promise<void>;
}

const readIfThere = async (file: string): Promise<string | undefined> => {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new ServiceError(`expected to read ${file}: ${describeError(error)}. Check the rights on the data directory.`, {
      file,
    });
  }
};

const writeSynced = async (fileSystem: FileSystem, file: string, text: string): Promise<void> => {
  await writePrivateFile(file, text);
  await fileSystem.sync(file);
  await fileSystem.sync(dirname(file));
};

/** N1, N2 */
const openSigner = async ({ database, fileSystem, paths }: NodeLedgerOptions): Promise<LedgerSigner> => {
  const tail = readLedgerTail(database);
  const noted = (await readIfThere(paths.fingerprint))?.trim();
  const signed = noted ?? (tail === undefined ? undefined : fingerprintOf(tail.publicKey));
  const wrong = (found: string): DataError =>
    new DataError(
      `ledger: expected the key with the fingerprint ${signed} in ${paths.key}, found ${found}; put the right key back, or set services.dataDir to another folder`,
      { file: paths.key },
    );
  let pem = await readIfThere(paths.key);
  if (pem === undefined) {
    if (signed !== undefined) throw wrong("nothing there"); // N1
    pem = generateSigningKey();
    await writeSynced(fileSystem, paths.key, pem);
  }
  const signer = ledgerSigner(pem, paths.key);
  if (signed !== undefined && signer.fingerprint !== signed) throw wrong(`one with ${signer.fingerprint}`);
  if (noted === undefined) await writeSynced(fileSystem, paths.fingerprint, `${signer.fingerprint}\n`); // N2
  return signer;
};

/** Opens the ledger of a data directory. Throws DataError when key, heads or end are not those that were left. */
export const openNodeLedger = async (options: NodeLedgerOptions): Promise<NodeLedger> => {
  const { database, fileSystem, paths, headEntriesMax, clock, log } = options;
  const signer = await openSigner(options);
  let written: () => void = () => undefined;
  const ledger = createLedger({ database, signer, clock, headEntriesMax, onHead: () => written() });
  const { heads, restored } = await openHeadsFile({ fileSystem, file: paths.heads, database, log });
  written = heads.write;
  if (restored !== undefined) {
    log.warn("signed heads of the ledger were missing beside the database and are written again", { ...restored });
    ledger.append([{ actor: "node", subject: {}, kind: "heads_restored", payload: restored }]);
  }
  return { ledger, signer, fingerprint: signer.fingerprint, close: () => heads.settled() };
};
