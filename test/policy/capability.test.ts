/** A capability opens what it names and nothing else: over arbitrary claims and uses. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CapabilityClaims, type CapabilityUse, capabilitySubjects } from "../../src/contracts/work.ts";
import { admitCapability } from "../../src/policy/capability.ts";

/** Few hashes, so that claims and uses meet. */
const hash = fc.constantFrom("a", "b", "c", "d").map((digit) => digit.repeat(64));
const write = fc.oneof(
  fc.record({ kind: fc.constant("kernel" as const), keyHash: hash }),
  fc.record({ kind: fc.constant("blueprint" as const), requestHash: hash }),
  fc.record({ kind: fc.constant("tags" as const), keyHash: hash }),
);
const claims: fc.Arbitrary<CapabilityClaims> = fc
  .record({
    subjects: fc.uniqueArray(fc.constantFrom(...capabilitySubjects), { minLength: 1 }),
    reads: fc.uniqueArray(hash, { maxLength: 3 }),
    writes: fc.array(write, { maxLength: 3 }),
    bytesMax: fc.integer({ min: 1, max: 100 }),
    issuedAtMs: fc.integer({ min: 0, max: 50 }),
    lifeMs: fc.integer({ min: 0, max: 50 }),
  })
  .map(({ lifeMs, ...rest }) => ({ version: 1, taskId: "t", source: "run r-1", ...rest, expiresAtMs: rest.issuedAtMs + lifeMs }));
const kind = fc.constantFrom("blueprint" as const, "host" as const, "kernel" as const);
const use: fc.Arbitrary<CapabilityUse> = fc.oneof(
  fc.record({ subject: fc.constant("library.asset.get" as const), kind, hash, madeFor: fc.option(hash, { nil: undefined }) }),
  fc.record({
    subject: fc.constant("library.asset.put" as const),
    kind,
    of: fc.option(hash, { nil: undefined }),
    inputs: fc.array(hash, { maxLength: 2 }),
    bytes: fc.integer({ min: 0, max: 120 }),
  }),
  fc.record({ subject: fc.constant("library.kernel.find" as const), keyHash: hash }),
  fc.record({ subject: fc.constant("library.tags.find" as const), madeFor: fc.option(hash, { nil: undefined }) }),
  fc.record({ subject: fc.constant("library.tags.put" as const), madeFor: fc.option(hash, { nil: undefined }) }),
);

/** Whether the claims name the asset, written a second time from the words of the contract. */
const names = ({ reads, writes, bytesMax }: CapabilityClaims, used: CapabilityUse): boolean => {
  const kernels = writes.flatMap((each) => (each.kind === "kernel" ? [each.keyHash] : []));
  const blueprints = writes.flatMap((each) => (each.kind === "blueprint" ? [each.requestHash] : []));
  const measured = writes.flatMap((each) => (each.kind === "tags" ? [each.keyHash] : []));
  if (used.subject === "library.asset.get")
    return (
      reads.includes(used.hash) ||
      (used.kind === "kernel" && used.madeFor !== undefined && [...kernels, ...measured].includes(used.madeFor))
    );
  if (used.subject === "library.asset.put") {
    const places = used.kind === "kernel" ? kernels : used.kind === "blueprint" ? blueprints : [];
    const made = used.inputs.every((input) => reads.includes(input));
    return used.of !== undefined && places.includes(used.of) && made && used.bytes <= bytesMax;
  }
  if (used.subject === "library.kernel.find") return kernels.includes(used.keyHash);
  return used.madeFor !== undefined && measured.includes(used.madeFor);
};

const runs = { numRuns: 5_000 };

describe("a capability", () => {
  it("P1 P2 P3 admits exactly what it names, where and when it says", () => {
    let admitted = 0;
    fc.assert(
      fc.property(claims, use, fc.integer({ min: -20, max: 130 }), fc.integer({ min: 0, max: 10 }), (held, used, nowMs, skew) => {
        const timely = nowMs >= held.issuedAtMs - skew && nowMs <= held.expiresAtMs + skew;
        const expected = timely && held.subjects.includes(used.subject) && names(held, used);
        const admission = admitCapability(held, used, { nowMs, clockSkewMs: skew });
        expect(admission.kind).toBe(expected ? "admitted" : "refused");
        if (expected) admitted += 1;
      }),
      runs,
    );
    expect(admitted).toBeGreaterThan(runs.numRuns / 100);
  });

  it("says which of its bounds was hit", () => {
    const held: CapabilityClaims = {
      version: 1,
      taskId: "t",
      source: "run r-1",
      subjects: ["library.asset.put"],
      reads: [],
      writes: [{ kind: "kernel", keyHash: "a".repeat(64) }],
      bytesMax: 10,
      issuedAtMs: 100,
      expiresAtMs: 200,
    };
    const put: CapabilityUse = { subject: "library.asset.put", kind: "kernel", of: "a".repeat(64), inputs: [], bytes: 10 };
    const code = (nowMs: number, used: CapabilityUse = put): string => {
      const admission = admitCapability(held, used, { nowMs, clockSkewMs: 5 });
      return admission.kind === "refused" ? admission.code : admission.kind;
    };
    expect([94, 95, 205, 206].map((nowMs) => code(nowMs))).toEqual(["early_token", "admitted", "admitted", "expired_token"]);
    expect(code(150, { ...put, bytes: 11 })).toBe("too_large");
    expect(code(150, { ...put, of: "b".repeat(64) })).toBe("other_artifact");
    expect(code(150, { ...put, inputs: ["b".repeat(64)] })).toBe("other_artifact");
    expect(code(150, { subject: "library.kernel.find", keyHash: "a".repeat(64) })).toBe("other_subject");
    expect(code(Number.NaN)).toBe("early_token");
  });
});
