/** Downloads with a breaker, tried again: fetching a file changes nothing, so it may be repeated. */
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { Download } from "../data/download.ts";
import type { Breaker } from "./breakers.ts";
import { type Attempt, type RetryPorts, withRetry } from "./retry.ts";

type Fetched = { readonly kind: "bytes"; readonly bytes: Uint8Array } | { readonly kind: "failed"; readonly error: unknown };

export interface GuardDownloadOptions {
  readonly breaker: Breaker;
  readonly retry: RetryPorts;
  /** Whether the same download may succeed the next time. */
  readonly isPassing: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
}

/** Rejects as the last attempt did. */
export const guardDownload =
  (download: Download, { breaker, retry, isPassing, signal }: GuardDownloadOptions): Download =>
  async (url, bytesMax) => {
    const attempt = async (): Promise<Attempt<Fetched>> => {
      try {
        const guarded = await breaker.call(() => download(url, bytesMax), {
          value: () => ({ kind: "ok" }),
          error: (error) => (isPassing(error) ? { kind: "failed", reason: describeError(error) } : { kind: "ok" }),
        });
        if (guarded.kind === "done") return { kind: "settled", value: { kind: "bytes", bytes: guarded.value } };
        const error = new ServiceError(`download ${url}: ${guarded.reason}`);
        return { kind: "again", value: { kind: "failed", error }, afterMs: guarded.retryAfterMs };
      } catch (error) {
        return { kind: isPassing(error) ? "again" : "settled", value: { kind: "failed", error } };
      }
    };
    const fetched = await withRetry(attempt, { ...retry, ...(signal === undefined ? {} : { signal }) });
    if (fetched.kind === "bytes") return fetched.bytes;
    throw fetched.error;
  };
