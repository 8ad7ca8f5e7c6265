/** Tezzeret: every request ends in an announcement, whatever happens to forge and library. */
import { describe, expect, it } from "vitest";
import { startTezzeret } from "../../src/actors/tezzeret.ts";
import { ServiceError } from "../../src/contracts/errors.ts";
import type { ReplyOf } from "../../src/contracts/subjects.ts";
import type { CompileTask } from "../../src/contracts/work.ts";
import { kernelKeyHash } from "../../src/store/library.ts";
import type { ForgeLane } from "../../src/workers/lane.ts";
import { blueprint, hashOf, host, kernel } from "../store/support.ts";
import { compileTask, identity } from "../support/forge.ts";
import { createActorWorld } from "./support.ts";

interface LibraryScript {
  readonly known?: boolean;
  readonly host?: boolean;
}

/** Tezzeret asks for nothing of this. */
const idle = async (): Promise<never> => {
  throw new Error("not asked for in this test");
};

const start = async (compile: ForgeLane["compile"], { known = false, host: hasHost = true }: LibraryScript = {}) => {
  const world = createActorWorld();
  const urza = await world.as("urza");
  const puts: string[] = [];
  await urza.respond(
    "library.kernel.find",
    async (): Promise<ReplyOf<"library.kernel.find">> => (known ? { kind: "found", hash: hashOf("d") } : { kind: "missing" }),
  );
  await urza.respond("library.asset.get", async ({ kind, hash }): Promise<ReplyOf<"library.asset.get">> => {
    if (kind === "kernel") return { kind: "found", hash, asset: kernel() };
    return hasHost ? { kind: "found", hash, asset: host } : { kind: "missing", reason: "no such host" };
  });
  await urza.respond("library.asset.put", async ({ kind }): Promise<ReplyOf<"library.asset.put">> => {
    puts.push(kind);
    return { kind: "stored", hash: hashOf(kind === "kernel" ? "e" : "b"), existed: false };
  });
  let compiled = 0;
  const forge: ForgeLane = {
    compile: (...args) => {
      compiled += 1;
      return compile(...args);
    },
    characterize: idle,
    warm: idle,
    destroy: async () => undefined,
  };
  const child = await startTezzeret(world.ports, { forge, hashKey: kernelKeyHash, identity: identity() });
  const kasmina = await world.as("kasmina");
  const submit = async (deadlineMs = 60_000, advanceMs = 1_000, over: Partial<CompileTask> = {}): Promise<void> => {
    await kasmina.publish("compilation.blueprint.submitted", {
      ...compileTask(world.clock.nowMs(), Math.max(1, deadlineMs)),
      deadlineAtMs: world.clock.nowMs() + deadlineMs,
      ...over,
    });
    await world.clock.advance(advanceMs);
  };
  return { ...world, child, submit, puts, compiled: () => compiled, told: () => world.sent("compilation.kernel.ready") };
};

const done: ForgeLane["compile"] = async () => ({
  kind: "done",
  value: { artifact: kernel(), blueprint: blueprint(), compileMs: 5 },
});

describe("Tezzeret", () => {
  it("compiles, stores blueprint and kernel, and announces the kernel", async () => {
    const world = await start(done);
    await world.submit();
    expect(world.puts).toEqual(["blueprint", "kernel"]);
    expect(world.told()).toMatchObject([
      { kind: "ready", runId: "r-1", seedId: "seed:h1", kernelHash: hashOf("e"), parameters: 3 },
    ]);
  });

  it("T1 announces a kernel that the library holds without compiling", async () => {
    const world = await start(done, { known: true });
    await world.submit();
    expect(world.compiled()).toBe(0);
    expect(world.told()).toMatchObject([{ kind: "ready", kernelHash: hashOf("d") }]);
  });

  it.each<{ what: string; compile: ForgeLane["compile"]; reason: RegExp }>([
    {
      what: "a forge that throws",
      compile: async () => {
        throw new ServiceError("no such operator");
      },
      reason: /no such operator/,
    },
    {
      what: "a lost lane",
      compile: async () => ({ kind: "lost", reason: "out of memory" }),
      reason: /lane was lost.*out of memory/,
    },
  ])("T2 announces $what as failed, and stays up", async ({ compile, reason }) => {
    const world = await start(compile);
    await world.submit();
    expect(world.told()).toMatchObject([{ kind: "failed", reason: expect.stringMatching(reason) }]);
    await world.submit();
    expect(world.told()).toHaveLength(2);
  });

  it("T2 a host that the library lacks is named", async () => {
    const world = await start(done, { host: false });
    await world.submit();
    expect(world.told()).toMatchObject([{ kind: "failed", reason: expect.stringMatching(/no such host/) }]);
    expect(world.compiled()).toBe(0);
  });

  it("T2 a compilation that takes too long is given up at its deadline", async () => {
    const never: ForgeLane["compile"] = (_key, _host, signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const world = await start(never);
    await world.submit(2_000, 1_000);
    expect(world.told()).toEqual([]);
    await world.clock.advance(1_500);
    expect(world.told()).toMatchObject([{ kind: "failed" }]);
  });

  it("T2 a request past its deadline is not begun", async () => {
    const world = await start(done);
    await world.submit(-1);
    expect(world.compiled()).toBe(0);
    expect(world.told()).toMatchObject([
      { kind: "failed", reason: expect.stringMatching(/expected a kernel for seed:h1 by .*raise/) },
    ]);
  });

  it("T2 one that ends at work announces nothing; the next one gets the request again", async () => {
    const aborted: ForgeLane["compile"] = (_key, _host, signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const world = await start(aborted);
    await world.submit();
    world.child.kill?.();
    await world.child.exited;
    expect(world.told()).toEqual([]);
    await startTezzeret(world.ports, {
      forge: { compile: done, characterize: idle, warm: idle, destroy: async () => undefined },
      hashKey: kernelKeyHash,
      identity: identity(),
    });
    await world.clock.advance(5_000);
    expect(world.told()).toMatchObject([{ kind: "ready" }]);
  });

  it.each([
    {
      what: "another engine's version",
      constraints: { engineVersion: "2" },
      reason: /engine native 2, here has native 1, native 1.0.0/,
    },
    {
      what: "a word that the machine does not have",
      constraints: { machineTags: ["gpu"] },
      reason: /asks for gpu, here is not tagged/,
    },
  ])("T3 a task for $what is left to others; at the bound it is told as failed", async ({ constraints, reason }) => {
    const world = await start(done);
    await world.submit(600_000, 100, { constraints: { ...compileTask(0).constraints, ...constraints } });
    expect(world.told()).toEqual([]);
    await world.clock.advance(60_000);
    expect(world.compiled()).toBe(0);
    expect(world.told()).toMatchObject([{ kind: "failed", reason: expect.stringMatching(reason) }]);
  });

  it("T3 a task for a named node is that node's alone", async () => {
    const world = await start(done);
    await world.submit(60_000, 1_000, { assignee: "elsewhere" });
    expect(world.compiled()).toBe(0);
    await world.submit(60_000, 60_000, { assignee: "here" });
    expect(world.compiled()).toBe(1);
  });
});
