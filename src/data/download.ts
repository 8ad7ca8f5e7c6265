/** Fetches a file over HTTP, bounded in size and time. What it is worth is for the caller to check by hash. */
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";

/** A download that failed. `passing`: the same one may succeed the next time. */
export class DownloadError extends ServiceError {
  readonly passing: boolean;

  constructor(message: string, passing: boolean, options?: ErrorOptions) {
    super(message, {}, options);
    this.passing = passing;
  }
}

/** Rejects with a DownloadError when the file cannot be had or is larger than `bytesMax`. */
export type Download = (url: string, bytesMax: number) => Promise<Uint8Array>;

/** Request timeout, too early, too many requests (RFC 9110, RFC 8470, RFC 6585). */
const passingStatus: readonly number[] = [408, 425, 429];

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
      abort.abort(new DownloadError(`download ${url}: expected it within ${timeoutMs} ms, found it unfinished`, true)),
    );
    try {
      const response = await fetch(url, { signal: abort.signal });
      if (!response.ok || response.body === null) {
        const passing = response.status >= 500 || passingStatus.includes(response.status);
        throw new DownloadError(`download ${url}: expected status 200, found ${response.status}`, passing);
      }
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of response.body) {
        bytes += chunk.length;
        if (bytes > bytesMax) throw new DownloadError(`download ${url}: expected at most ${bytesMax} bytes, found more`, false);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } catch (error) {
      if (error instanceof DownloadError) throw error;
      throw new DownloadError(`download ${url}: expected an answer, found: ${describeError(error)}`, true, { cause: error });
    } finally {
      cancel();
      abort.abort(); // Ends a transfer that was given up.
    }
  };
