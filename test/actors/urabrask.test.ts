/** Urabrask: every kernel that is announced ends in a characterisation, measured once for a machine. */
import { describe, expect, it } from "vitest";
import { startUrabrask } from "../../src/actors/urabrask.ts";
import type { KernelTags } from "../../src/contracts/characterization.ts";
import { ServiceError } from "../../src/contracts/errors.ts";
import type { ReplyOf } from "../../src/contracts/subjects.ts";
import type { CapabilityRefusal, CharacterizeTask } from "../../src/contracts/work.ts";
import type { ForgeLane } from "../../src/workers/lane.ts";
import { hashOf, host, kernel, kernelKey, tags } from "../store/support.ts";
import { characterizeTask, identity } from "../support/forge.ts";
import { createActorWorld } from "./support.ts";

const never = async (): Promise<never> => {
  throw new Error("not asked for in this test");
};

const start = async (
  characterize: ForgeLane["characterize"],
  { known = [], hasHost = true, refusal }: { known?: KernelTags[]; hasHost?: boolean; refusal?: CapabilityRefusal } = {},
) => {
  const world = createActorWorld();
  const urza = await world.as("urza");
  await urza.respond(
    "library.tags.find",
    async ({ kernelHash, machine }): Promise<ReplyOf<"library.tags.find">> => ({
      found: known.filter((each) => each.kernelHash === kernelHash && each.machine === machine),
    }),
  );
  await urza.respond("library.asset.get", async ({ kind, hash }): Promise<ReplyOf<"library.asset.get">> => {
    if (refusal !== undefined) return refusal;
    if (kind === "kernel") return { kind: "found", hash, asset: kernel() };
    return hasHost ? { kind: "found", hash, asset: host } : { kind: "missing", reason: "no such host" };
  });
  const stored: KernelTags[] = [];
  await urza.respond("library.tags.put", async ({ characterized }): Promise<ReplyOf<"library.tags.put">> => {
    stored.push(characterized);
    return { kind: "stored" };
  });
  let measured = 0;
  const forge: ForgeLane = {
    compile: never,
    warm: never,
    characterize: (...args) => {
      measured += 1;
      return characterize(...args);
    },
    destroy: async () => undefined,
  };
  const own = { forge, identity: identity(), machine: "here" };
  const child = await startUrabrask(world.ports, own);
  const kasmina = await world.as("kasmina");
  const announce = async (over: Partial<CharacterizeTask> = {}): Promise<void> => {
    await kasmina.publish("validation.kernel.submitted", { ...characterizeTask(world.clock.nowMs(), 2_000), ...over });
    await world.clock.advance(500);
  };
  return {
    ...world,
    own,
    child,
    announce,
    stored: () => stored,
    measured: () => measured,
    told: () => world.sent("validation.kernel.characterized").map(({ characterized }) => characterized),
  };
};

const done: ForgeLane["characterize"] = async () => ({ kind: "done", value: tags().measured! });

describe("Urabrask", () => {
  it("measures what was compiled and tells it with its tags, for the run that waits", async () => {
    const world = await start(done);
    await world.announce();
    expect(world.sent("validation.kernel.characterized")).toMatchObject([{ runId: "r-1", seedId: "seed:h1" }]);
    const [told] = world.told();
    expect(told).toMatchObject({ kernelHash: hashOf("d"), machine: "here", engine: "native", hostHash: hashOf("a") });
    expect(told?.blueprint).toEqual(kernelKey().request);
    expect(told?.measured).toEqual(tags().measured);
    expect(told?.tags).toEqual(expect.arrayContaining(["stable", "low-drift"]));
  });

  it("U1 what this machine knows is told without measuring; what another machine knows is not enough", async () => {
    const world = await start(done, { known: [tags()] });
    await world.announce();
    expect(world.measured()).toBe(0);
    expect(world.told()).toEqual([tags()]);
    const elsewhere = await start(done, { known: [tags({ machine: "there" })] });
    await elsewhere.announce();
    expect(elsewhere.measured()).toBe(1);
  });

  it.each<{ what: string; characterize: ForgeLane["characterize"]; problem: RegExp }>([
    {
      what: "a measurement that throws",
      characterize: async () => {
        throw new ServiceError("no such operator");
      },
      problem: /no such operator/,
    },
    {
      what: "a lost lane",
      characterize: async () => ({ kind: "lost", reason: "out of memory" }),
      problem: /lane was lost.*out of memory/,
    },
  ])("U2 U3 $what is told as a problem without numbers, and she stays up", async ({ characterize, problem }) => {
    const world = await start(characterize);
    await world.announce();
    await world.announce();
    expect(world.told()).toMatchObject([
      { problem: expect.stringMatching(problem), tags: [] },
      { problem: expect.stringMatching(problem) },
    ]);
    expect(world.told()[0]).not.toHaveProperty("measured");
    expect(world.measured()).toBe(2);
  });

  it("U2 a host that the library lacks, and a measurement that takes too long", async () => {
    const noHost = await start(done, { hasHost: false });
    await noHost.announce();
    expect(noHost.told()).toMatchObject([{ problem: expect.stringMatching(/no such host/) }]);
    const slow: ForgeLane["characterize"] = (_kernel, _host, _config, signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const world = await start(slow);
    await world.announce();
    expect(world.told()).toEqual([]);
    await world.clock.advance(2_000);
    expect(world.told()).toMatchObject([{ problem: expect.stringMatching(/more than 2000 ms/) }]);
  });

  it("U2 one that ends at work tells nothing; the next one gets the announcement again", async () => {
    const slow: ForgeLane["characterize"] = (_kernel, _host, _config, signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const world = await start(slow);
    await world.announce();
    world.child.kill?.();
    await world.child.exited;
    expect(world.told()).toEqual([]);
    await startUrabrask(world.ports, { ...world.own, forge: { ...world.own.forge, characterize: done } });
    await world.clock.advance(5_000);
    expect(world.told()).toMatchObject([{ kernelHash: hashOf("d"), tags: expect.arrayContaining(["stable"]) }]);
  });

  it("what she measured lies in the library before it is told; what has a problem does not", async () => {
    const world = await start(done);
    await world.announce();
    expect(world.stored()).toEqual(world.told());
    const broken = await start(async () => ({ kind: "lost", reason: "out of memory" }));
    await broken.announce();
    expect(broken.stored()).toEqual([]);
  });

  it("U4 a task whose token opens nothing any more is given up, and she stays up", async () => {
    const code = "expired_token" as const;
    const world = await start(done, { refusal: { kind: "refused", code, reason: "it was good until yesterday" } });
    await world.announce();
    await world.announce();
    expect(world.told()).toEqual([]);
    expect(world.measured()).toBe(0);
  });

  it("U5 a task for another engine is left to others; at the bound it is told with that problem", async () => {
    const world = await start(done);
    const { constraints } = characterizeTask(0);
    await world.announce({ constraints: { ...constraints, engineVersion: "2" } });
    expect(world.told()).toEqual([]);
    await world.clock.advance(60_000);
    expect(world.measured()).toBe(0);
    expect(world.told()).toMatchObject([
      { tags: [], problem: expect.stringMatching(/engine native 2, here has native 1, native 1.0.0/) },
    ]);
  });
});
