/** What a run orders: ids that are equal for equal orders, and capabilities that open what the goal needs, to its deadline and no longer. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ValidationConfig } from "../../src/contracts/config-validation.ts";
import { CharacterizeTask, CompileTask, TaskContract } from "../../src/contracts/work.ts";
import { orderCharacterization, orderCompilation } from "../../src/machines/task-orders.ts";
import { hashOf, kernelKey } from "../store/support.ts";
import { terms } from "../support/forge.ts";

const wanted = { runId: "r-1", seedId: "seed:h1", key: kernelKey() };
const hashes = { key: hashOf("1"), request: hashOf("2") };
const kernel = {
  kind: "ready",
  taskId: "t",
  runId: "r-1",
  seedId: "seed:h1",
  keyHash: hashOf("1"),
  kernelHash: hashOf("d"),
  blueprintHash: hashOf("b"),
  parameters: 3,
  flops: {},
  compileMs: 1,
} as const;

describe("an order", () => {
  it("K1 lives no longer than its work may take and its token may live; its capability ends with it", () => {
    const ms = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(ms, ms, ms, (nowMs, wallMsMax, tokenMsMax) => {
        const bound = { ...terms, tokenMsMax };
        const compile = orderCompilation(wanted, hashes, bound, { nowMs, wallMsMax });
        const measure = orderCharacterization(wanted, kernel, ValidationConfig.parse({ timeoutMs: wallMsMax }), bound, nowMs);
        for (const { task, claims } of [compile, measure]) {
          expect(task.deadlineAtMs).toBe(nowMs + Math.min(wallMsMax, tokenMsMax));
          expect(claims).toMatchObject({ taskId: task.id, issuedAtMs: nowMs, expiresAtMs: task.deadlineAtMs });
          expect(claims.reads).toEqual([hashOf("a")]);
          expect(claims.source).toBe("run r-1 seed:h1");
        }
      }),
    );
  });

  it("is a task contract with one goal, and the same order is the same task", () => {
    const made = () => orderCompilation(wanted, hashes, terms, { nowMs: 1, wallMsMax: 10 });
    expect(made()).toEqual(made());
    const compile = { ...made().task, token: "t" };
    const measure = { ...orderCharacterization(wanted, kernel, ValidationConfig.parse({}), terms, 1).task, token: "t" };
    expect(TaskContract.parse(compile)).toEqual(compile);
    expect(TaskContract.parse(measure)).toEqual(measure);
    expect(CompileTask.safeParse(measure).success).toBe(false);
    expect(CharacterizeTask.safeParse(compile).success).toBe(false);
    expect(TaskContract.safeParse({ ...compile, more: 1 }).success).toBe(false);
  });

  it("reads the host, and the kernel to be measured; writes that kernel and its blueprint, or what was measured", () => {
    const compile = orderCompilation(wanted, hashes, terms, { nowMs: 1, wallMsMax: 10 }).claims;
    expect(compile.reads).toEqual([hashOf("a")]);
    expect(compile.writes).toEqual([
      { kind: "kernel", keyHash: hashOf("1") },
      { kind: "blueprint", requestHash: hashOf("2") },
    ]);
    const measure = orderCharacterization(wanted, kernel, ValidationConfig.parse({}), terms, 1).claims;
    expect(measure.reads).toEqual([hashOf("a")]);
    expect(measure.writes).toEqual([{ kind: "tags", keyHash: hashOf("1") }]);
    expect(measure.subjects).not.toContain("library.asset.put");
  });

  it("turns the bounds of the configuration into predicates", () => {
    const bound = { ...terms, latencyMsMax: 5, memoryBytesMax: 1_000, assignee: "forge-1", machineTags: ["avx512"] };
    const { task } = orderCharacterization(wanted, kernel, ValidationConfig.parse({ steps: 7 }), bound, 1);
    expect(task.acceptance).toEqual([
      { metric: "stability.steps", op: ">=", value: 7 },
      { metric: "latency.kernelStep.medianMs", op: "<=", value: 5 },
      { metric: "memoryBytes", op: "<=", value: 1_000 },
    ]);
    expect(task).toMatchObject({ assignee: "forge-1", constraints: { machineTags: ["avx512"], latencyMsMax: 5 } });
  });
});
