/**
 * Which texts of the configuration may be seen by others than the one who wrote them.
 *
 * Every text is a secret unless its schema says here that it is shown, and where. So a key that is added tomorrow is a secret, and a
 * password that stands in the wrong place is told by its length alone. Numbers, booleans and words that the schema itself lists
 * (`kind: adam`) are no secrets once they are accepted; while they are refused the same rule holds for them, see src/config/quoting.ts.
 */
import { z } from "zod";

export interface Shown {
  /** `address`: scheme, host and port of a URL, and nothing else of it. */
  readonly part: "whole" | "address";
  /** Where it is seen. */
  readonly where: string;
}

const registry = z.registry<Shown>();

/** Declares that a text is seen. */
export const shown = <Schema extends z.ZodType>(where: string, schema: Schema): Schema => {
  registry.add(schema, { part: "whole", where });
  return schema;
};

/** Declares that of a URL its address is seen: no user, no password, no path, no query. */
export const shownAddress = <Schema extends z.ZodType>(where: string, schema: Schema): Schema => {
  registry.add(schema, { part: "address", where });
  return schema;
};

/** What a schema says of itself; undefined: a secret. */
export const shownOf = (schema: z.core.$ZodType): Shown | undefined => registry.get(schema);

/** Scheme, host and port of a URL; undefined where it is none, or where its user and password cannot be told from its path. */
export const addressOf = (url: string): string | undefined => {
  const parts = /^([a-z][a-z0-9+.-]*:\/\/)(?:[^/?#]*@)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?([/?#].*)?$/is.exec(url);
  if (parts === null) return undefined;
  const [, scheme = "", host = "", port = "", rest = ""] = parts;
  return rest.includes("@") ? undefined : `${scheme}${host}${port}`;
};
