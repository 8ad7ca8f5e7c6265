/** The content hash of graphs, hosts and blueprints: SHA-256 (FIPS 180-4) over canonical JSON (RFC 8785). */
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { HostAsset } from "../contracts/assets.ts";
import { GraphError } from "../contracts/errors.ts";
import type { Host } from "../contracts/graph.ts";

/** 64 hexadecimal digits; equal for equal content, whatever the order of keys. Throws GraphError for what JSON cannot hold. */
export const contentHash = (value: object): string => {
  const text = canonicalize(value);
  if (text === undefined)
    throw new GraphError(
      "content hash: expected plain data, got a value that JSON cannot hold; pass a graph, a host or a blueprint",
    );
  return createHash("sha256").update(text, "utf8").digest("hex");
};

/** The hash under which a host lies in the library: that of its asset. */
export const hostHash = (host: Host): string => contentHash({ schemaVersion: 1, host } satisfies HostAsset);
