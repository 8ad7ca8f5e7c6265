/** The policy that a run's signal names, in the place of the configuration's. */
import { underPolicy } from "../contracts/policy.ts";
import type { HealthSignal } from "../contracts/telemetry.ts";
import type { PolicySetup } from "./decide.ts";

/** What decides on a signal: the run's configuration, or under the policy that was put in force. */
export const setupInForce = (setup: PolicySetup, { policy: inForce }: Pick<HealthSignal, "policy">): PolicySetup => {
  if (inForce === undefined) return setup;
  const { policy, hash } = inForce;
  const { confidence, forecast, name } = policy;
  return {
    ...setup,
    config: underPolicy(setup.config, policy),
    calibration: { confidence, forecast, provenance: `policy ${name} (${hash})` },
  };
};
