/** Identifiers that cross a boundary. All are plain strings with a checked form, so that they can stand in a subject, a file name or a URL. */
import { z } from "zod";

const slug = /^[a-z0-9][a-z0-9._:#-]{0,127}$/i;

/** A run: one host trained once, e.g. `r-20260101-k3f9-grown`. */
export const RunId = z.string().regex(slug, "expected letters, digits and . _ : # - (at most 128)");
export type RunId = z.infer<typeof RunId>;

/** A seed: `seed:<site>` or `seed:<site>.<n>` when a site holds several. */
export const SeedId = z.string().regex(/^seed:[a-z0-9][a-z0-9._-]{0,120}$/i, "expected seed:<site>, for example seed:h2");
export type SeedId = z.infer<typeof SeedId>;

/** A site: the name of a layer of the host. */
export const SiteId = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,120}$/i, "expected the name of a layer, for example h2");
export type SiteId = z.infer<typeof SiteId>;

/** The SHA-256 of an asset's bytes, 64 lower-case hexadecimal digits (FIPS 180-4). */
export const ContentHash = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits of a SHA-256");
export type ContentHash = z.infer<typeof ContentHash>;

/** Chosen by the sender of a command; the same id within five minutes gets the first receipt again. */
export const RequestId = z.string().min(1).max(128);
export type RequestId = z.infer<typeof RequestId>;
