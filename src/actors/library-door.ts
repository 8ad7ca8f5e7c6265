/**
 * Who may have what of the library: whoever works on a task shows the task's capability, whether the forge is on this machine or on another.
 *
 * L1 A login that works on tasks gets nothing without a capability for just that.
 * L2 The login is the server's word, not the message's: these subjects are vouched for.
 */
import type { Clock } from "../contracts/ports.ts";
import type { CapabilityClaims, CapabilityUse } from "../contracts/work.ts";
import { type Admission, admitCapability } from "../policy/capability.ts";

export interface DoorPorts {
  /** What a token says; undefined when it was not signed here. */
  readonly read: (token: string) => CapabilityClaims | undefined;
  readonly clockSkewMs: number;
}

export interface LibraryDoor {
  /** Whether this login has to show a capability. */
  needsToken(login: string): boolean;
  /** The claims that a valid token holds; undefined without one. */
  claimsOf(token: string | undefined): CapabilityClaims | undefined;
  admit(login: string, token: string | undefined, use: CapabilityUse): Admission;
}

const taskLogins: readonly string[] = ["tezzeret", "urabrask", "forge"];

export const createLibraryDoor = ({ read, clockSkewMs }: DoorPorts, clock: Clock): LibraryDoor => {
  const needsToken = (login: string): boolean => taskLogins.includes(login);
  const claimsOf = (token: string | undefined): CapabilityClaims | undefined => (token === undefined ? undefined : read(token));
  return {
    needsToken,
    claimsOf,
    admit: (login, token, use) => {
      if (!needsToken(login)) return { kind: "admitted" };
      if (token === undefined)
        return { kind: "refused", code: "no_token", reason: `${login} needs the token of its task on ${use.subject}` }; // L1
      const claims = claimsOf(token);
      if (claims === undefined)
        return { kind: "refused", code: "forged_token", reason: `the token on ${use.subject} was not signed by this library` };
      return admitCapability(claims, use, { nowMs: clock.nowMs(), clockSkewMs });
    },
  };
};
