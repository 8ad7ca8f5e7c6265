/** JSON as the stores write it: canonical (RFC 8785), so that equal values have equal bytes and hashes. */
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { ContractError, DataError, describeError } from "../contracts/errors.ts";
import type { ContentHash } from "../contracts/ids.ts";

/** What the stores need of a zod schema. */
export interface Schema<T> {
  safeParse(
    value: unknown,
  ): { readonly success: true; readonly data: T } | { readonly success: false; readonly error: { readonly message: string } };
}

/** SHA-256 in lower-case hexadecimal (FIPS 180-4). */
export const sha256 = (bytes: Uint8Array | string): ContentHash => createHash("sha256").update(bytes).digest("hex");

/** Throws ContractError for what JSON cannot hold: not-a-number, infinities, functions, cycles. */
export const encodeJson = (value: unknown, what: string): string => {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch (error) {
    throw new ContractError(`${what}: expected a value that JSON can hold, found: ${describeError(error)}`, {}, { cause: error });
  }
  if (text === undefined) throw new ContractError(`${what}: expected a value that JSON can hold, found ${typeof value}`);
  return text;
};

/** Whether two values are the same JSON, whatever the order of their keys. */
export const sameJson = (a: unknown, b: unknown): boolean =>
  encodeJson(a, "the first value") === encodeJson(b, "the second value");

/** SHA-256 of a value's canonical JSON: the identity of an asset or a key. */
export const hashJson = (value: unknown, what: string): ContentHash => sha256(encodeJson(value, what));

/** Throws DataError when the text is not JSON or not what the schema says. */
export const decodeJson = <T>(text: string, schema: Schema<T>, what: string, file?: string): T => {
  const place = file === undefined ? {} : { file };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${what}: expected JSON, found: ${describeError(error)}; the stored data is damaged`, place, {
      cause: error,
    });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    throw new DataError(
      `${what}: expected it to fit its schema, found: ${parsed.error.message}; the stored data is damaged`,
      place,
    );
  }
  return parsed.data;
};

/** What a caller handed in, checked. Throws ContractError when it does not fit. */
export const checkContract = <T>(value: unknown, schema: Schema<T>, what: string): T => {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new ContractError(`${what}: expected it to fit its contract, found: ${parsed.error.message}`);
  return parsed.data;
};

/** For a caller that checks the value itself. */
export const anything: Schema<unknown> = { safeParse: (value) => ({ success: true, data: value }) };
