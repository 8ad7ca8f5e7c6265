/** What a node hands to everybody who calls something outside: its breakers, and how idempotent calls are tried again. */
import type { BreakerConfig, RetryConfig } from "../contracts/config-calls.ts";
import type { Clock } from "../contracts/ports.ts";
import { type Breakers, createBreakers } from "./breakers.ts";
import type { RetryPorts } from "./retry.ts";

export interface Resilience {
  readonly breakers: Breakers;
  readonly retry: RetryPorts;
}

export interface ResilienceOptions {
  readonly breaker: BreakerConfig;
  readonly retry: RetryConfig;
  readonly clock: Clock;
  /** Uniform in [0, 1), of its own for each node: nodes that failed together must not come back together. */
  readonly uniform: () => number;
}

export const createResilience = ({ breaker, retry, clock, uniform }: ResilienceOptions): Resilience => ({
  breakers: createBreakers({ config: breaker, clock }),
  retry: { config: retry, clock, uniform },
});
