/** Fetches a file over HTTP, bounded in size and time. What it is worth is for the caller to check by hash. */
import { ServiceError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";

/** Rejects when the file cannot be had or is larger than `bytesMax`. */
export type Download = (url: string, bytesMax: number) => Promise<Uint8Array>;

export interface DownloadOptions {
  readonly fetch: (url: string, options: { signal: AbortSignal }) => Promise<Response>;
  readonly clock: Clock;
  /** For one file, from the request to its last byte. */
  readonly timeoutMs: number;
}

export const createDownload =
  ({ fetch, clock, timeoutMs }: DownloadOptions): Download =>
  async (url, bytesMax) => {
    const abort = new AbortController();
    const cancel = clock.schedule(timeoutMs, () =>
      abort.abort(new ServiceError(`download ${url}: expected it within ${timeoutMs} ms, found it unfinished`)),
    );
    try {
      const response = await fetch(url, { signal: abort.signal });
      if (!response.ok || response.body === null) {
        throw new ServiceError(`download ${url}: expected status 200, found ${response.status}`);
      }
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of response.body) {
        bytes += chunk.length;
        if (bytes > bytesMax) throw new ServiceError(`download ${url}: expected at most ${bytesMax} bytes, found more`);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } finally {
      cancel();
      abort.abort(); // Ends a transfer that was given up.
    }
  };
