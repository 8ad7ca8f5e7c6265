/** Urza, the library: keeps blueprints, hosts and kernels by their hash, what kernels were measured to be, and the field reports about them. */
import { describeError } from "../contracts/errors.ts";
import type { ReplyOf } from "../contracts/subjects.ts";
import type { Library } from "../store/library.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { type ActorPorts, startActor } from "./shell.ts";

export const startUrza = (ports: ActorPorts, library: Library): Promise<RunningChild> =>
  startActor("urza", ports, async ({ answer, on, clock, log }) => {
    await answer("library.asset.put", async ({ kind, asset, inputs, producer }): Promise<ReplyOf<"library.asset.put">> => {
      try {
        const stored = await library.put({ kind, asset, inputs, producer, createdAtMs: clock.nowMs() });
        log.debug("stored", { kind, hash: stored.hash, existed: stored.existed });
        return { kind: "stored", ...stored };
      } catch (error) {
        return { kind: "refused", reason: describeError(error) };
      }
    });

    await answer("library.asset.get", async ({ kind, hash }): Promise<ReplyOf<"library.asset.get">> => {
      try {
        const asset = await library.get(kind, hash);
        return asset === undefined
          ? { kind: "missing", reason: `no ${kind} with the hash ${hash}` }
          : { kind: "found", hash, asset };
      } catch (error) {
        return { kind: "missing", reason: describeError(error) };
      }
    });

    await answer("library.kernel.find", async ({ keyHash }): Promise<ReplyOf<"library.kernel.find">> => {
      const hash = await library.findKernel(keyHash);
      return hash === undefined ? { kind: "missing" } : { kind: "found", hash };
    });

    await answer(
      "library.tags.find",
      async (query): Promise<ReplyOf<"library.tags.find">> => ({ found: library.findTags(query) }),
    );

    // A problem is not a measurement.
    await on("validation.kernel.characterized", ({ characterized }) => {
      if (characterized.measured !== undefined) library.putTags(characterized, clock.nowMs());
    });

    await on("innovation.field_reports", (report, { id }) => library.putFieldReport(id, report, clock.nowMs()));
  });
