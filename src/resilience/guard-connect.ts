/** Connections to a server of somebody else's, behind a breaker: it may be gone for long. The node's own server is started again instead. */
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { Breaker } from "./breakers.ts";

/** Rejects as the work does, or with a ServiceError that says why nobody tried. */
export const guardConnect =
  (breaker: Breaker) =>
  async <T>(work: () => Promise<T>): Promise<T> => {
    const reached = await breaker.call(work, {
      value: () => ({ kind: "ok" }),
      error: (error) => ({ kind: "failed", reason: describeError(error) }),
    });
    if (reached.kind === "rejected") throw new ServiceError(reached.reason, { path: "services.nats" });
    return reached.value;
  };
