/** Receipts as HTTP answers: which status each has. Pure. */
import type { CommandReceipt, RefusalCode } from "../contracts/commands.ts";

export const refusalStatus: Readonly<Record<RefusalCode, number>> = {
  invalid: 400,
  unknown_run: 404,
  unknown_seed: 404,
  unknown_layer: 404,
  unknown_asset: 404,
  unknown_letter: 404,
  unknown_request: 404,
  illegal_transition: 409,
  embargo: 409,
  lock_held: 409,
  budget: 409,
  limit: 409,
  span: 409,
  not_paused: 409,
  already_paused: 409,
  stopping: 409,
  adaptation_paused: 409,
  pinned: 409,
  vetoed: 409,
  governance: 409,
  withdrawn: 409,
  in_use: 409,
  stuck: 409,
  not_staying: 409,
  expired: 410,
  too_large: 413,
  unfit: 422,
  request_id_used: 422,
  forbidden: 403,
  rate: 429,
  deadline: 504,
  no_run: 503,
  unavailable: 503,
};

/** Seconds after which what is not there now may be. */
const patienceSeconds = 1;

export interface ReceiptStatus {
  readonly status: number;
  /** For Retry-After. */
  readonly retryAfterSeconds?: number;
}

/** @param known whether the asker said who it is: what is forbidden to somebody unknown may be allowed with a token */
export const statusOf = (receipt: CommandReceipt, known: boolean): ReceiptStatus => {
  switch (receipt.kind) {
    case "accepted":
    case "held":
    case "queued":
      return { status: 202 };
    case "stored":
      return { status: receipt.existed ? 200 : 201 };
    case "refused": {
      const { code, retryAfterMs } = receipt;
      const status = code === "forbidden" && !known ? 401 : refusalStatus[code];
      if (status === 503) return { status, retryAfterSeconds: patienceSeconds };
      return retryAfterMs === undefined ? { status } : { status, retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)) };
    }
    default:
      return { status: 200 };
  }
};
