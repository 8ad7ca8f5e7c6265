/** The whole command set over a real nats-server, on a node that stays: what is asked, what changes, and what a restart keeps. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import { connectOperator } from "../../src/bus/create.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import type { PersonRole } from "../../src/contracts/roles.ts";
import type { InputOf } from "../../src/contracts/subjects.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { hostConfig, patientForge, silentLog, startNode, type TestNode, temporaryFolder } from "./support.ts";

type Sent = InputOf<"control.kasmina.commands">;
type Fields = Sent extends infer C ? (C extends Sent ? Omit<C, "requestId"> : never) : never;
type Submission = Extract<Fields, { kind: "submit_blueprint" }>;
type Of<K extends CommandReceipt["kind"]> = Extract<CommandReceipt, { kind: K }>;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let node: TestNode;
const buses = new Map<PersonRole, Bus>();
const reports: string[] = [];
let asked = 0;
const nextId = (): string => {
  asked += 1;
  return `q-${asked}`;
};

/** A receipt; while an actor is being restarted the question is put again. */
const ask = async (fields: Fields, role: PersonRole = "admin", requestId = nextId()): Promise<CommandReceipt> => {
  const bus = buses.get(role);
  if (bus === undefined) throw new Error(`no login as ${role}`);
  const outcome = await bus.request("control.kasmina.commands", { ...fields, requestId } as Sent, { timeoutMs: 30_000 });
  if (outcome.kind !== "reply") throw new Error(`${fields.kind}: ${outcome.kind}: ${outcome.reason}`);
  return outcome.value;
};
const as = async <K extends CommandReceipt["kind"]>(
  kind: K,
  fields: Fields,
  role?: PersonRole,
  requestId?: string,
): Promise<Of<K>> => {
  const receipt = await ask(fields, role, requestId);
  if (receipt.kind !== kind) throw new Error(`${fields.kind}: expected ${kind}, got ${JSON.stringify(receipt).slice(0, 600)}`);
  return receipt as Of<K>;
};
const refusal = async (fields: Fields, role?: PersonRole): Promise<string> => (await as("refused", fields, role)).code;

const many = 100_000;
const base = {
  arms: ["grown"],
  model: { name: "mlp", widths: [16, 16, 16] },
  optimization: { epochs: 5000, epochSteps: 20 },
  checkpoint: { everyEpochs: 0, keep: 2 },
  morphogenetic: {
    signal: { samples: 512, warmupSteps: 20, everyEpochs: 1, flopsFractionMax: 1 },
    // Nobody but the test grows anything here.
    trigger: { confidenceMin: 1 },
    training: { steps: 1500 },
    grafting: { steps: 20 },
    fineTuning: { steps: 50 },
    embargo: { epochs: 1 },
    ...patientForge,
  },
  control: {
    commandsPerMinuteMax: { admin: many, operator: many, developer: many, observer: many, anonymous: many },
    learning: { changesPerDayMax: 2, cooldownMs: 0 },
    runsWaitingMax: 1,
  },
};
const seedReaches = (seedId: string, state: string, after = 0) =>
  node.until("system.events.seed", (told) => told.seedId === seedId && told.to === state && told.epoch >= after);
const appliedAt = (receipt: CommandReceipt): Promise<unknown> => {
  if (receipt.kind !== "accepted") throw new Error(JSON.stringify(receipt));
  return node.until("system.events.epoch", ({ result }) => result.epoch >= receipt.appliesAtEpoch);
};

beforeAll(async () => {
  folder = await temporaryFolder();
  node = startNode(hostConfig(join(folder.path, "node"), base), { stay: true, onReport: (_, file) => reports.push(file ?? "") });
  await node.until("system.events.epoch", ({ result }) => result.signal !== undefined);
  for (const role of ["admin", "operator", "developer", "observer"] as const) {
    const ports = { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog };
    buses.set(role, await connectOperator(node.dataDir, ports, { requestTimeoutMs: 30_000, role }));
  }
});
afterAll(async () => {
  for (const bus of buses.values()) await bus.close();
  node.interrupt();
  await node.done.catch(() => undefined);
  await folder.remove();
});

describe("questions", () => {
  it("about seeds, layers and the policy", async () => {
    const seeds = await as("seeds", { kind: "seeds", limit: 2 }, "observer");
    expect([seeds.seeds.map(({ seedId }) => seedId), seeds.seedCount, seeds.next]).toEqual([
      ["seed:h1", "seed:h2"],
      3,
      "seed:h2",
    ]);
    expect((await as("seed", { kind: "seed", seedId: "seed:h2" })).seed).toMatchObject({
      state: "DORMANT",
      askable: ["GERMINATED"],
    });
    const { layers } = await as("layers", { kind: "layers" });
    expect(layers.map(({ site, signal }) => [site, typeof signal?.gap])).toEqual([
      ["h1", "number"],
      ["h2", "number"],
      ["h3", "number"],
    ]);
    expect(await refusal({ kind: "layer", site: "h9" })).toBe("unknown_layer");
    const { inForce } = await as("policy", { kind: "policy" });
    expect(inForce).toMatchObject({ sinceEpoch: 0, policy: { name: "configuration", trigger: { confidenceMin: 1 } } });
    expect(inForce.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it("about decisions: what is asked is what was told, and Tamiyo analyses without acting", async () => {
    await node.until("system.events.decision", () => true);
    const { decisions, kept } = await as("decisions", { kind: "decisions", limit: 500 });
    expect(decisions.length).toBeGreaterThan(0);
    expect(kept).toBeGreaterThanOrEqual(decisions.length);
    expect(decisions.every(({ outcome }) => outcome !== "germinate")).toBe(true);
    const { candidates, decision } = await as("analysis", { kind: "analyze" });
    expect(candidates.map(({ site }) => site).sort()).toEqual(["h1", "h2", "h3"]);
    expect(candidates.every(({ objection }) => objection !== undefined)).toBe(true);
    expect(decision?.reason).toMatch(/\w{3}/);
    const before = node.payloads("system.events.decision").length;
    expect((await as("decision", { kind: "step" })).decision.outcome).not.toBe("germinate");
    await node.until("system.events.decision", () => node.payloads("system.events.decision").length > before);
  });
});

describe("the library", () => {
  let kernel = "";

  it("a submitted blueprint is grown by its hash; what fits no shapes is refused", async () => {
    const request = { kind: "dense", hiddenWidth: 5 } as const;
    const submit: Submission = { kind: "submit_blueprint", blueprint: { name: "narrow", request, from: [16], to: [16] } };
    const stored = await as("stored", submit, "developer");
    expect(await as("stored", submit)).toMatchObject({ hash: stored.hash, existed: true });
    expect((await as("blueprint", { kind: "blueprint", hash: stored.hash })).blueprint).toMatchObject({
      name: "narrow",
      provenance: { producer: "developer:developer" },
    });
    const shaped: Submission["blueprint"] = {
      ...submit.blueprint,
      name: "odd",
      request: { kind: "convolution", hiddenWidth: 5 },
    };
    expect(await refusal({ kind: "submit_blueprint", blueprint: shaped })).toBe("unfit");
    const other = await as("stored", { ...submit, blueprint: { ...submit.blueprint, name: "wide", from: [99] } });
    expect(await refusal({ kind: "germinate", seedId: "seed:h2", toSite: "h3", blueprint: { hash: other.hash } })).toBe("unfit");
    expect(await refusal({ kind: "germinate", seedId: "seed:h2", blueprint: { hash: "f".repeat(64) } })).toBe("unknown_asset");
    await as("accepted", { kind: "germinate", seedId: "seed:h2", toSite: "h3", blueprint: { hash: stored.hash } });
    await seedReaches("seed:h2", "TRAINING");
    expect((await as("seed", { kind: "seed", seedId: "seed:h2" })).seed).toMatchObject({ blueprint: request, toSite: "h3" });
  });

  it("its kernel is found by tags, shown, and in use; a transition by name ends the trial", async () => {
    const { kernels } = await as("kernels", { kind: "kernels" });
    kernel = kernels[0]!.hash;
    expect(kernels[0]).toMatchObject({ status: "active", blueprint: { hiddenWidth: 5 } });
    const tag = kernels[0]!.tags[0]!;
    expect((await as("kernels", { kind: "kernels", tagsRequired: [tag] })).kernels).toHaveLength(1);
    expect((await as("kernels", { kind: "kernels", tagsExcluded: [tag] })).kernels).toEqual([]);
    expect((await as("kernel", { kind: "kernel", hash: kernel })).kernel).toMatchObject({ seedId: "seed:h2", fromSite: "h2" });
    expect(await refusal({ kind: "load_kernel", site: "h2", hash: kernel })).toBe("in_use");
    expect(await refusal({ kind: "transition", seedId: "seed:h2", to: "FOSSILIZED" })).toBe("illegal_transition");
    await as("accepted", { kind: "transition", seedId: "seed:h2", to: "CULLED" });
    await seedReaches("seed:h2", "CULLED");
    await seedReaches("seed:h2", "DORMANT");
  });

  it("it comes into the lane's cache and goes; what does not fit is refused", async () => {
    expect(await refusal({ kind: "load_kernel", site: "h1", hash: kernel })).toBe("unfit");
    expect(await refusal({ kind: "load_kernel", site: "h2", hash: "f".repeat(64) })).toBe("unknown_asset");
    const loaded = await as("accepted", { kind: "load_kernel", site: "h2", hash: kernel });
    const told = await node.until("system.events.epoch", ({ result }) => result.epoch === loaded.appliesAtEpoch);
    expect(told.result.cached).toMatchObject([{ kernelHash: kernel, problems: [] }]);
    expect((await as("layer", { kind: "layer", site: "h2" })).layer.residentKernels).toEqual([kernel]);
    await appliedAt(await ask({ kind: "unload_kernel", site: "h2", hash: kernel }));
    expect((await as("layer", { kind: "layer", site: "h2" })).layer.residentKernels).toEqual([]);
  });

  it("withdrawn it is never taken: the same germination finds no kernel; reinstated it is taken again", async () => {
    await as("done", { kind: "kernel_status", hash: kernel, status: "withdrawn", reason: "it drifts" });
    expect((await as("kernel", { kind: "kernel", hash: kernel })).kernel).toMatchObject({
      status: "withdrawn",
      statusReason: "admin: it drifts",
    });
    expect(await refusal({ kind: "load_kernel", site: "h2", hash: kernel })).toBe("withdrawn");
    const request = { kind: "dense", hiddenWidth: 5 } as const;
    const again = { kind: "germinate", seedId: "seed:h2", toSite: "h3", blueprint: request } as const;
    const first = await as("accepted", again);
    const ended = await seedReaches("seed:h2", "DORMANT", first.appliesAtEpoch);
    expect(ended).toMatchObject({ from: "GERMINATED", reason: expect.stringContaining("withdrew") });
    await as("done", { kind: "kernel_status", hash: kernel, status: "active" });
    await node.until("system.events.epoch", ({ result }) => result.epoch > ended.epoch + 2);
    const second = await as("accepted", again);
    await seedReaches("seed:h2", "TRAINING", second.appliesAtEpoch);
    await as("accepted", { kind: "cull", seedId: "seed:h2" });
    await seedReaches("seed:h2", "CULLED", second.appliesAtEpoch);
  });

  it("experience is kept; an observer may not", async () => {
    const experience = { observation: { gap: 0.2 }, action: "grow", reward: 1 };
    expect((await as("done", { kind: "experience", experience }, "developer")).detail).toContain("1 in all");
    expect(await refusal({ kind: "experience", experience }, "observer")).toBe("forbidden");
  });
});

describe("the policy", () => {
  it("is changed at a boundary, is stored, counts as learning; what is refused does not count", async () => {
    const standing = async () => (await as("governance", { kind: "governance" })).learning.changesToday;
    expect(await refusal({ kind: "policy_update", set: { "trigger.confidenceMin": 0.8 } }, "operator")).toBe("forbidden");
    expect(await refusal({ kind: "policy_update", set: { "trigger.nothing": 1 } })).toBe("invalid");
    expect(await refusal({ kind: "policy_update", set: { "trigger.confidenceMin": 0.8 }, hash: "a".repeat(64) })).toBe("invalid");
    expect(await standing()).toBe(0);
    const before = await as("policy", { kind: "policy" });
    const changed = await ask({ kind: "policy_update", set: { "trigger.confidenceMin": 0.95 }, name: "bolder" });
    await appliedAt(changed);
    const after = await as("policy", { kind: "policy" });
    expect(after.inForce).toMatchObject({ policy: { name: "bolder", trigger: { confidenceMin: 0.95 } } });
    expect(after.inForce.hash).not.toBe(before.inForce.hash);
    expect(await standing()).toBe(1);
    const told = await node.until("telemetry.seed.health", ({ policy }) => policy !== undefined);
    expect(told.policy?.hash).toBe(after.inForce.hash);
    expect((await as("policies", { kind: "policies" })).policies).toMatchObject([{ name: "bolder", hash: after.inForce.hash }]);
    expect(await refusal({ kind: "policy_load", policy: { hash: "f".repeat(64) } })).toBe("unknown_asset");
    await appliedAt(await ask({ kind: "policy_load", policy: { hash: after.inForce.hash } }));
    expect(await refusal({ kind: "policy_update", set: { "trigger.checks": 3 } })).toBe("governance");
  });
});

describe("the run and the node", () => {
  let checkpoint = "";

  it("writes a checkpoint at the next boundary", async () => {
    const receipt = await as("accepted", { kind: "checkpoint" }, "operator");
    const told = await node.until("system.events.run", (event) => event.kind === "checkpoint");
    if (told.kind !== "checkpoint") throw new Error(told.kind);
    expect(told.epoch).toBe(receipt.appliesAtEpoch - 1);
    checkpoint = told.file;
  });

  it("queues runs within a bound, and nothing outside the data directory", async () => {
    const config = hostConfig(node.dataDir, { optimization: { epochs: 1.3, epochSteps: 20 } });
    const { services: _, logging: __, control: ___, roles: ____, ...own } = config;
    expect(await refusal({ kind: "start", config: own, resume: "../../etc" })).toBe("invalid");
    expect(await as("queued", { kind: "start", config: own }, "operator", "start-1")).toMatchObject({ position: 1 });
    expect(await as("queued", { kind: "start", config: own }, "operator", "start-1")).toMatchObject({ position: 1 });
    expect(await refusal({ kind: "start", config: own })).toBe("limit");
    expect(await refusal({ kind: "dead_letter", action: "drop", id: 77 }, "operator")).toBe("unknown_letter");
  });

  it("goes on with the next when one is stopped, from a checkpoint too, and ends when it is told to", async () => {
    await as("accepted", { kind: "stop", reason: "seen enough" });
    const next = await node.until("system.events.run", (event) => event.kind === "started" && event.arm === "no-growth");
    const nextId = next.runId;
    await node.until("system.events.run", (event) => event.kind === "finished" && event.runId === nextId);
    const config = hostConfig(node.dataDir, {});
    const { services: _, logging: __, control: ___, roles: ____, ...own } = config;
    const resume = checkpoint.slice(checkpoint.indexOf("checkpoints/"));
    const { runName } = await as("queued", { kind: "start", config: own, resume });
    const resumed = await node.until("system.events.run", (event) => event.kind === "started" && event.runId.startsWith(runName));
    expect(resumed).toMatchObject({ arm: "grown", resumedAtEpoch: expect.any(Number) });
    await node.until("system.events.epoch", (told) => told.runId === resumed.runId);
    const { inForce } = await as("policy", { kind: "policy" });
    expect(inForce.policy.name).toBe("bolder");
    expect((await as("decisions", { kind: "decisions", limit: 1 })).kept).toBeGreaterThan(1);
    await as("done", { kind: "shutdown", reason: "enough" }, "operator");
    const { exitCode, report } = await node.done;
    expect([exitCode, report.arms[0]?.outcome]).toEqual([0, "stopped"]);
    expect(reports.length).toBeGreaterThanOrEqual(2);
  });
});
