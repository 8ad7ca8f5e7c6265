/**
 * The key that signs what forges may do in this node's library.
 *
 * N1 It is made once, at the first start, for its owner alone; tasks that wait over a restart keep their capabilities.
 * N2 It signs nothing else. Deleting the file revokes every capability at the next start.
 */
import { readFile } from "node:fs/promises";
import { writePrivateFile } from "../bus/private-file.ts";
import { describeError, ServiceError } from "../contracts/errors.ts";
import { type CapabilityAuthority, capabilityAuthority } from "../store/capability-token.ts";
import { generateSigningKey } from "../store/ed25519.ts";
import { errorCode } from "../store/file-system.ts";

/** @throws DataError when the file holds no such key; ServiceError when it cannot be read or written */
export const openCapabilityKey = async (file: string): Promise<CapabilityAuthority> => {
  let pem: string;
  try {
    pem = await readFile(file, "utf8");
  } catch (error) {
    if (errorCode(error) !== "ENOENT")
      throw new ServiceError(`expected to read ${file}: ${describeError(error)}. Check the rights on the data directory.`, {
        file,
      });
    pem = generateSigningKey();
    await writePrivateFile(file, pem); // N1
  }
  return capabilityAuthority(pem, file);
};
