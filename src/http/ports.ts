/** What the server is built of. The actor brings the bus; the node the rest. */
import type { Bus } from "../bus/bus.ts";
import type { HttpConfig } from "../contracts/config-http.ts";
import type { OfferedConfig } from "../contracts/offer.ts";
import type { Clock, Entropy, Log } from "../contracts/ports.ts";
import type { TokenKey } from "./token-key.ts";
import type { ViewPorts } from "./view-ports.ts";

export interface ArtifactSource {
  /** Whether the library has it; it is not read. */
  has(hash: string): boolean;
  /** Checked against the hash and the signature. Undefined when the library has no such asset; rejects when it is damaged. */
  read(hash: string): Promise<Uint8Array | undefined>;
}

export interface HttpPorts {
  readonly config: HttpConfig;
  /** Under the login `http`. */
  readonly bus: Bus;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** Aborted when the actor is to end: open streams are to close then. */
  readonly signal: AbortSignal;
  readonly tokenKey: TokenKey;
  /** Folder of the page that was built; undefined where there is none. */
  readonly pageFolder: string | undefined;
  /** The library's assets as bytes; undefined where nobody has them. */
  readonly artifacts?: ArtifactSource | undefined;
  /** Configurations that may be started; undefined where nobody offers any. */
  readonly configs?: (() => Promise<readonly OfferedConfig[]>) | undefined;
  /** What the page shows; undefined where nobody keeps it. */
  readonly view?: ViewPorts | undefined;
}
