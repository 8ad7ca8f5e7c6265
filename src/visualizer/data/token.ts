/** The token of who commands. It is kept for this tab only, is sent to this page's own server only, and is never written to the address. */
import { computed, signal } from "@preact/signals";
import type { PersonRole } from "../../contracts/roles.ts";

const personRoles = ["admin", "operator", "developer", "observer", "anonymous"] as const satisfies readonly PersonRole[];

const key = "esper.token";

const stored = (): string | undefined => {
  try {
    return sessionStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
};

export interface Claims {
  readonly role: PersonRole;
  readonly name: string;
  /** When it ends, in milliseconds; undefined when it does not say. */
  readonly expiresAtMs: number | undefined;
}

const textOf = (part: string): string => {
  const bytes = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(bytes, (letter) => letter.codePointAt(0) ?? 0));
};

/** What a token says of itself. The page only shows it: the server decides. Undefined when it is no token. */
export const readClaims = (token: string): Claims | undefined => {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  try {
    const claims: unknown = JSON.parse(textOf(parts[1] ?? ""));
    if (typeof claims !== "object" || claims === null) return undefined;
    const role = "role" in claims ? personRoles.find((each) => each === claims.role) : undefined;
    if (role === undefined) return undefined;
    return {
      role,
      name: "sub" in claims && typeof claims.sub === "string" ? claims.sub.slice(0, 64) : role,
      expiresAtMs: "exp" in claims && typeof claims.exp === "number" ? claims.exp * 1000 : undefined,
    };
  } catch {
    return undefined;
  }
};

export const token = signal<string | undefined>(stored());
export const claims = computed(() => (token.value === undefined ? undefined : readClaims(token.value)));

export const enterToken = (text: string): void => {
  token.value = text;
  try {
    sessionStorage.setItem(key, text);
  } catch {
    // Without storage it lasts until the page is loaded again.
  }
};

export const forgetToken = (): void => {
  token.value = undefined;
  try {
    sessionStorage.removeItem(key);
  } catch {
    // There was none to remove.
  }
};
