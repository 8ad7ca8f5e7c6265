/**
 * Whether a capability opens the library for what is asked. Pure.
 *
 * P1 Nothing is admitted that the claims do not name: the subject, and the one asset, key or kernel.
 * P2 Nothing is admitted outside its time. Two clocks may differ by `clockSkewMs`, and by no more.
 * P3 What is written is no larger than the task's budget.
 */
import type { CapabilityClaims, CapabilityRefusal, CapabilityUse, CapabilityWrite } from "../contracts/work.ts";

export type Admission = { readonly kind: "admitted" } | CapabilityRefusal;

const admitted: Admission = { kind: "admitted" };
const refused = (code: CapabilityRefusal["code"], reason: string): CapabilityRefusal => ({ kind: "refused", code, reason });

export const admitCapability = (
  claims: CapabilityClaims,
  use: CapabilityUse,
  { nowMs, clockSkewMs }: { readonly nowMs: number; readonly clockSkewMs: number },
): Admission => {
  const { taskId, issuedAtMs, expiresAtMs } = claims;
  // P2
  if (!(nowMs >= issuedAtMs - clockSkewMs))
    return refused(
      "early_token",
      `the token of task ${taskId} is from ${issuedAtMs} ms, it is ${nowMs} ms; set the clocks right`,
    );
  if (!(nowMs <= expiresAtMs + clockSkewMs))
    return refused("expired_token", `the token of task ${taskId} was good until ${expiresAtMs} ms, it is ${nowMs} ms`);
  // P1
  if (!claims.subjects.includes(use.subject))
    return refused("other_subject", `the token of task ${taskId} is for ${claims.subjects.join(", ")}, not for ${use.subject}`);
  return admitArtifact(claims, use);
};

/** The key whose kernel the task makes or measures. */
export const keyOf = (write: CapabilityWrite): string | undefined => (write.kind === "blueprint" ? undefined : write.keyHash);

const admitArtifact = (claims: CapabilityClaims, use: CapabilityUse): Admission => {
  const { taskId, reads, writes, bytesMax } = claims;
  const other = (what: string): CapabilityRefusal =>
    refused("other_artifact", `the token of task ${taskId} does not open ${what}`);
  switch (use.subject) {
    case "library.asset.get": {
      const own = use.kind === "kernel" && writes.some((write) => keyOf(write) !== undefined && keyOf(write) === use.madeFor);
      return reads.includes(use.hash) || own ? admitted : other(`the ${use.kind} ${use.hash}`);
    }
    case "library.asset.put": {
      const ordered = writes.some(
        (write) =>
          (write.kind === "kernel" && use.kind === "kernel" && write.keyHash === use.of) ||
          (write.kind === "blueprint" && use.kind === "blueprint" && write.requestHash === use.of),
      );
      if (!ordered) return other(`a place for this ${use.kind}`);
      const foreign = use.inputs.find((input) => !reads.includes(input));
      if (foreign !== undefined) return other(`${foreign}, of which this ${use.kind} says that it was made`);
      return use.bytes <= bytesMax
        ? admitted
        : refused("too_large", `task ${taskId} may write ${bytesMax} bytes, the ${use.kind} has ${use.bytes}`); // P3
    }
    case "library.kernel.find": {
      const own = writes.some((write) => write.kind === "kernel" && write.keyHash === use.keyHash);
      return own ? admitted : other(`the key ${use.keyHash}`);
    }
    case "library.tags.find":
    case "library.tags.put": {
      const own = use.madeFor !== undefined && writes.some((write) => write.kind === "tags" && write.keyHash === use.madeFor);
      return own ? admitted : other("the measurements of another kernel");
    }
  }
};
