/**
 * Urza, the library: keeps blueprints, hosts and kernels by their hash, what kernels were measured to be, and the field reports about them.
 *
 * Z1 Whoever works on a task gets and writes what the task's capability names, and nothing else.
 */
import { BlueprintIR, CompiledKernelArtifact } from "../contracts/assets.ts";
import { describeError } from "../contracts/errors.ts";
import type { PayloadOf, ReplyOf } from "../contracts/subjects.ts";
import type { CapabilityUse } from "../contracts/work.ts";
import { keyOf } from "../policy/capability.ts";
import { hashJson } from "../store/json.ts";
import { kernelKeyHash, type Library } from "../store/library.ts";
import type { RunningChild } from "../supervision/spec.ts";
import { createLibraryDoor, type DoorPorts } from "./library-door.ts";
import { type ActorPorts, startActor } from "./shell.ts";
import { answerLibraryCommand, type LibraryDesk } from "./urza-commands.ts";

const KernelHead = CompiledKernelArtifact.pick({ key: true, blueprintHash: true }).strip();
const BlueprintHead = BlueprintIR.pick({ request: true }).strip();

/** What an asset is of: the hash of a kernel's key, or of a blueprint's request; and what it was made from beside a kernel's blueprint. */
const useOf = ({ kind, asset, inputs }: PayloadOf<"library.asset.put">): CapabilityUse => {
  const kernel = kind === "kernel" ? KernelHead.safeParse(asset).data : undefined;
  const blueprint = kind === "blueprint" ? BlueprintHead.safeParse(asset).data : undefined;
  const requestHash = blueprint === undefined ? undefined : hashJson(blueprint.request, "blueprint request");
  return {
    subject: "library.asset.put",
    kind,
    of: kernel === undefined ? requestHash : kernelKeyHash(kernel.key),
    inputs: inputs.filter((input) => input !== kernel?.blueprintHash),
    bytes: Buffer.byteLength(JSON.stringify(asset) ?? ""),
  };
};

export const startUrza = (ports: ActorPorts, library: Library, doorPorts: DoorPorts, desk?: LibraryDesk): Promise<RunningChild> =>
  startActor("urza", ports, async ({ answer, on, clock, log }) => {
    const door = createLibraryDoor(doorPorts, clock);
    const refuse = <T extends { readonly kind: "refused"; readonly code: string; readonly reason: string }>(
      login: string,
      refusal: T,
    ): T => {
      log.warn("the library stays shut", { login, code: refusal.code, reason: refusal.reason });
      return refusal;
    };
    /** The key that the claims name, when this is the library's kernel for it. */
    const madeForKey = async (token: string | undefined, hash: string | undefined): Promise<string | undefined> => {
      const key = door
        .claimsOf(token)
        ?.writes.map(keyOf)
        .find((each) => each !== undefined);
      return key !== undefined && hash !== undefined && (await library.findKernel(key)) === hash ? key : undefined;
    };
    await answer("library.asset.put", async (put, { sender }): Promise<ReplyOf<"library.asset.put">> => {
      const { kind, asset, inputs, producer, token } = put;
      // Of whoever works on a task the task says it.
      const { source = `login ${sender}`, cause } = (door.needsToken(sender) ? door.claimsOf(token) : put) ?? {};
      if (door.needsToken(sender)) {
        const admission = door.admit(sender, token, useOf(put)); // Z1
        if (admission.kind === "refused") return refuse(sender, admission);
      }
      try {
        const stored = await library.put({
          kind,
          asset,
          inputs,
          source,
          producer,
          createdAtMs: clock.nowMs(),
          ...cause,
        });
        log.debug("stored", { kind, hash: stored.hash, existed: stored.existed });
        return { kind: "stored", ...stored };
      } catch (error) {
        return { kind: "refused", reason: describeError(error) };
      }
    });

    await answer("library.asset.get", async ({ kind, hash, token }, { sender }): Promise<ReplyOf<"library.asset.get">> => {
      try {
        if (door.needsToken(sender)) {
          const madeFor = await madeForKey(token, hash);
          const admission = door.admit(sender, token, { subject: "library.asset.get", kind, hash, madeFor }); // Z1
          if (admission.kind === "refused") return refuse(sender, admission);
        }
        const asset = await library.get(kind, hash);
        return asset === undefined
          ? { kind: "missing", reason: `no ${kind} with the hash ${hash}` }
          : { kind: "found", hash, asset };
      } catch (error) {
        return { kind: "missing", reason: describeError(error) };
      }
    });

    await answer("library.kernel.find", async ({ keyHash, token }, { sender }): Promise<ReplyOf<"library.kernel.find">> => {
      const admission = door.admit(sender, token, { subject: "library.kernel.find", keyHash }); // Z1
      if (admission.kind === "refused") return refuse(sender, admission);
      try {
        const hash = await library.findKernel(keyHash);
        return hash === undefined ? { kind: "missing" } : { kind: "found", hash };
      } catch (error) {
        // Nothing is looked up in an index that may not be relied on: the kernel is compiled again.
        log.error("a kernel could not be looked up", { keyHash, reason: describeError(error) });
        return { kind: "missing" };
      }
    });

    await answer("library.tags.find", async ({ token, ...query }, { sender }): Promise<ReplyOf<"library.tags.find">> => {
      const madeFor = await madeForKey(token, query.kernelHash);
      const admission = door.admit(sender, token, { subject: "library.tags.find", madeFor }); // Z1
      if (admission.kind === "refused") return { found: [], refused: refuse(sender, admission) };
      return { found: library.findTags(query) };
    });

    await answer("library.tags.put", async ({ characterized, token }, { sender }): Promise<ReplyOf<"library.tags.put">> => {
      const madeFor = await madeForKey(token, characterized.kernelHash);
      const admission = door.admit(sender, token, { subject: "library.tags.put", madeFor }); // Z1
      if (admission.kind === "refused") return refuse(sender, admission);
      // A problem is not a measurement.
      if (characterized.measured !== undefined) library.putTags(characterized, clock.nowMs());
      return { kind: "stored" };
    });

    if (desk !== undefined) await answer("control.urza.admitted", (admitted) => answerLibraryCommand(desk, admitted, clock));
    await on("innovation.field_reports", (report, { id }) => library.putFieldReport(id, report, clock.nowMs()));
  });
