/** What an importer gives: a host with its weights, and what the person should know of how it came to be. */
import type { ImportedHost } from "../workers/lane.ts";
import type { Lineage } from "./lineage.ts";

export interface ImportedModel extends ImportedHost {
  /** Shape of one sample of input `x`. */
  readonly inputShape: readonly number[];
  /** What was dropped, converted or assumed, a sentence each. */
  readonly notes: readonly string[];
  /** Present when Esper exported the model. */
  readonly lineage?: Lineage;
}
